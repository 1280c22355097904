"""How far off are estimated word times? `python -m benchmarks.word_times`.

Sentences spoken by pico's voices with word times, as they are streamed; a forced alignment by
pocketsphinx says where each word begins. Beside it the plain guesses: in proportion to characters,
knowing the whole length, which nobody who streams does; and so many characters a second. Needs
pocketsphinx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.clips import RATE_HZ, Clip, by_pico, by_synthesizers, sentences
from csm.audio.resample import resample
from csm.v1 import common_pb2
from gateway.commands import SamplingOptions, StreamFormat, TurnOptions
from gateway.hearing.recognition.judge import RATE_HZ as HEARD_HZ
from gateway.hearing.recognition.judge import Judge
from gateway.marks.paces import Paces
from gateway.marks.spoken_word import SpokenWord
from gateway.marks.turn_marks import TurnMarks
from gateway.speaking.spoken_sentences import SpokenSentence
from gateway.text.expectation import CHARS_PER_SECOND
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits
from gateway.text.options import TextRules
from gateway.text.voicing import Voicing

FRAME_MS, FRAME_SAMPLES = 80, 1920
LEAD_FRAMES = 3
_MARKS = re.compile(r"[^a-z' ]")


def aligned_ms(judge: Judge, clip: Clip) -> list[int] | None:
    """When each word begins by forced alignment; None where that does not go."""
    words = _MARKS.sub("", clip.text.lower()).split()
    times = judge.aligned(resample(clip.samples, RATE_HZ, HEARD_HZ), words)
    return None if times is None else [start for start, _ in times]


def streamed(clip: Clip, paces: Paces, *, ahead_frames: int) -> Sequence[SpokenWord]:
    """The word times of a clip that is handed over frame by frame, `ahead_frames` of it made
    before each leaves; all of them: the whole sentence is known before its first sound leaves."""
    form = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, RATE_HZ, 1)
    (sentence,) = FrontEnd(TextRules(), Voicing.alone(Lexicon({}), Limits(1000))).whole(clip.text)
    spoken = SpokenSentence(sentence, 0)
    options = TurnOptions(0, form, SamplingOptions(), word_times=True)
    marks = TurnMarks(options, FRAME_MS, lambda: [spoken], True, paces)
    pcm = (clip.samples.clip(-1, 1) * 32767).astype("<i2").tobytes()
    num_frames = -(-len(clip.samples) // FRAME_SAMPLES)
    found: list[SpokenWord] = []
    for frame in range(num_frames):
        while spoken.num_frames < min(num_frames, frame + 1 + ahead_frames):
            at = spoken.num_frames * FRAME_SAMPLES * 2
            spoken.num_frames += 1
            marks.sound(pcm[at : at + FRAME_SAMPLES * 2], spoken.num_frames)
        spoken.whole = spoken.num_frames == num_frames
        found += marks.begun(frame * FRAME_SAMPLES, FRAME_SAMPLES)
    return found


def by_characters_ms(clip: Clip, words: Sequence[SpokenWord]) -> list[float]:
    """Each word's beginning in proportion to the characters before it."""
    return [word.first_char / len(clip.text) * clip.seconds * 1000 for word in words]


def figures(errors_ms: Sequence[float]) -> dict[str, float]:
    """Median and 90 % of the absolute errors, and which way they lean."""
    away = np.abs(errors_ms)
    return {
        "median_ms": round(float(np.median(away))),
        "90_percent_ms": round(float(np.percentile(away, 90))),
        "bias_ms": round(float(np.median(errors_ms))),
    }


def measured(judge: Judge, clips: Sequence[Clip]) -> dict[str, Any]:
    """The errors of the beginnings of words, each estimate on the same words."""
    errors: dict[str, list[float]] = {}
    paces: defaultdict[tuple[str, str], Paces] = defaultdict(Paces)
    used = words = 0
    for clip in clips:
        reference = aligned_ms(judge, clip)
        whole = streamed(clip, Paces(), ahead_frames=10_000)
        if reference is None or len(reference) != len(whole):
            continue
        used, words = used + 1, words + len(whole)
        estimates: dict[str, Sequence[float]] = {
            "characters, length known": by_characters_ms(clip, whole),
            "characters at a fixed pace": [w.first_char * 1000 / CHARS_PER_SECOND for w in whole],
            "whole sentence made": [w.start_ms for w in whole],
        }
        for name, ahead_frames in (("240 ms ahead", LEAD_FRAMES), ("as it is made", 0)):
            # A voice of its own each time, or one that has spoken before.
            new = streamed(clip, Paces(), ahead_frames=ahead_frames)
            known = streamed(clip, paces[name, clip.voice], ahead_frames=ahead_frames)
            estimates[f"{name}, unknown voice"] = [w.start_ms for w in new]
            estimates[f"{name}, known voice"] = [w.start_ms for w in known]
        if len(clip.words) == len(whole):
            estimates["as the server told"] = [w.start_ms for w in clip.words]
        for name, starts in estimates.items():
            found = zip(starts, reference, strict=True)
            errors.setdefault(name, []).extend(start - true for start, true in found)
    return {"sentences": used, "words": words} | {n: figures(e) for n, e in errors.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the errors as JSON; 1 where the estimate is no better than the plain guess."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sentences", type=int, default=100)
    given = parser.parse_args(arguments)
    texts = sentences(given.sentences)
    judge = Judge()
    pico = measured(judge, asyncio.run(by_pico(texts, seed=11)))
    print(json.dumps({"pico": pico}, indent=2), flush=True)
    if others := by_synthesizers(texts):
        print(json.dumps({"synthesizers": measured(judge, others)}, indent=2))
    told, guessed = pico["as the server told"], pico["characters, length known"]
    return int(told["median_ms"] >= guessed["median_ms"])


if __name__ == "__main__":
    raise SystemExit(main())
