"""A voice assistant: it hears, understands, answers aloud, and can be interrupted.

    python examples/voice_assistant.py question.wav --words "Where is the station?" -o talk.wav
    python examples/voice_assistant.py --recogniser pocketsphinx --llm http://127.0.0.1:11434/v1

Without recordings it listens to the microphone (pip install sounddevice) and plays its answers;
with --barge-in, for headphones, speaking while it speaks stops it. What was heard is the context
of what is spoken, and the answer is spoken from its first sentence on, while the rest is written.
"""

import argparse
import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from answers import Answers, add_arguments, answers, as_they_come
from connection import arguments_of, connected, run
from recognition import BLOCK_S, RATE_HZ, Samples, recogniser, utterances

from csm import AsyncConversation, AudioChunk, AudioFormat, TurnCompleted
from csm.audio.files import read_audio
from csm.audio.wav import WavStream

LOUD = 0.05
"""An RMS of the microphone that interrupts."""


class Microphone:
    """What is said into it, an utterance at a time, and whether somebody speaks now."""

    def __init__(self) -> None:
        import sounddevice

        self._blocks: queue.Queue[Samples | None] = queue.Queue()
        self.loud = threading.Event()
        self._stream = sounddevice.InputStream(
            RATE_HZ, round(BLOCK_S * RATE_HZ), channels=1, callback=self._take
        )

    def _take(self, block: Samples, *_: Any) -> None:
        if np.sqrt(np.mean(block**2)) > LOUD:
            self.loud.set()
        self._blocks.put(block[:, 0].copy())

    def _heard(self) -> Iterator[Samples]:
        while (block := self._blocks.get()) is not None:
            yield block

    def __iter__(self) -> Iterator[Samples]:
        with self._stream:
            yield from utterances(self._heard())

    def forget(self) -> None:
        """Drops what came meanwhile: the answer, out of the loudspeaker."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._blocks.get_nowait()

    def close(self) -> None:
        """Ends the iteration, which another thread may be waiting in."""
        self._blocks.put(None)


class Assistant:
    """One conversation with somebody."""

    def __init__(self, conversation: AsyncConversation, answer: Answers, file: Path | None) -> None:
        self._conversation, self._answer = conversation, answer
        self._file = WavStream(file, conversation.started.format) if file else None
        self._speaker: Any = None

    async def turn(self, heard: Samples, words: str, loud: threading.Event | None) -> None:
        """Takes in what was heard, and answers; `loud` set: somebody interrupts."""
        began = time.monotonic()
        await self._conversation.send_audio(heard)
        await self._conversation.end_turn(heard_text=words)
        interrupted = asyncio.Event()
        saying = asyncio.create_task(self._say(words, interrupted))
        heard_ms = 0.0
        async for event in self._conversation:
            if isinstance(event, AudioChunk) and not interrupted.is_set():
                if not heard_ms:
                    print(f"  first audio after {(time.monotonic() - began) * 1000:.0f} ms")
                if loud is not None and loud.is_set():
                    interrupted.set()
                    await self._conversation.cancel(heard_ms=round(heard_ms))
                    continue
                await self._play(event)
                heard_ms += event.duration_s * 1000
            elif isinstance(event, TurnCompleted):
                if event.error:
                    raise event.error
                if not event.heard:
                    print(f"  {event.finish_reason.value}, {event.kept_audio_ms} ms were heard")
                    break
        await saying

    async def _say(self, words: str, interrupted: asyncio.Event) -> None:
        said = ""
        async for part in as_they_come(self._answer(words)):
            if interrupted.is_set():
                break
            said += part
            await self._conversation.say(part)
        print(f"said:  {said.strip()}")
        await self._conversation.end_turn()

    async def _play(self, chunk: AudioChunk) -> None:
        if self._file:
            self._file.write(chunk.pcm)
            return
        if self._speaker is None:
            import sounddevice

            self._speaker = sounddevice.OutputStream(chunk.sample_rate_hz, channels=1)
            self._speaker.start()
        await asyncio.to_thread(self._speaker.write, chunk.samples)

    def close(self) -> None:
        """Completes the file."""
        if self._file:
            self._file.close()


async def main(arguments: argparse.Namespace) -> None:
    """Hears recordings or the microphone, to their end."""
    microphone = None if arguments.recordings else Microphone()
    recordings = (
        read_audio(one, max_seconds=60, rate_hz=RATE_HZ)[0] for one in arguments.recordings
    )
    source = iter(microphone or recordings)
    recognise = recogniser(arguments.recogniser) if arguments.recogniser else None
    scripted = iter(arguments.words)
    loud = microphone.loud if microphone and arguments.barge_in else None
    async with (
        connected(arguments) as client,
        client.converse(
            voice=arguments.voice,
            input_format=AudioFormat("s16", RATE_HZ),
            max_lead_ms=250 if microphone else 0,
        ) as conversation,
    ):
        assistant = Assistant(conversation, answers(arguments), arguments.output)
        try:
            while (heard := await asyncio.to_thread(next, source, None)) is not None:
                words = next(scripted, "")
                if recognise:
                    words = await asyncio.to_thread(recognise, heard, RATE_HZ)
                print(f"heard: {words}")
                if loud:
                    loud.clear()
                await assistant.turn(heard, words, loud)
                if microphone and not loud:
                    microphone.forget()
        finally:
            assistant.close()
            if microphone:
                microphone.close()


if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("recordings", type=Path, nargs="*", help="default: the microphone")
    parser.add_argument("--words", action="append", default=[], help="of each recording, in order")
    parser.add_argument("--recogniser", default="", help="see examples/recognition.py")
    parser.add_argument("-o", "--output", type=Path, help="a WAV with the answers")
    parser.add_argument("--voice", default="")
    parser.add_argument("--barge-in", action="store_true", help="who speaks interrupts")
    add_arguments(parser)
    run(main, parser.parse_args())
