"""`csm speak`: one text to one audio file."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from csm.cli import options
from csm.cli.reporting import CommandError

_HERE = "Running it here"


def speak(
    text: Annotated[str, typer.Argument(help="What to say; - reads standard input.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")
    ] = Path("speech.wav"),
    server: Annotated[
        str | None,
        typer.Option(help="A gateway's host:port. Without it, everything runs in this process."),
    ] = None,
    voice: Annotated[str, typer.Option(help="The voice, by name.")] = "",
    speaker: Annotated[int | None, typer.Option(help="Speaker number.", min=0, max=65535)] = None,
    max_audio_ms: Annotated[
        int, typer.Option(help="Longest audio; 0: the model's default.", min=0)
    ] = 0,
    timeout_s: Annotated[
        float | None, typer.Option(help="Give up after so many seconds.", min=0.001)
    ] = None,
    temperature: options.Temperature = None,
    depth_temperature: options.DepthTemperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    format: options.Format = None,
    rate: options.Rate = 0,
    bit_depth: options.Bits = None,
    model: options.Model = None,
    dtype: options.ServingDtype = None,
    device: options.Device = None,
    threads: options.Threads = None,
) -> None:
    """Say a text: write it as audio, and print how fast it came."""
    from csm.cli.output import Output

    if server and (model or dtype or device or threads):
        raise CommandError(
            "--server runs elsewhere: --model, --dtype, --device and --threads are its"
        )
    target = Output(output, format, rate, bit_depth)
    said = sys.stdin.read().strip() if text == "-" else text

    async def life() -> None:
        import contextlib

        from csm.cli.listening import report, write_speech
        from csm.cli.reporting import status
        from csm.client import AsyncClient

        async with contextlib.AsyncExitStack() as stack:
            address = server
            if address is None:
                from services.all_in_one import AllInOne

                with status("loading the model"):
                    running = AllInOne(
                        model=model,
                        dtype=options.serving_dtype(dtype),
                        device=device,
                        threads=threads,
                        slots=1,
                    )
                    await stack.enter_async_context(running)
                address = running.address
            client = await stack.enter_async_context(AsyncClient(address))
            speech = client.synthesize(
                said,
                voice=voice,
                speaker=speaker,
                temperature=temperature,
                depth_temperature=depth_temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                max_audio_ms=max_audio_ms,
                format=target.format,
                timeout_s=timeout_s,
            )
            heard = await write_speech(speech, target, "speaking")
            if heard is None:
                raise CommandError(f"{target.path}: not written, the model ended without audio")
            report(heard, target)

    asyncio.run(life())
