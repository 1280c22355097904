"""The tokenizer service: settings, build, serve, drain."""

import sys
from collections.abc import Sequence

from csm.errors import ServiceError
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
    try:
        bootstrap.run(lambda metrics: build(settings, metrics), settings)
    except (ServiceError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
