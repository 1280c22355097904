"""`csm generate`: a recording in, its continuation out, as users of the Rust csm know it."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from csm.cli import options

if TYPE_CHECKING:
    from csm.client import ContextTurn
    from services.all_in_one import AllInOne


class Flavor(StrEnum):
    """Sesame's names of backbones."""

    LLAMA_1B = "llama-1B"
    LLAMA_100M = "llama-100M"


def generate(
    weights: Annotated[
        Path, typer.Option("--weights", "-w", help="A model directory or a safetensors file.")
    ],
    source: Annotated[Path, typer.Option("--input", "-i", help="The recording to be continued.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    flavor: Annotated[
        Flavor | None,
        typer.Option("--flavor", "-f", help="The backbone that WEIGHTS must have; checked."),
    ] = None,
    frames: Annotated[
        int, typer.Option("--max-frames", "-m", help="Frames of 80 ms at the most.", min=1)
    ] = 100,
    least_frames: Annotated[
        int, typer.Option("--min-frames", help="Frames before the model may end.", min=0)
    ] = 12,
    text: Annotated[
        str, typer.Option(help="What to say after the recording; empty: its audio goes on.")
    ] = "",
    prompt_text: Annotated[
        str, typer.Option(help="What is said in the recording; TEXT then follows in one breath.")
    ] = "",
    speaker: Annotated[int, typer.Option(help="Speaker number.", min=0, max=65535)] = 0,
    codec: Annotated[
        Path | None, typer.Option(help="Kyutai's Mimi file, where WEIGHTS come without a codec.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json, where WEIGHTS come without one.")
    ] = None,
    temperature: options.Temperature = None,
    depth_temperature: options.DepthTemperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    format: options.Format = None,
    rate: options.Rate = 0,
    bit_depth: options.Bits = None,
    encoding: options.Encoding = None,
    dtype: options.ServingDtype = None,
    device: options.Device = None,
    threads: options.Threads = None,
) -> None:
    """Continue a recording: its audio goes on, or TEXT is said after it.

    Through the three services in this process: encode, context, generate, decode.
    """
    import contextlib

    from csm.cli.output import Output

    options.model_directory(weights)
    target = Output(output, format, rate, bit_depth, encoding)

    async def life() -> None:
        from csm.cli.listening import report, write_speech
        from csm.cli.reporting import CommandError, status
        from csm.client import AsyncClient
        from services.all_in_one import AllInOne
        from services.model_tools.parts import runnable

        async with contextlib.AsyncExitStack() as stack:
            directory = stack.enter_context(runnable(weights, flavor, codec, tokenizer))
            with status("loading the model"):
                running = await stack.enter_async_context(
                    AllInOne(
                        model=directory,
                        dtype=options.serving_dtype(dtype),
                        device=device,
                        threads=threads,
                        slots=1,
                    )
                )
            client = await stack.enter_async_context(AsyncClient(running.address))
            info = await client.server_info()
            # One segment with the words of both, of which the first part has been spoken: the
            # model says the rest in the same breath. Without the first words, TEXT is a turn.
            one_breath = bool(text and prompt_text)
            words = f"{prompt_text} {text}" if one_breath else prompt_text
            prompt = await _heard(source, running, speaker, words)
            speech = client.synthesize(
                "" if one_breath else text,
                context=[prompt],
                speaker=speaker,
                temperature=temperature,
                depth_temperature=depth_temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                min_audio_ms=round(min(least_frames, frames) * 1000 / info.frame_rate_hz),
                max_audio_ms=round(frames * 1000 / info.frame_rate_hz),
                format=target.format,
            )
            spoken = await write_speech([(0, speech)], target, "continuing")
            if spoken is None:
                raise CommandError(
                    f"{target.path}: not written, for the model the recording is complete; "
                    "say with --text what follows, or ask for --min-frames"
                )
            report(spoken, target)

    asyncio.run(life())


async def _heard(source: Path, running: "AllInOne", speaker: int, text: str) -> "ContextTurn":
    """The recording as a turn of context, encoded by the tokenizer."""
    from csm.audio.files import read_audio
    from csm.cli.reporting import audio_progress, warn
    from csm.client import ContextTurn
    from csm.client.tokenizer import AsyncTokenizerClient

    async with AsyncTokenizerClient(running.tokenizer.address) as client:
        longest_ms = (await client.info()).max_audio_ms
        odd: list[str] = []
        samples, rate_hz = read_audio(source, max_seconds=longest_ms / 1000, warnings=odd)
        for warning in odd:
            warn(f"{source}: {warning}")
        with audio_progress(f"encoding {source}", len(samples) / rate_hz) as progress:
            encoded = await client.encode(
                samples, rate_hz, on_sent=lambda sent: progress.add(sent / rate_hz)
            )
    return ContextTurn(speaker, text, codes=encoded.codes)
