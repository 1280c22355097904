"""Which level a model runs at, or that torch is faster: measured here, remembered, told in numbers.

Levels differ in the last bits of fp32, so a choice holds: it is remembered for the processor, the
model's shape and the very libraries, and of levels that are as fast as each other the first in
`levels.LEVELS` is taken, so that noise does not turn it.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence

from services.native import choice_cache
from services.native.build import Library, NativeUnavailable
from services.native.levels import Level
from services.native.timing import Timed, Way, compare

log = logging.getLogger(__name__)

TOLERANCE = 1.05
"""What two measurements may differ by and still be the same; no native work is slower than torch by
more."""

Times = Mapping[str, Mapping[str, Timed]]
"""By level, by work ("1 row")."""
Works = Mapping[str, Way]
"""By name, the steps of one way to run a model."""
Bench = Callable[[Level | None], Works]
"""Makes the works of a level (None: of torch), all of the same names."""

# Two models of one process that are measured at once would hold each other up.
_one_at_a_time = threading.Lock()


class TorchIsFaster(NativeUnavailable):
    """There is a native library, and no use for it: torch is faster here."""


def fastest(times: Times, order: Sequence[Level], *, torch_allowed: bool) -> Level | None:
    """Return the level to take of those that were timed, None: torch.

    Args:
        times: what was measured.
        order: which of two levels that are as fast is preferred: the first.
        torch_allowed: whether torch may be the answer.
    """
    scores = {}
    for level in order:
        ratios = [pair.ratio for pair in times.get(level.name, {}).values()]
        if not ratios:
            continue
        score = math.exp(sum(map(math.log, ratios)) / len(ratios))
        if torch_allowed and (score >= 1 or max(ratios) > TOLERANCE):
            continue
        scores[level] = score
    if not scores:
        return None
    least = min(scores.values())
    return next(level for level, score in scores.items() if score <= least * TOLERANCE)


def told(times: Times) -> str:
    """Return the numbers in words: each level's and torch's milliseconds, by work."""
    works = list(dict.fromkeys(work for by_work in times.values() for work in by_work))
    parts = []
    for work in works:
        pairs = {name: by_work[work] for name, by_work in times.items() if work in by_work}
        levels = ", ".join(f"{name} {_ms(pair.native_ms)}" for name, pair in pairs.items())
        torch_ms = min(pair.torch_ms for pair in pairs.values())
        parts.append(f"{work}: {levels}, torch {_ms(torch_ms)}")
    return "; ".join(parts)


def _ms(value: float) -> str:
    return f"{value:.3g} ms"


def choose(
    what: str,
    library: Library,
    possible: Sequence[Level],
    subject: Mapping[str, object],
    bench: Bench,
    *,
    torch_allowed: bool,
) -> Level:
    """Return the fastest of the levels, by what is remembered or by measuring now.

    Args:
        what: the model, for the log.
        library: whose levels they are.
        possible: levels whose libraries are there, the preferred first.
        subject: what the times depend on beside processor and libraries: shape, dtype, threads.
        bench: makes what is timed; asked only where nothing is remembered.
        torch_allowed: whether torch may be the answer.

    Raises:
        TorchIsFaster: it is, by measurement.
        NativeUnavailable: none of the libraries can be used.
    """
    files = [str(library.path(level).name) for level in possible]
    key = choice_cache.key_of({"libraries": files, **subject})
    names = {level.name for level in possible}
    with _one_at_a_time:
        known = choice_cache.recall(key, names)
        times: Times = known or _measure(possible, bench)
        if known is None:
            choice_cache.remember(key, times)
    when = "measured now" if known is None else "measured before"
    level = fastest(times, possible, torch_allowed=torch_allowed)
    if level is None:
        raise TorchIsFaster(f"it is faster here ({told(times)}; {when})")
    log.info("%s: level %s is taken (%s; %s)", what, level.name, told(times), when)
    return level


def _measure(possible: Sequence[Level], bench: Bench) -> Times:
    """One level beside torch at a time: a model's weights are in memory twice, not five times."""
    by_torch = bench(None)
    times: dict[str, dict[str, Timed]] = {}
    refused: list[str] = []
    for level in possible:
        try:
            native = bench(level)
        except NativeUnavailable as error:
            refused.append(str(error))
            log.warning("level %s cannot be used: %s", level.name, error)
            continue
        times[level.name] = {name: compare(way, by_torch[name]) for name, way in native.items()}
        del native
    if not times:
        raise NativeUnavailable("; ".join(refused))
    return times
