"""The life of a process: from its first lines to its exit, whatever hangs.

`run` is the whole life of a process with one service; see `host` for the service itself.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import csm
from csm.errors import ServiceError
from csm.serving.host import CLOSE_GRACE_S, STOP_GRACE_S, STUCK_S, Host
from csm.serving.logs.setup import configure_logging
from csm.serving.metrics import Metrics
from csm.serving.process import heap
from csm.serving.process.endpoint import Endpoint
from csm.serving.process.exit import end_process, end_process_within
from csm.serving.service import Service
from csm.serving.settings import ServiceSettings
from csm.serving.tls.server import ServerTls
from csm.serving.tracing.setup import FLUSH_S

log = logging.getLogger(__name__)

EXIT_S = 2 * CLOSE_GRACE_S + 2 * STOP_GRACE_S + 3 * STUCK_S + FLUSH_S + 5.0
"""Beyond the drain's own times: what a host waits for at most, and the interpreter's end."""


def expose_metrics(
    metrics: Metrics, host: str, port: int | None, tls: ServerTls | None = None
) -> Endpoint | None:
    """Serves `/metrics`, `/healthz` and `/readyz` on a thread of its own; None serves nothing.

    Raises `OSError` with the address where it cannot listen there.
    """
    metrics.server.build_info.labels(csm.__version__).set(1)
    if port is None:
        return None
    try:
        return Endpoint(metrics, host, port, tls)
    except OSError as error:
        problem = f"cannot serve metrics on {host}:{port}: {error.strerror}"
        raise OSError(error.errno, problem) from None


def begin_process() -> None:
    """For the first lines of a process that imports for seconds, before `run`.

    A SIGTERM ends it with 0: as process 1 of a container it has no default actions, and would be
    deaf until then. Garbage is looked for seldom, so not amid the imports.
    """
    heap.collect_seldom()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop of a service: uvloop where it is installed, which has no build for
    Windows; None is Python's own. A gateway over it takes less for each message."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def wait_for_signal() -> None:
    """Returns at the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_signal() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            # Not the default action: the kernel does not take that for process 1 of a container.
            # And not by the loop, which may be what hangs.
            signal.signal(number, lambda number, _: os._exit(128 + number))
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await stopped.wait()


def run(build: Callable[[Metrics], Service], settings: ServiceSettings, program: str) -> NoReturn:
    """A process with one service: serve until a signal, drain, end with 0.

    What keeps the service from starting is told in one line, behind the name of the `program` or,
    with logs in JSON, among them, and the process ends with 1.
    """
    configure_logging(settings.log_level, settings.log_format)

    async def life() -> None:
        metrics = Metrics().with_process()
        tls = ServerTls.of(settings)
        expose_metrics(
            metrics, settings.host, settings.metrics_port, tls if settings.metrics_tls else None
        )
        host = Host(build(metrics), settings, metrics, tls=tls)
        stop = asyncio.create_task(wait_for_signal())
        start = asyncio.create_task(host.start())
        await asyncio.wait({stop, start}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            await stop
            log.info("%s draining", host.service.name)
            # Never called off: the interpreter's own end may hang too.
            end_process_within(settings.drain_delay_s + settings.drain_finish_s + EXIT_S)
            await host.stop()
        else:
            log.info("%s told to stop while loading", host.service.name)
            start.cancel()
            await asyncio.wait({start}, timeout=STOP_GRACE_S)
            end_process()

    code = 0
    try:
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            runner.run(life())
    # What does not fit or cannot be used, a model, a voice or a backend, is a ValueError.
    except (ServiceError, OSError, ValueError) as error:
        code = 1
        log.debug("where the start failed", exc_info=True)
        if settings.log_format == "json":
            log.critical("cannot serve: %s", error)
        else:
            print(f"{program}: {error}", file=sys.stderr)
    end_process(code)
