"""`csm serve`: the three services in one process, until a signal."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from csm.cli import options

if TYPE_CHECKING:
    from services.all_in_one import AllInOne

log = logging.getLogger(__name__)

PROGRESS_S = 5.0
"""While the model loads, that it still does is said so often."""

_LISTEN = "Listening"
_DRAIN = "Drain"
_LIMITS = "Limits"


def serve(
    model: options.Model = None,
    slots: Annotated[
        int | None, typer.Option(help="Turns that advance in one step.", min=1)
    ] = None,
    dtype: options.ServingDtype = None,
    device: options.Device = None,
    threads: options.Threads = None,
    host: Annotated[
        str | None, typer.Option(help="Where gateway and metrics listen.",
                                 show_default="127.0.0.1", rich_help_panel=_LISTEN)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Gateway; 0: a free one.", min=0, max=65535, show_default="50050",
                     rich_help_panel=_LISTEN),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(help="Gateway's HTTP and WebSocket; 0: none.", min=0, max=65535,
                     show_default="8080", rich_help_panel=_LISTEN),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Prometheus, all services; 0: none.", min=0, max=65535,
                     show_default="9464", rich_help_panel=_LISTEN),
    ] = None,
    tokenizer_port: Annotated[
        int | None,
        typer.Option(help="Tokenizer, on loopback; 0: a free one.", min=0, max=65535,
                     show_default="50051", rich_help_panel=_LISTEN),
    ] = None,
    generator_port: Annotated[
        int | None,
        typer.Option(help="Generator, on loopback; 0: a free one.", min=0, max=65535,
                     show_default="50052", rich_help_panel=_LISTEN),
    ] = None,
    max_queue: Annotated[
        int | None,
        typer.Option(help="Turns that wait before others are refused.", min=0,
                     rich_help_panel=_LIMITS),
    ] = None,
    max_positions: Annotated[
        int | None,
        typer.Option(help="Context; 0: the model's.", min=0, rich_help_panel=_LIMITS),
    ] = None,
    voices: options.Voices = None,
    created_voices: Annotated[
        Path | None, typer.Option(help="Directory that keeps voices that clients make; default: "
                                  "they end with the process.")
    ] = None,
    drain_delay_s: Annotated[
        float | None, typer.Option(help="Not ready, still taking calls.", min=0,
                                   rich_help_panel=_DRAIN)
    ] = None,
    drain_finish_s: Annotated[
        float | None, typer.Option(help="What runs may go on so long.", min=0,
                                   rich_help_panel=_DRAIN)
    ] = None,
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None,
        typer.Option(help="Least severe log line.", show_default="INFO"),
    ] = None,
    log_format: Annotated[
        Literal["text", "json"] | None, typer.Option(help="Log lines.", show_default="text")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print all settings as JSON and exit.")
    ] = False,
) -> None:  # fmt: skip
    """Run tokenizer, generator and gateway in one process.

    TLS is set by CSM_GATEWAY_TLS_CERTIFICATE and CSM_GATEWAY_TLS_KEY (docs/security.md).
    What no flag says comes from CSM_TOKENIZER_..., CSM_GENERATOR_... and CSM_GATEWAY_...
    SIGTERM or Ctrl-C drains: what runs is finished, nothing new is taken.
    """
    # First, so that an installation without the services says that, and not what they would need.
    from services.all_in_one import AllInOne

    # isort: split
    from csm.cli.reporting import CommandError, describe
    from csm.serving.bootstrap import event_loop, expose_metrics
    from csm.serving.logs.setup import configure_logging
    from csm.serving.metrics import Metrics
    from csm.serving.tls.server import ServerTls
    from gateway.settings import GatewaySettings

    metrics = Metrics().with_process()
    drain = {"drain_finish_s": drain_finish_s}
    running = AllInOne(
        model=model,
        slots=slots,
        threads=threads,
        device=device,
        dtype=options.serving_dtype(dtype),
        tokenizer={"port": tokenizer_port, **drain},
        generator={
            "port": generator_port,
            "max_queue": max_queue,
            "max_positions": max_positions,
            **drain,
        },
        gateway={
            "host": host,
            "port": port,
            "http_port": "none" if http_port == 0 else http_port,
            "log_level": log_level,
            "log_format": log_format,
            "voices_directory": voices,
            "created_voices_directory": created_voices,
            "drain_delay_s": drain_delay_s,
            **drain,
        },
        metrics=metrics,
        private=False,
    )
    if print_config:
        settings = {
            "tokenizer": running.tokenizer_settings,
            "generator": running.generator_settings,
            "gateway": running.gateway_settings,
        }
        # Where the two others are is known when they listen.
        unknown = {"tokenizer_target", "generator_target"}
        shown = {k: v.model_dump(mode="json", exclude=unknown) for k, v in settings.items()}
        typer.echo(json.dumps(shown, indent=2))
        return
    gateway = running.gateway_settings
    # Of the three on one port, which is the gateway's where no flag says another.
    if metrics_port is None:
        metrics_port = GatewaySettings.model_validate({}).metrics_port
    configure_logging(gateway.log_level, gateway.log_format)
    tell = _teller(gateway.log_format)
    try:
        try:
            tls = ServerTls.of(gateway)
            encrypted = tls if gateway.metrics_tls else None
            expose_metrics(metrics, gateway.host, metrics_port or None, encrypted)
        except OSError as error:
            raise CommandError(f"--metrics-port: {error.strerror}") from None
        address = _address(gateway.host, metrics_port) if metrics_port else None
        life = _life(running, tell, address)
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            runner.run(life)
    except Exception as error:
        message = describe(error)
        if gateway.log_format != "json" or message is None:
            raise
        # One form for all lines: who collects JSON takes no other.
        log.error("%s", message)
        raise typer.Exit(1) from None


def _teller(log_format: str) -> Callable[[str], None]:
    """How progress is told: plain lines on a console, records among the others where logs are
    JSON."""
    from csm.cli.reporting import console

    if log_format == "json":
        return lambda message: log.info("%s", message)
    return lambda message: console().print(message, soft_wrap=True)


async def _life(running: "AllInOne", tell: Callable[[str], None], metrics: str | None) -> None:
    """Loads, serves until a signal, drains."""
    from csm.serving.bootstrap import EXIT_S, wait_for_signal
    from csm.serving.process.exit import end_process, end_process_within

    began = time.monotonic()
    stop = asyncio.create_task(wait_for_signal())
    model = running.generator_settings.model
    tell(f"loading {model}")
    start = asyncio.create_task(running.start())
    while not start.done() and not stop.done():
        await asyncio.wait({stop, start}, return_when=asyncio.FIRST_COMPLETED, timeout=PROGRESS_S)
        if not start.done() and not stop.done():
            tell(f"still loading {model}, {time.monotonic() - began:.0f} s so far")
    if not start.done():
        tell("told to stop while loading; nothing was accepted, so nothing is drained")
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        end_process()
    start.result()
    gateway = running.gateway_settings
    # The gateway as it listens, which may be everywhere; the two others are on loopback.
    lines = {
        "gateway": _address(gateway.host, running.gateway.port),
        "tokenizer": running.tokenizer.address,
        "generator": running.generator.address,
    }
    if gateway.http_port is not None:
        scheme = "https" if gateway.tls_certificate else "http"
        lines["http"] = f"{scheme}://{_address(gateway.host, gateway.http_port)}"
    if metrics:
        scheme = "https" if gateway.metrics_tls else "http"
        lines["metrics"] = f"{scheme}://{metrics}/metrics"
    for name, address in lines.items():
        tell(f"{name:<10} {address}")
    tell("ready; Ctrl-C or SIGTERM drains and ends")
    await stop
    tell(
        f"draining: what runs may go on for {gateway.drain_finish_s:g} s, nothing new is taken; "
        "a second signal ends at once"
    )
    # One service after the other, each in a time of its own.
    call_off = end_process_within(3 * (gateway.drain_delay_s + gateway.drain_finish_s + EXIT_S))
    await running.stop()
    call_off()
    tell("ended")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
