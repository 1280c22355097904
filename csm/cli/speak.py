"""`csm speak`: a text, a file or a folder of files to audio, and to the loudspeaker."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from csm.cli import connecting, options
from csm.cli.place import STANDARD_OUTPUT, check_writable
from csm.cli.reporting import CommandError
from csm.cli.text import Language, LexiconOption, MarkupOption, NoNormalize, text_options


@connecting.takes_server(options.GATEWAY)
def speak(
    text: Annotated[
        str,
        typer.Argument(
            help="What to say: a text, a file (.txt, .md, .ssml), a folder of these, or - for "
            "standard input."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write, of a folder the folder; - is standard output. Default: "
            "speech.wav, of a file its name with .wav, with --play none.",
        ),
    ] = None,
    play: Annotated[
        bool, typer.Option("--play", help="Play it on the loudspeaker while it is made.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Of a folder: also what was spoken before.")
    ] = False,
    server: connecting.ServerChoice = connecting.HERE,
    voice: Annotated[str, typer.Option(help="The voice, by name.")] = "",
    speaker: Annotated[int | None, typer.Option(help="Speaker number.", min=0, max=65535)] = None,
    max_audio_ms: Annotated[
        int, typer.Option(help="Longest audio; 0: as long as the text takes.", min=0)
    ] = 0,
    timeout_s: Annotated[
        float | None, typer.Option(help="Give up after so many seconds.", min=0.001)
    ] = None,
    temperature: options.Temperature = None,
    depth_temperature: options.DepthTemperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    no_normalize: NoNormalize = False,
    language: Language = "",
    markup: MarkupOption = None,
    lexicon: LexiconOption = None,
    speed: options.Speed = None,
    even_loudness: options.EvenLoudness = None,
    words: Annotated[
        Path | None,
        typer.Option(help="A file for when each word is spoken, JSON; - is standard output."),
    ] = None,
    format: options.Format = None,
    rate: options.Rate = 0,
    bit_depth: options.Bits = None,
    encoding: options.Encoding = None,
    model: options.Model = None,
    voices: options.Voices = None,
    dtype: options.ServingDtype = None,
    device: options.Device = None,
    threads: options.Threads = None,
) -> None:
    """Say a text: write it as audio or play it, and print how fast it came and what was skipped."""
    import contextlib

    from csm.cli.output import Output
    from csm.cli.text_files import is_folder, read_folder, read_one

    chosen = server.or_here(model=model, voices=voices, dtype=dtype, device=device, threads=threads)
    if words is not None:
        if words == output == STANDARD_OUTPUT:
            raise CommandError("--words - and -o -: one of them needs a file")
        check_writable(words)

    def target_at(path: Path | None) -> Output | None:
        return Output(path, format, rate, bit_depth, encoding) if path else None

    skipped: list[str] = []
    if is_folder(text, output) and output is not None:
        if words is not None:
            raise CommandError("--words is for one text, not for a folder")
        files, skipped = read_folder(Path(text), output, format, again)
    else:
        files = [read_one(text, output, play)]
    # A mistake is said before the model is loaded.
    for file in files[:1]:
        target_at(file.output)
    wanted = text_options(no_normalize, language, markup, lexicon)

    async def life() -> None:
        from csm.cli.loudspeaker import Loudspeaker
        from csm.cli.reporting import status
        from csm.cli.speaking import speak_files
        from csm.client import AsyncSpeech, AudioFormat, SoundOptions
        from csm.client.client import UNARY_TIMEOUT_S
        from csm.client.retry import Deadline

        async with contextlib.AsyncExitStack() as stack:
            loudspeaker = stack.enter_context(Loudspeaker()) if play else None
            reached = chosen
            if reached.target is None:
                from services.all_in_one import AllInOne

                with status("loading the model"):
                    running = AllInOne(
                        model=model,
                        dtype=options.serving_dtype(dtype),
                        device=device,
                        threads=threads,
                        slots=1,
                        gateway={"voices_directory": voices},
                    )
                    await stack.enter_async_context(running)
                reached = reached.at(running.address)
            client = await stack.enter_async_context(reached.client())
            deadline = Deadline(timeout_s)
            info = await client.server_info(timeout_s=deadline.remaining_s() or UNARY_TIMEOUT_S)

            def synthesize(part: str, form: AudioFormat | None) -> AsyncSpeech:
                return client.synthesize(
                    part,
                    voice=voice,
                    speaker=speaker,
                    temperature=temperature,
                    depth_temperature=depth_temperature,
                    top_k=top_k,
                    top_p=top_p,
                    seed=seed,
                    max_audio_ms=max_audio_ms,
                    text_options=wanted,
                    sound_options=SoundOptions(speed, even_loudness),
                    word_times=words is not None,
                    format=form,
                    timeout_s=deadline.remaining_s(),
                )

            await speak_files(
                files,
                skipped,
                synthesize,
                info.max_text_chars,
                target_at,
                loudspeaker,
                words,
                marked=markup != "off",
            )

    asyncio.run(life())
