"""`csm encode` and `csm decode`: audio files to codes in safetensors, and back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from csm.cli import connecting, options

if TYPE_CHECKING:
    from csm.client.tokenizer import AsyncTokenizerClient

TOKENIZER = "A tokenizer's host:port. Without it, the tokenizer runs in this process."
_RAW = "Audio without a header"


# CSM_SERVER is a gateway.
@connecting.takes_server(TOKENIZER, variable=None)
def encode(
    source: Annotated[Path, typer.Argument(help="WAV, FLAC, Ogg, MP3 and more.", metavar="AUDIO")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Default: AUDIO with .safetensors; - is standard output."
        ),
    ] = None,
    mend: Annotated[
        bool,
        typer.Option(help="It is to be a prompt: mend its level, an offset, long silent ends."),
    ] = False,
    server: connecting.ServerChoice = connecting.HERE,
    encoding: Annotated[
        options.SampleEncoding | None,
        typer.Option(
            help="AUDIO has no header, and these samples. Known by itself of .ulaw, "
            ".mulaw and .alaw.",
            rich_help_panel=_RAW,
        ),
    ] = None,
    rate: Annotated[
        int,
        typer.Option(
            help="Samples a second of AUDIO without a header; default of mulaw and alaw: 8000.",
            min=0,
            rich_help_panel=_RAW,
        ),
    ] = 0,
    channels: Annotated[
        int | None,
        typer.Option(
            help="Its channels, interleaved; default: 1.", min=1, max=6, rich_help_panel=_RAW
        ),
    ] = None,
    model: options.Model = None,
    device: options.Device = None,
    threads: options.Threads = None,
) -> None:
    r"""Turn a recording into codes.

    The file holds one tensor `codes` \[frames, codebooks] int32, and what is needed to decode it
    to its exact length as metadata.
    """
    from csm.audio.files import read_audio
    from csm.cli.code_file import CodeFile
    from csm.cli.place import check_writable
    from csm.cli.raw_audio import RawFormat
    from csm.cli.reporting import CommandError, audio_progress, print_figures, warn

    raw = RawFormat.of(source, encoding, rate, channels)
    if raw and mend:
        raise CommandError("--mend is for files with a header")
    target = output or source.with_suffix(".safetensors")
    check_writable(target)

    async def life() -> None:
        async with _tokenizer(server, model, device, threads) as client:
            info = await client.info()
            longest_s = info.max_audio_ms / 1000
            odd: list[str] = []
            samples, rate_hz = (
                raw.read(source, longest_s)
                if raw
                else read_audio(source, max_seconds=longest_s, mend=mend, warnings=odd)
            )
            for warning in odd:
                warn(f"{source}: {warning}")
            seconds = len(samples) / rate_hz
            with audio_progress(f"encoding {source}", seconds) as progress:
                encoded = await client.encode(
                    samples, rate_hz, on_sent=lambda sent: progress.add(sent / rate_hz)
                )
            CodeFile(
                codes=encoded.codes,
                num_samples=encoded.num_samples,
                sample_rate_hz=encoded.sample_rate_hz,
                model=info.model,
                digest=info.digest,
            ).write(target)
            frames, codebooks = encoded.codes.shape
            print_figures(
                str(target),
                {
                    "audio length": f"{seconds:.2f} s at {rate_hz} Hz",
                    "codes": f"{frames} frames of {codebooks}",
                    "codec": f"{info.model}, {info.sample_rate_hz} Hz, "
                    f"{info.frame_rate_hz:g} frames a second",
                },
            )

    asyncio.run(life())


@connecting.takes_server(TOKENIZER, variable=None)
def decode(
    source: Annotated[Path, typer.Argument(help="Codes, as `csm encode` writes them.",
                                           metavar="CODES")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: CODES with .wav.")
    ] = None,
    server: connecting.ServerChoice = connecting.HERE,
    format: options.Format = None,
    rate: options.Rate = 0,
    bit_depth: options.Bits = None,
    encoding: options.Encoding = None,
    model: options.Model = None,
    device: options.Device = None,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Turn codes back into audio of the original's length."""
    from csm.cli.code_file import CodeFile
    from csm.cli.output import Output
    from csm.cli.reporting import audio_progress, console, print_figures
    from csm.client.formats import AudioFormat

    suffix = f".{format.value}" if format else ".wav"
    target = Output(output or source.with_suffix(suffix), format, rate, bit_depth, encoding)
    stored = CodeFile.read(source)

    async def life() -> None:
        async with _tokenizer(server, model, device, threads) as client:
            info = await client.info()
            stored.check(source, info.num_codebooks, info.codebook_size)
            if stored.digest and stored.digest != info.digest:
                console().print(
                    f"csm: warning: {source} was encoded by another codec ({stored.model!r}, "
                    f"digest {stored.digest[:12]}) than {info.model!r} ({info.digest[:12]})",
                    soft_wrap=True,
                )
            asked = target.format
            form = AudioFormat(asked.encoding, asked.sample_rate_hz or info.sample_rate_hz)
            length_s = len(stored.codes) / info.frame_rate_hz
            with target.open(form) as file, audio_progress(f"decoding {source}", length_s) as bar:
                async for pcm in client.decode(
                    stored.codes, format=form, num_samples=stored.num_samples
                ):
                    file.write(pcm)
                    bar.add(len(pcm) / form.sample_bytes / form.sample_rate_hz)
            print_figures(
                str(target.path),
                {"audio length": f"{file.duration_s:.2f} s at {form.sample_rate_hz} Hz"},
            )

    asyncio.run(life())


@contextlib.asynccontextmanager
async def _tokenizer(
    server: connecting.ServerChoice, model: Path | None, device: str | None, threads: int | None
) -> AsyncIterator["AsyncTokenizerClient"]:
    from csm.cli.reporting import status

    server = server.or_here(model=model, device=device, threads=threads)
    async with contextlib.AsyncExitStack() as stack:
        if server.target is None:
            from services.all_in_one import tokenizer_alone

            with status("loading the codec"):
                address = await stack.enter_async_context(
                    tokenizer_alone(model=model, device=device, threads=threads)
                )
            server = server.at(address)
        yield await stack.enter_async_context(server.tokenizer_client())
