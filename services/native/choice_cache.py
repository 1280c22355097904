"""What was measured here before: a small file a model, beside the libraries. It may always be lost:
then it is measured anew."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from services.native import cache, levels
from services.native.timing import Timed

log = logging.getLogger(__name__)

KEPT = 32
"""Files; the oldest go."""
MAX_BYTES = 1 << 16
"""A longer one is none of ours."""
_FORMAT = 1
"""Goes up when what is measured changes."""


def key_of(subject: Mapping[str, object]) -> str:
    """Return 16 hex digits that change with anything of the subject, and with the processor."""
    whole = {"format": _FORMAT, "processor": levels.processor(), **subject}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()[:16]


def recall(key: str, names: Collection[str]) -> dict[str, dict[str, Timed]] | None:
    """Return the times that are remembered, None: none, or none that can be used.

    Args:
        key: of what was measured.
        names: of the levels that may be in it.
    """
    for directory in filter(cache.is_safe, cache.directories()):
        path = _path(directory, key)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"is longer than {MAX_BYTES} bytes")
            return _read(json.loads(path.read_text(encoding="utf-8")), names)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.debug("%s cannot be read: %s", path, error)
        # Of JSON and of UTF-8 too; nested too deep.
        except (ValueError, RecursionError) as error:
            log.info("%s is not used, and made anew: %s", path, error)
    return None


def remember(key: str, times: Mapping[str, Mapping[str, Timed]]) -> None:
    """Keep the times in the first place that can be written; nowhere is no error."""
    told = {
        level: {work: [pair.native_ms, pair.torch_ms] for work, pair in by_work.items()}
        for level, by_work in times.items()
    }
    for directory in cache.directories():
        try:
            cache.make(directory)
            handle, name = tempfile.mkstemp(dir=directory, prefix=".building-", suffix=".json")
            with contextlib.ExitStack() as stack:
                stack.callback(Path(name).unlink, missing_ok=True)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(told, file)
                # Whole or not at all.
                os.replace(name, _path(directory, key))
            cache.clean(directory, "choice-*.json", kept=KEPT)
            return
        except OSError as error:
            log.debug("%s cannot be written: %s", directory, error)
    log.info("what was measured is kept nowhere: no place can be written")


def _path(directory: Path, key: str) -> Path:
    return directory / f"choice-{key}.json"


def _read(found: Any, names: Collection[str]) -> dict[str, dict[str, Timed]]:
    """Raises ValueError where it is not what `remember` wrote."""
    if not isinstance(found, dict) or not found or not found.keys() <= set(names):
        raise ValueError("levels are not those that there are")
    times: dict[str, dict[str, Timed]] = {}
    for level, by_work in found.items():
        if not isinstance(by_work, dict) or not by_work:
            raise ValueError("a level has no times")
        times[level] = {str(work): _pair(value) for work, value in by_work.items()}
    return times


def _pair(value: Any) -> Timed:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("times come by twos")
    for one in value:
        is_number = isinstance(one, int | float) and not isinstance(one, bool)
        if not is_number or not math.isfinite(one) or one <= 0:
            raise ValueError("a time is a number above 0")
    return Timed(float(value[0]), float(value[1]))
