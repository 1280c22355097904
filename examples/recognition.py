"""What hears words in the examples: a script, PocketSphinx, a server, or a function of yours.

| `--recogniser` | |
|---|---|
| `script:FILE` | a line of the file for each utterance: nothing is recognised |
| `pocketsphinx` | `pip install pocketsphinx` brings a small model of English; it errs often |
| `http://HOST/v1` | an OpenAI-compatible endpoint for `/audio/transcriptions` |
| `module:function` | called with mono float32 samples and their rate, gives the words |
"""

import importlib
import io
import itertools
import json
import os
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Recogniser = Callable[[Samples, int], str]

RATE_HZ = 16_000
BLOCK_S = 0.02
PAUSE_S = 0.7
"""So much quiet ends an utterance."""
LEAST_S, MOST_S = 0.2, 30.0
QUIET = 0.003
"""An RMS that is never speech."""
OVER_NOISE = 3.0


def recogniser(name: str) -> Recogniser:
    """What the option names; raises `ValueError` where there is no such thing."""
    kind, _, rest = name.partition(":")
    if kind == "script" and rest:
        lines = [one for one in Path(rest).read_text("utf-8").splitlines() if one.strip()]
        script = itertools.cycle(lines or [""])
        return lambda _samples, _rate_hz: next(script)
    if kind == "pocketsphinx":
        return _pocketsphinx()
    if kind in ("http", "https"):
        return lambda samples, rate_hz: _transcription(name.rstrip("/"), samples, rate_hz)
    if rest:
        function = getattr(importlib.import_module(kind), rest, None)
        if callable(function):
            return function  # type: ignore[no-any-return]
    raise ValueError(f"--recogniser: {name!r} is not allowed; see examples/recognition.py")


def utterances(blocks: Iterable[Samples], rate_hz: int = RATE_HZ) -> Iterator[Samples]:
    """What somebody says between two pauses, out of mono audio in blocks of any length."""
    step = round(BLOCK_S * rate_hz)
    waiting, spoken = np.zeros(0, np.float32), [np.zeros(0, np.float32)]
    noise, quiet_s, loud_s = QUIET, 0.0, 0.0
    for block in itertools.chain(blocks, [np.zeros(round((PAUSE_S + 0.1) * rate_hz), np.float32)]):
        waiting = np.concatenate([waiting, block])
        for first in range(0, len(waiting) // step * step, step):
            here = waiting[first : first + step]
            rms = float(np.sqrt(np.mean(here**2)))
            # The noise is what it is quiet: it falls at once and rises slowly.
            noise = max(QUIET, min(noise * 1.005, rms) if rms < noise * OVER_NOISE else noise)
            loud = rms > noise * OVER_NOISE
            quiet_s, loud_s = (0.0, loud_s + BLOCK_S) if loud else (quiet_s + BLOCK_S, loud_s)
            spoken.append(here)
            if loud_s == 0:
                # Half a second before the first sound, which may begin softly.
                spoken = spoken[-25:]
            elif quiet_s > PAUSE_S or len(spoken) * BLOCK_S > MOST_S:
                if loud_s > LEAST_S:
                    yield np.concatenate(spoken)
                spoken, loud_s = [], 0.0
        waiting = waiting[len(waiting) // step * step :]


def _pocketsphinx() -> Recogniser:
    from pocketsphinx import Decoder

    from csm.audio.resample import Resampler

    decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL")

    def recognise(samples: Samples, rate_hz: int) -> str:
        resampler = Resampler(rate_hz, RATE_HZ)
        heard = np.concatenate([resampler.feed(samples), resampler.finish()])
        decoder.start_utt()
        decoder.process_raw((heard * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        return decoder.hyp().hypstr if decoder.hyp() else ""

    return recognise


def _transcription(url: str, samples: Samples, rate_hz: int) -> str:
    """The words by an OpenAI-compatible server, over the standard library."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="PCM_16")
    border = uuid.uuid4().hex
    field = f"--{border}\r\nContent-Disposition: form-data; name="
    body = (
        f'{field}"model"\r\n\r\nwhisper-1\r\n'
        f'{field}"file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    ).encode()
    body += file.getvalue() + f"\r\n--{border}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={border}"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{url}/audio/transcriptions", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.loads(answer.read(1 << 20))["text"]).strip()
