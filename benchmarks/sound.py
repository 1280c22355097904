"""What is done to sound, measured on pico's speech: `python -m benchmarks.sound`.

Pace: length, pitch, words that a recogniser hears, milliseconds to the first audio and of CPU a
frame. Loudness: how far turns and voices lie apart, as they are and evened. Needs pocketsphinx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csm.audio.loudness import loudness_lufs
from csm.client import AsyncClient, SoundOptions
from gateway.sound.chain import Chain
from gateway.sound.options import Processing
from gateway.sound.voice_gain import VoiceGain
from services.all_in_one import AllInOne
from training.evaluate.recogniser import Recogniser
from training.evaluate.words import count_errors, total, words_of

RATE_HZ = 24_000
FRAME_MS = 80.0
SPEEDS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)
TEXTS = (
    "The evening train was late again.",
    "Please leave the keys on the table near the door.",
    "We walked along the river until it was dark.",
    "My brother keeps bees behind the old stone house.",
    "There is a letter for you from the city council.",
    "The children were playing football in the rain.",
)


@dataclass(frozen=True)
class Spoken:
    """A turn: mono samples at 24 kHz, and milliseconds to its first audio."""

    samples: np.ndarray
    first_ms: float


async def speak(
    client: AsyncClient, text: str, seed: int, options: SoundOptions, voice: str = ""
) -> Spoken:
    """One turn."""
    began = time.monotonic()
    first_ms, chunks = 0.0, []
    async for chunk in client.synthesize(text, seed=seed, voice=voice, sound_options=options):
        first_ms = first_ms or (time.monotonic() - began) * 1000
        chunks.append(chunk.samples)
    return Spoken(np.concatenate(chunks), first_ms)


def pitch_hz(samples: np.ndarray) -> float:
    """Median F0 of what is voiced, by autocorrelation."""
    width, found = RATE_HZ // 25, []
    for begin in range(0, len(samples) - width, RATE_HZ // 100):
        part = samples[begin : begin + width] - samples[begin : begin + width].mean()
        if np.sqrt(np.mean(part**2)) < 0.02:
            continue
        likeness = np.fft.irfft(np.abs(np.fft.rfft(part * np.hanning(width), 4 * width)) ** 2)
        period = 60 + int(np.argmax(likeness[60:400]))
        if likeness[period] > 0.5 * likeness[0]:
            found.append(RATE_HZ / period)
    return float(np.median(found))


def cpu_ms(processing: Processing, samples: np.ndarray) -> float:
    """Milliseconds of CPU that a frame of the model takes in the chain."""
    chain, frame = Chain(processing, RATE_HZ, FRAME_MS), round(RATE_HZ * FRAME_MS / 1000)
    began, frames = time.process_time(), 0
    for frames, at in enumerate(range(0, len(samples), frame), 1):
        chain.feed(samples[at : at + frame], frames)
    chain.finish()
    return (time.process_time() - began) * 1000 / frames


async def pace(client: AsyncClient, seeds: int) -> list[dict[str, float]]:
    """A row for each speed."""
    lines = [(text, seed) for seed in range(1, seeds + 1) for text in TEXTS]
    turns = {
        speed: [await speak(client, *line, SoundOptions(speed=speed)) for line in lines]
        for speed in SPEEDS
    }
    wanted = [words_of(text) for text, _ in lines]
    recogniser = Recogniser(jobs=1)
    plain, rows = turns[1.0], []
    for speed, spoken in turns.items():
        heard = await asyncio.to_thread(
            recogniser.transcribe, [turn.samples for turn in spoken], RATE_HZ
        )
        edits = [count_errors(a, words_of(b)) for a, b in zip(wanted, heard, strict=True)]
        pairs = list(zip(spoken, plain, strict=True))
        rows.append(
            {
                "speed": speed,
                "length_error_percent": round(
                    100 * max(abs(len(a.samples) * speed / len(b.samples) - 1) for a, b in pairs), 2
                ),
                "pitch_ratio": round(
                    statistics.median(pitch_hz(a.samples) / pitch_hz(b.samples) for a, b in pairs),
                    3,
                ),
                "word_errors": round(total(edits).rate, 3),
                "first_audio_ms": round(statistics.median(t.first_ms for t in spoken), 1),
                "cpu_ms_a_frame": round(
                    0.0 if speed == 1.0 else cpu_ms(Processing(speed), plain[0].samples), 2
                ),
            }
        )
    return rows


async def loudness(client: AsyncClient, voices: Sequence[str], seeds: int) -> dict[str, object]:
    """How loud the turns of each voice are, before and after."""
    figures: dict[str, object] = {}
    for name, options in (
        ("as_they_are", SoundOptions(even_loudness=False)),
        ("evened", SoundOptions(even_loudness=True)),
    ):
        found = {
            voice: [
                loudness_lufs((await speak(client, text, seed, options, voice)).samples, RATE_HZ)
                for seed in range(1, seeds + 1)
                for text in TEXTS
            ]
            for voice in voices
        }
        # The first turns teach what the voice is like.
        later = {voice: turns[len(TEXTS) :] for voice, turns in found.items()}
        means = [statistics.mean(turns) for turns in later.values()]
        figures[name] = {
            "mean_lufs": {
                voice: round(statistics.mean(turns), 1) for voice, turns in later.items()
            },
            "voices_apart_lu": round(max(means) - min(means), 2),
            "turns_apart_lu_sd": round(
                statistics.mean(statistics.stdev(turns) for turns in later.values()), 2
            ),
        }
    return figures


async def measure(seeds: int) -> dict[str, object]:
    """All figures."""
    async with AllInOne(slots=1, threads=1) as running, AsyncClient(running.address) as client:
        voices = [voice.name for voice in await client.list_voices()]
        await speak(client, TEXTS[0], 0, SoundOptions())
        samples = (await speak(client, TEXTS[1], 0, SoundOptions())).samples
        return {
            "pace": await pace(client, seeds),
            "loudness": await loudness(client, voices, max(2, seeds)),
            "cpu_ms_a_frame": {
                "gain and limiter": round(cpu_ms(Processing(gain=VoiceGain(-20, -27)), samples), 3),
                "trims": round(
                    cpu_ms(
                        Processing(max_leading_silence_ms=0, max_trailing_silence_ms=0), samples
                    ),
                    3,
                ),
            },
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2, help="each text is spoken so many times")
    given = parser.parse_args(arguments)
    print(json.dumps(asyncio.run(measure(given.seeds)), indent=2))


if __name__ == "__main__":
    main()
