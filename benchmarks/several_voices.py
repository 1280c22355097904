"""Whether each part of a script is heard as the voice that it names.

    python -m benchmarks.several_voices

A classifier of cepstra learns each voice of the model that ships from sentences that it speaks
alone, then hears the parts of scripts in which the voices take turns. Pitch is told beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import numpy as np

from csm.client import AsyncClient
from services.all_in_one import AllInOne
from services.model_directory import default_model_directory
from training.evaluate.speaker import SpeakerClassifier, features

RATE_HZ = 24_000
WINDOW = 960
"""40 ms."""
ORDER = ("michael", "heart", "michael", "fable", "heart", "emma")
LINES = (
    "The weather is fine today.",
    "How are you this morning?",
    "We went to the market by the river.",
    "She read the letter twice.",
    "It was late when they came home.",
    "Please close the window.",
    "My brother works in the city.",
    "The train leaves in an hour.",
)


def pitch_hz(samples: np.ndarray) -> float:
    """The median pitch of the voiced parts, by autocorrelation, 70..320 Hz; 0: none is voiced."""
    found = []
    low, high = RATE_HZ // 320, RATE_HZ // 70
    for at in range(0, len(samples) - WINDOW, WINDOW // 2):
        part = samples[at : at + WINDOW] - samples[at : at + WINDOW].mean()
        matches = np.correlate(part, part, "full")[WINDOW - 1 :]
        lag = low + int(matches[low:high].argmax())
        if np.sqrt((part**2).mean()) > 0.02 and matches[lag] > matches[0] / 2:
            found.append(RATE_HZ / lag)
    return float(np.median(found)) if found else 0.0


async def spoken(client: AsyncClient, text: str, voice: str, seed: int) -> list[np.ndarray]:
    """The sound of each sentence, in order."""
    parts: dict[int, list[np.ndarray]] = {}
    async for chunk in client.synthesize(text, voice=voice, seed=seed):
        parts.setdefault(chunk.text_chars, []).append(chunk.samples)
    return [np.concatenate(parts[end]) for end in sorted(parts)]


async def measure(num_scripts: int) -> dict[str, Any]:
    """See the module; `heard` is how many parts were heard as their voice, of `parts`."""
    async with (
        AllInOne(model=default_model_directory(), slots=1, threads=1) as running,
        AsyncClient(running.address) as client,
    ):
        names = sorted(set(ORDER))
        rows, labels = [], []
        alone: dict[str, list[float]] = {name: [] for name in names}
        for number, name in enumerate(names):
            for seed, line in enumerate(LINES):
                (sound,) = await spoken(client, line, name, seed)
                rows.append(features(sound, RATE_HZ))
                labels.append(number)
                alone[name].append(pitch_hz(sound))
        classifier = SpeakerClassifier.fit(np.array(rows), labels)
        heard = 0
        together: dict[str, list[float]] = {name: [] for name in names}
        for seed in range(num_scripts):
            script = "\n".join(
                f"[voice: {name}] {LINES[(seed + at) % len(LINES)]}"
                for at, name in enumerate(ORDER)
            )
            parts = await spoken(client, script, ORDER[1], 100 + seed)
            for name, sound in zip(ORDER, parts, strict=True):
                heard += names[classifier.hear(sound, RATE_HZ)] == name
                together[name].append(pitch_hz(sound))
    return {
        "heard": heard,
        "parts": num_scripts * len(ORDER),
        "pitch_hz": {
            name: {
                "alone": round(np.median(alone[name])),
                "script": round(np.median(together[name])),
            }
            for name in names
        },
    }


def run(num_scripts: int = 6) -> dict[str, Any]:
    """What `measure` says of so many scripts."""
    return asyncio.run(measure(num_scripts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=int, default=6, help="scripts of six parts each")
    print(json.dumps(run(parser.parse_args().scripts)))
