"""`python -m gateway`: settings, build, serve, drain."""

import sys
from collections.abc import Sequence
from functools import partial

from csm.serving import bootstrap
from csm.serving.metrics import Metrics
from csm.serving.settings import load
from gateway.service import GatewayService
from gateway.settings import GatewaySettings

PROGRAM = "python -m gateway"


def build(settings: GatewaySettings, metrics: Metrics) -> GatewayService:
    """The service, inside a running event loop."""
    return GatewayService(settings, metrics)


def main(argv: Sequence[str] | None = None) -> None:
    """The whole life of the process."""
    settings = load(GatewaySettings, sys.argv[1:] if argv is None else argv, PROGRAM)
    bootstrap.run(partial(build, settings), settings, PROGRAM)
