"""The generator service: settings, build, serve, drain."""

import sys
from collections.abc import Sequence

from csm.errors import ServiceError
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
    try:
        bootstrap.run(lambda metrics: build(settings, metrics), settings)
    except (ServiceError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
