"""Is a recording of other words found out? `python -m benchmarks.wrong_words`.

Sentences spoken by pico and by the synthesizers of the machine, each judged with its own words and
with those of a sentence of about the same length; clear, noisy, in a room and over a telephone.
Prints how many wrong words are found, and how many right ones are called wrong. Needs pocketsphinx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.clips import RATE_HZ, Clip, by_pico, by_synthesizers, sentences
from csm.audio.resample import resample
from gateway.hearing.recognition.judge import RATE_HZ as HEARD_HZ
from gateway.hearing.recognition.judge import Judge, Verdict
from gateway.text.spoken.form import spoken_words

NEAREST = 6
"""Texts nearest in length, of which one is taken for the wrong words."""

Sound = np.ndarray


def noisy(decibels: float) -> Callable[[Sound], Sound]:
    """White noise so far below the voice."""

    def add(samples: Sound) -> Sound:
        noise = np.random.default_rng(1).normal(0, 1, len(samples)).astype(np.float32)
        level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-decibels / 20)
        return samples + noise * np.float32(level)

    return add


def in_a_room(samples: Sound) -> Sound:
    """An echo that dies away within a quarter of a second."""
    tail = np.random.default_rng(2).normal(0, 0.12, 3800) * np.exp(-np.arange(3800) / 800)
    response = np.concatenate(([1.0], np.zeros(199), tail))
    return np.convolve(samples, response)[: len(samples)].astype(np.float32)


def telephone(samples: Sound) -> Sound:
    """Nothing above 4 kHz."""
    return resample(resample(samples, HEARD_HZ, 8000), 8000, HEARD_HZ)


CONDITIONS: dict[str, Callable[[Sound], Sound]] = {
    "clear": lambda samples: samples,
    "noise 30 dB": noisy(30),
    "noise 20 dB": noisy(20),
    "noise 10 dB": noisy(10),
    "room": in_a_room,
    "telephone": telephone,
}


def judged(judge: Judge, clips: Sequence[Clip], condition: str) -> dict[str, object]:
    """The shares of one source in one condition."""
    rng = np.random.default_rng(0)
    right: Counter[Verdict] = Counter()
    wrong: Counter[Verdict] = Counter()
    spent_s, heard_s = {"right": 0.0, "wrong": 0.0}, 0.0
    for clip in track(clips, condition, console=Console(stderr=True)):
        others = [c.text for c in clips if c.text != clip.text]
        others.sort(key=lambda text: abs(len(text) - len(clip.text)))
        other = others[int(rng.integers(NEAREST))]
        sound = CONDITIONS[condition](resample(clip.samples, RATE_HZ, HEARD_HZ))
        heard_s += clip.seconds
        for count, text, name in ((right, clip.text, "right"), (wrong, other, "wrong")):
            began = time.process_time()
            count[judge.judge(sound, spoken_words(text)).verdict] += 1
            spent_s[name] += time.process_time() - began
    return {
        "pairs": len(clips),
        "false_alarms": round(right[Verdict.WRONG] / len(clips), 4),
        "found": round(wrong[Verdict.WRONG] / len(clips), 4),
        "found_of_judged": round(
            wrong[Verdict.WRONG] / max(1, len(clips) - wrong[Verdict.UNKNOWN]), 4
        ),
        "not_judged": round(right[Verdict.UNKNOWN] / len(clips), 4),
        "cpu_s_of_a_second_right": round(spent_s["right"] / heard_s, 3),
        "cpu_s_of_a_second_wrong": round(spent_s["wrong"] / heard_s, 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the shares as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sentences", type=int, default=120)
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    given = parser.parse_args(arguments)
    texts = sentences(given.sentences)
    judge = Judge()
    sources = {
        "pico": asyncio.run(by_pico(texts, seed=7)),
        "synthesizers": by_synthesizers(texts),
    }
    for source, clips in sources.items():
        for condition in given.conditions if clips else ():
            print(json.dumps({source: condition} | judged(judge, clips, condition)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
