"""`csm speak`: one text to one audio file."""

import asyncio
import re
from pathlib import Path
from typing import Annotated

import typer

from csm.cli import options
from csm.cli.place import STANDARD_OUTPUT, check_writable
from csm.cli.reporting import CommandError
from csm.cli.standard_input import read_text
from csm.cli.text import Language, LexiconOption, MarkupOption, NoNormalize, text_options


def speak(
    text: Annotated[str, typer.Argument(help="What to say; - reads standard input.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")
    ] = Path("speech.wav"),
    server: options.GatewayServer = None,
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
    """Say a text: write it as audio, and print how fast it came."""
    from csm.cli.output import Output

    options.check_server(
        server, model=model, voices=voices, dtype=dtype, device=device, threads=threads
    )
    target = Output(output, format, rate, bit_depth, encoding)
    if words is not None:
        if words == output == STANDARD_OUTPUT:
            raise CommandError("--words - and -o -: one of them needs a file")
        check_writable(words)
    said = read_text().strip() if text == "-" else text

    wanted = text_options(no_normalize, language, markup, lexicon)

    async def life() -> None:
        import contextlib

        from csm.cli.listening import report, write_speech, write_words
        from csm.cli.reporting import status
        from csm.client import AsyncClient, SoundOptions
        from csm.client.client import UNARY_TIMEOUT_S
        from csm.client.retry import Deadline

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
                        gateway={"voices_directory": voices},
                    )
                    await stack.enter_async_context(running)
                address = running.address
            client = await stack.enter_async_context(AsyncClient(address))
            deadline = Deadline(timeout_s)
            info = await client.server_info(timeout_s=deadline.remaining_s() or UNARY_TIMEOUT_S)
            speeches = (
                (
                    first_char,
                    client.synthesize(
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
                        format=target.format,
                        timeout_s=deadline.remaining_s(),
                    ),
                )
                for first_char, part in parts_by_voice(said, info.max_text_chars)
            )
            spoken = await write_speech(speeches, target, "speaking")
            if spoken is None:
                raise CommandError(f"{target.path}: not written, the model ended without audio")
            report(spoken, target)
            if words is not None:
                write_words(spoken.words, words)

    asyncio.run(life())


_BOUNDARIES = (re.compile(r"\n\s*\n"), re.compile(r"[.!?\u3002\uff01\uff1f][\"')\]]*\s"),
               re.compile(r"[,;:]\s|\s"))  # fmt: skip


_VOICE_TAG = re.compile(r"\[(?:voice[ \t]*[:=][^\[\]\r\n]{1,80}|/voice)\]", re.IGNORECASE)


def parts_by_voice(text: str, most_chars: int) -> list[tuple[int, str]]:
    """As `parts_of`, where a tag that says who speaks holds in the parts behind it too: it stands
    at the beginning of each, which then begins as many characters earlier."""
    longest = max((len(tag) for tag in _VOICE_TAG.findall(text)), default=0)
    if not longest or longest * 2 > most_chars:
        return parts_of(text, most_chars)
    parts, tag = [], ""
    for begin, part in parts_of(text, most_chars - longest):
        parts.append((begin - len(tag), tag + part))
        tag = (_VOICE_TAG.findall(part) or [tag])[-1]
    return parts


def parts_of(text: str, most_chars: int) -> list[tuple[int, str]]:
    """The text in parts of at most `most_chars` characters, and where each begins in it.

    Whole paragraphs where they fit, else whole sentences, else words. A word that is longer stays
    one part, which a server refuses.
    """
    parts = []
    begin = 0
    while most_chars and len(text) - begin > most_chars:
        end = _cut(text, begin, most_chars)
        if end is None:
            break
        parts.append((begin, text[begin:end].rstrip()))
        begin = end + len(text[end:]) - len(text[end:].lstrip())
    return [*parts, (begin, text[begin:])]


def _cut(text: str, begin: int, most_chars: int) -> int | None:
    """Where the part that begins there ends; None: nowhere before the text does."""
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(text, begin, begin + most_chars + 1)]
        # A part that is much too short is worth less than a boundary that is the second best.
        if ends and ends[-1] > begin + most_chars // 4:
            return ends[-1]
    found = _BOUNDARIES[-1].search(text, begin + 1)
    return found.end() if found and text[found.end() :].strip() else None
