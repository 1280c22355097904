"""The generator service: settings, build, serve, drain."""

import sys
from collections.abc import Sequence
from functools import partial

from csm.serving import bootstrap
from csm.serving.metrics import Metrics
from csm.serving.settings import load
from services.generator.service import GeneratorService
from services.generator.settings import GeneratorSettings

PROGRAM = "python -m services.generator"


def build(settings: GeneratorSettings, metrics: Metrics) -> GeneratorService:
    """The service, not started; `metrics` may be shared with others of the process."""
    return GeneratorService(settings, metrics)


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = load(GeneratorSettings, sys.argv[1:] if argv is None else argv, PROGRAM)
    bootstrap.run(partial(build, settings), settings, PROGRAM)
