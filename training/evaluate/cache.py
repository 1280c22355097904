"""What a judge said of a clip, kept by the clip's digest: no clip is judged twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Cache:
    """A JSON file of verdicts, or none: then they are kept in memory alone."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the verdicts of former runs."""
        self._path = path
        self._known: dict[str, Any] = {}
        if path and path.is_file():
            self._known = json.loads(path.read_text(encoding="utf-8"))

    def judged(
        self, clips: Sequence[np.ndarray], judge: Callable[[np.ndarray], Any]
    ) -> list[Any]:  # fmt: skip
        """Return the verdict on every clip; `judge` is asked for those that are not known yet.

        A verdict is a value that JSON knows.
        """
        digests = [hashlib.blake2b(clip.tobytes(), digest_size=16).hexdigest() for clip in clips]
        before = len(self._known)
        for digest, clip in zip(digests, clips, strict=True):
            if digest not in self._known:
                self._known[digest] = judge(clip)
        if self._path and len(self._known) > before:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(self._known, indent=0), encoding="utf-8")
            fresh.replace(self._path)
        return [self._known[digest] for digest in digests]
