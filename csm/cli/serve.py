"""`csm serve`: the three services in one process, until a signal."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from csm.cli import options

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
        str, typer.Option(help="Where gateway and metrics listen.", rich_help_panel=_LISTEN)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Gateway; 0: a free one.", min=0, max=65535, rich_help_panel=_LISTEN)
    ] = 50050,
    metrics_port: Annotated[
        int,
        typer.Option(help="Prometheus, all services; 0: none.", min=0, max=65535,
                     rich_help_panel=_LISTEN),
    ] = 9464,
    tokenizer_port: Annotated[
        int,
        typer.Option(help="Tokenizer, on loopback; 0: a free one.", min=0, max=65535,
                     rich_help_panel=_LISTEN),
    ] = 50051,
    generator_port: Annotated[
        int,
        typer.Option(help="Generator, on loopback; 0: a free one.", min=0, max=65535,
                     rich_help_panel=_LISTEN),
    ] = 50052,
    max_queue: Annotated[
        int | None,
        typer.Option(help="Turns that wait before others are refused.", min=0,
                     rich_help_panel=_LIMITS),
    ] = None,
    max_positions: Annotated[
        int | None,
        typer.Option(help="Context; 0: the model's.", min=0, rich_help_panel=_LIMITS),
    ] = None,
    voices: Annotated[
        Path | None, typer.Option(help="Directory of voices: NAME/voice.json and its audio.")
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
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option(help="Least severe log line.")
    ] = "INFO",
    log_format: Annotated[Literal["text", "json"], typer.Option(help="Log lines.")] = "text",
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print all settings as JSON and exit.")
    ] = False,
) -> None:  # fmt: skip
    """Run tokenizer, generator and gateway in one process.

    Settings without a flag come from CSM_TOKENIZER_..., CSM_GENERATOR_... and CSM_GATEWAY_...
    SIGTERM or Ctrl-C drains: what runs is finished, nothing new is taken.
    """
    # First, so that an installation without the services says that, and not what they would need.
    from services.all_in_one import AllInOne

    # isort: split
    from csm.cli.reporting import CommandError, console
    from csm.serving import logging as csm_logging
    from csm.serving.bootstrap import end_process, expose_metrics, wait_for_signal
    from csm.serving.metrics import Metrics

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
            "voices_directory": voices,
            "drain_delay_s": drain_delay_s,
            **drain,
        },
        metrics=metrics,
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
    csm_logging.configure(log_level, log_format)
    try:
        expose_metrics(metrics, host, metrics_port or None)
    except OSError as error:
        raise CommandError(f"--metrics-port: {error.strerror}") from None

    async def life() -> None:
        stop = asyncio.create_task(wait_for_signal())
        start = asyncio.create_task(running.start())
        await asyncio.wait({stop, start}, return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            end_process()
        start.result()
        lines = {
            "gateway": running.gateway.address,
            "tokenizer": running.tokenizer.address,
            "generator": running.generator.address,
        }
        if metrics_port:
            lines["metrics"] = f"http://{host}:{metrics_port}/metrics"
        for name, address in lines.items():
            console().print(f"{name:<10} {address}")
        console().print("ready; Ctrl-C or SIGTERM drains and ends")
        await stop
        await running.stop()

    asyncio.run(life())
