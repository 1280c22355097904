"""The tokenizer service: settings, build, serve, drain."""

import sys
from collections.abc import Sequence
from functools import partial

from csm.serving import bootstrap
from csm.serving.metrics import Metrics
from csm.serving.settings import load
from services.tokenizer.service import TokenizerService
from services.tokenizer.settings import TokenizerSettings

PROGRAM = "python -m services.tokenizer"


def build(settings: TokenizerSettings, metrics: Metrics) -> TokenizerService:
    """The service, not started; `metrics` may be shared with others of the process."""
    return TokenizerService(settings, metrics)


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = load(TokenizerSettings, sys.argv[1:] if argv is None else argv, PROGRAM)
    bootstrap.run(partial(build, settings), settings, PROGRAM)
