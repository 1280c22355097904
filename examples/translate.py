"""Speech-to-speech translation: what a recording says, in another language.

    python examples/translate.py frage.wav english.wav --recogniser script:frage.txt
    python examples/translate.py hello.wav hallo.wav --recogniser pocketsphinx --to German \\
        --translator http://127.0.0.1:11434/v1

The recording is cut at its pauses; each utterance is recognised, translated and spoken, the next
one recognised meanwhile. The translator is a table of phrases (the default, German to English), an
OpenAI-compatible language model by URL, or `module:function` of yours. With --keep-voice the
utterance is the model's context, so that a model that takes up voices, CSM-1B, speaks like who
was heard.
"""

import argparse
import asyncio
import importlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import soundfile
from connection import arguments_of, connected, run
from recognition import RATE_HZ, Samples, recogniser, utterances

from csm import ContextTurn
from csm.audio.files import read_audio
from csm.audio.wav import WavStream
from csm.language_model import LanguageModel

TABLE = Path(__file__).parent / "texts" / "german.tsv"
Translator = Callable[[str], str]


def table(file: Path) -> Translator:
    """Phrases and what they mean, with a tab between; the longest phrase counts, and a word that is
    in none stays as it is."""
    lines = [line.split("\t") for line in file.read_text("utf-8").splitlines() if "\t" in line]
    phrases = {phrase.lower(): meaning for phrase, meaning in lines}

    def translate(words: str) -> str:
        left = re.findall(r"[\w']+", words.lower())
        found = []
        while left:
            for count in range(len(left), 0, -1):
                phrase = " ".join(left[:count])
                if phrase in phrases or count == 1:
                    found.append(phrases.get(phrase, phrase))
                    del left[:count]
                    break
        said = " ".join(found)
        return said[:1].upper() + said[1:] + ("?" if words.strip().endswith("?") else ".")

    return translate


def translator(name: str, language: str) -> Translator:
    """What the option names; raises `ValueError` where there is no such thing."""
    if name.startswith(("http://", "https://")):
        system = f"Translate what is said into {language}. Answer with the translation alone."
        model = LanguageModel(name, system=system)
        return lambda words: "".join(model.answer(words))
    if Path(name).is_file():
        return table(Path(name))
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None) if function else None
    if not callable(found):
        raise ValueError(f"--translator: {name!r} is neither a URL, a file nor module:function")
    return found  # type: ignore[no-any-return]


def as_context(heard: Samples, words: str) -> ContextTurn:
    """An utterance as the turn before."""
    file = io.BytesIO()
    soundfile.write(file, heard, RATE_HZ, format="WAV", subtype="PCM_16")
    return ContextTurn(0, words, audio=file.getvalue())


async def main(arguments: argparse.Namespace) -> None:
    """Translates the recording from its first utterance to its last."""
    samples, _ = read_audio(arguments.recording, max_seconds=600, rate_hz=RATE_HZ)
    recognise = recogniser(arguments.recogniser)
    translate = translator(arguments.translator, arguments.to)

    def understand(heard: Samples) -> tuple[Samples, str, str]:
        words = recognise(heard, RATE_HZ)
        return heard, words, translate(words) if words else ""

    step = RATE_HZ // 5
    blocks = (samples[first : first + step] for first in range(0, len(samples), step))
    heard = utterances(blocks)
    understood: asyncio.Queue[tuple[Samples, str, str] | None] = asyncio.Queue(2)

    async def listen() -> None:
        for one in heard:
            await understood.put(await asyncio.to_thread(understand, one))
        await understood.put(None)

    wav = None
    async with connected(arguments) as client, asyncio.TaskGroup() as group:
        group.create_task(listen())
        while (one := await understood.get()) is not None:
            utterance, words, meaning = one
            print(f"{words}\n  {meaning}")
            if not meaning:
                continue
            context = [as_context(utterance, words)] if arguments.keep_voice else []
            async for chunk in client.synthesize(meaning, voice=arguments.voice, context=context):
                wav = wav or WavStream(arguments.output, chunk.format)
                wav.write(chunk.pcm)
    if wav is None:
        raise ValueError(f"{arguments.recording}: nothing was said in it that could be translated")
    wav.close()


if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("output", type=Path, help="a WAV")
    parser.add_argument("--recogniser", default="pocketsphinx", help="see examples/recognition.py")
    parser.add_argument("--translator", default=str(TABLE), help="a file, URL or module:function")
    parser.add_argument("--to", default="English", help="the language, for a language model")
    parser.add_argument("--voice", default="")
    parser.add_argument("--keep-voice", action="store_true", help="speak like who was heard")
    run(main, parser.parse_args())
