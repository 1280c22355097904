"""Judges recordings, one after another: `python -m gateway.hearing.recognition`, a process of its
own, so that neither the recogniser's work nor a crash of it touches anybody's audio.

In: lines of JSON `{"text": ..., "bytes": n}`, each followed by the n bytes of an audio file. Out:
a line of JSON for each, `{"verdict": ...}`. Ends with its input.
"""

import json
import os
import sys

from csm.audio.files import read_audio
from csm.audio.pcm import AudioError
from gateway.hearing.recognition.judge import MAX_S, RATE_HZ, Judge, Verdict
from gateway.text.spoken.form import spoken_words

NICENESS = 5


def main() -> None:
    """See the module."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    judge = Judge()
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        verdict = _verdict(judge, asked["text"], sys.stdin.buffer.read(asked["bytes"]))
        sys.stdout.write(json.dumps({"verdict": verdict.value}) + "\n")
        sys.stdout.flush()


def _verdict(judge: Judge, text: str, audio: bytes) -> Verdict:
    try:
        samples, _ = read_audio(audio, max_seconds=MAX_S, rate_hz=RATE_HZ)
    except AudioError:
        return Verdict.UNKNOWN
    return judge.judge(samples, spoken_words(text)).verdict


if __name__ == "__main__":
    main()
