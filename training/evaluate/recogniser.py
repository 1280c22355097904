"""What pocketsphinx hears: one process for many clips, and no clip heard twice."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from csm.audio.pcm import Samples
from csm.audio.resample import resample

PROGRAM = "pocketsphinx_batch"
MODEL_DIRECTORY = Path("/usr/share/pocketsphinx/model/en-us")
RATE_HZ = 16_000
# Clips a process at most: its start costs half a second, and its files lie on disk.
_BATCH = 50
_LINE = re.compile(r"^(?P<text>.*?) ?\((?P<name>\d+) -?\d+\)$")


@dataclass
class Recogniser:
    """Pocketsphinx with its US English model.

    `cache` is a JSON file of transcripts by the audio's digest: a teacher is heard only once.
    `jobs` processes run at once. `heard_s` and `spent_s` count the seconds of audio that were
    really recognised, and those it took.
    """

    cache: Path | None = None
    jobs: int = 1
    heard_s: float = 0.0
    spent_s: float = 0.0
    _known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"jobs: {self.jobs} is not allowed, must be >= 1")
        if not available():
            raise ValueError(
                f"{PROGRAM}: the program or its model in {MODEL_DIRECTORY} is missing; install the "
                "packages pocketsphinx and pocketsphinx-en-us"
            )
        if self.cache and self.cache.is_file():
            self._known = json.loads(self.cache.read_text(encoding="utf-8"))

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of audio; NaN while all came from the cache."""
        return self.spent_s / self.heard_s if self.heard_s else float("nan")

    def transcribe(self, clips: Sequence[Samples], rate_hz: int) -> list[str]:
        """Return what is heard in each clip, lower case words, empty where nothing is.

        Args:
            clips: mono float32 [samples] in [-1, 1].
            rate_hz: of all clips.

        Raises:
            ValueError: a clip is no one-dimensional audio.
            RuntimeError: the program fails; with the end of its log.
        """
        audio = [_at_its_rate(clip, rate_hz) for clip in clips]
        digests = [hashlib.blake2b(one.tobytes(), digest_size=16).hexdigest() for one in audio]
        # A dict: the same audio twice is recognised once.
        new = {d: a for d, a in zip(digests, audio, strict=True) if d not in self._known}
        waiting = list(new.items())
        size = max(1, min(_BATCH, -(-len(waiting) // self.jobs)))
        batches = [waiting[i : i + size] for i in range(0, len(waiting), size)]
        began = time.perf_counter()
        with ThreadPoolExecutor(self.jobs) as pool:
            for batch, texts in zip(batches, pool.map(_recognise, batches), strict=True):
                self._known |= {d: t for (d, _), t in zip(batch, texts, strict=True)}
        if waiting:
            self.spent_s += time.perf_counter() - began
            self.heard_s += sum(len(a) for _, a in waiting) / RATE_HZ
            self._save()
        return [self._known[digest] for digest in digests]

    def _save(self) -> None:
        if self.cache:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.cache.with_suffix(".new")
            fresh.write_text(json.dumps(self._known, indent=0), encoding="utf-8")
            fresh.replace(self.cache)


def available() -> bool:
    """Return whether the program and its model are installed."""
    return shutil.which(PROGRAM) is not None and MODEL_DIRECTORY.is_dir()


def _at_its_rate(clip: Samples, rate_hz: int) -> np.ndarray:
    """Return int16 [samples] at 16 kHz."""
    if clip.ndim != 1:
        raise ValueError(f"clips: shape {list(clip.shape)} is not allowed, must be [samples]")
    sound = resample(clip.astype(np.float32), rate_hz, RATE_HZ)
    return (sound.clip(-1, 1) * 32767).astype("<i2")


def _recognise(batch: Sequence[tuple[str, np.ndarray]]) -> list[str]:
    """Run the program over raw files of the batch; returns its texts in order."""
    with tempfile.TemporaryDirectory(prefix="recogniser-") as folder:
        place = Path(folder)
        for number, (_, audio) in enumerate(batch):
            audio.tofile(place / f"{number}.raw")
        (place / "control").write_text("".join(f"{n}\n" for n in range(len(batch))))
        options = {
            "-hmm": MODEL_DIRECTORY / "en-us",
            "-lm": MODEL_DIRECTORY / "en-us.lm.bin",
            "-dict": MODEL_DIRECTORY / "cmudict-en-us.dict",
            "-adcin": "yes",
            "-cepdir": place,
            "-cepext": ".raw",
            "-ctl": place / "control",
            "-hyp": place / "heard",
            "-logfn": place / "log",
            # Each clip by its own mean: what is heard must not depend on the clips before it.
            "-cmn": "batch",
        }
        command = [PROGRAM, *(str(part) for pair in options.items() for part in pair)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        heard = place / "heard"
        if done.returncode or not heard.is_file():
            log = place / "log"
            tail = (log.read_text(errors="replace") if log.is_file() else done.stderr)[-1000:]
            raise RuntimeError(f"{PROGRAM} ended with {done.returncode}: {tail}")
        texts = {int(m["name"]): m["text"] for m in map(_LINE.match, _lines(heard)) if m}
        return [texts.get(number, "") for number in range(len(batch))]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
