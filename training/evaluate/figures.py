"""From the parts of an evaluation to its figures: plain values, what `docs/pico.json` holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.bars import judge
from training.corpus.store import SPEAKERS
from training.evaluate import ratings
from training.evaluate.bars import BARS
from training.evaluate.clip import Clip, Part
from training.evaluate.words import difference, total

LENGTH_RATIOS = (0.6, 1.6)
"""A turn that ends by EOS within these multiples of its teacher's length has ended well."""
# More edits than the teacher's, the worst sentences of all.
_WORST = 10

_KINDS: dict[str, Callable[[Clip], bool]] = {
    "1 to 3 words": lambda clip: clip.errors.words <= 3,
    "4 to 8 words": lambda clip: 4 <= clip.errors.words <= 8,
    "9 to 14 words": lambda clip: 9 <= clip.errors.words <= 14,
    "15 words and more": lambda clip: clip.errors.words >= 15,
    "questions": lambda clip: clip.sentence.rstrip("\"')").endswith("?"),
    "with digits": lambda clip: any(c.isdigit() for c in clip.sentence),
}
LENGTH_KINDS = tuple(_KINDS)[:4]
"""The kinds that go by length alone: every sentence is in one of them."""


def summarise(parts: Mapping[str, Part], voice: Mapping[str, Any]) -> dict[str, Any]:
    """Return all figures of the parts there are.

    Args:
        parts: by name; any may be missing, and its figures are then None.
        voice: `name`, `digest` and `size_bytes`.

    Returns:
        Values that JSON knows, NaN as None: `voice`, `sentences`, `bars`, `all`, `by_speaker`,
        `by_kind`, `judged` (each part's judges by speaker, with intervals), `rating_differences`,
        `errors`, `silence`, `lengths`, `heard_speakers`, `resemblance`, `worst`, `differences`,
        `parts` (each part's own figures, machine and cost).
    """
    clips = {name: part.clips for name, part in parts.items() if part.clips}
    # Only what every part has spoken is compared.
    indices = (
        set.intersection(*({c.index for c in own} for own in clips.values())) if clips else set()
    )
    clips = {name: [c for c in own if c.index in indices] for name, own in clips.items()}
    everything = _group(clips, lambda clip: True)
    differences = {
        "pico_minus_teacher": _difference(clips, "speech", "teacher"),
        "pico_minus_codec": _difference(clips, "speech", "codec"),
        "codec_minus_teacher": _difference(clips, "codec", "teacher"),
        "context_minus_pico": _difference(clips, "context", "speech"),
    }
    speed = parts["speed"].figures if "speed" in parts else {}
    judged = ratings.by_part(clips)
    pico = judged.get("speech", {})
    rating_differences = ratings.differences(clips)
    measured = {
        "ovrl": _value(pico.get("all"), "ovrl"),
        "ovrl_worst": min(
            (_value(own, "ovrl") for name, own in pico.items() if name != "all"), default=None
        ),
        "p808": _value(pico.get("all"), "p808"),
        "codec_share": (rating_differences["teacher_minus_codec"] or {})
        .get("ovrl", {})
        .get("value"),
        "words": _value(pico.get("all"), "word_error_rate"),
        "word_errors": (differences["pico_minus_teacher"] or {}).get("value"),
        "ended": everything["ended_well"],
        "speaker": everything["speaker"],
        "context": (differences["context_minus_pico"] or {}).get("value"),
        "speed": speed.get("real_time_factor"),
        "first_audio": speed.get("first_audio_ms"),
        "size": voice["size_bytes"] / 1e6,
    }
    return _plain(
        {
            "voice": dict(voice),
            "sentences": len(indices),
            "bars": judge(BARS, measured),
            "differences": differences,
            "judged": judged,
            "rating_differences": rating_differences,
            "all": everything,
            "by_speaker": {name: _group(clips, _by(n)) for n, name in enumerate(SPEAKERS)},
            "by_kind": {name: _group(clips, chosen) for name, chosen in _KINDS.items()},
            "errors": {name: _errors(own) for name, own in clips.items()},
            "silence": {name: _silence(own) for name, own in clips.items()},
            "lengths": {n: _lengths(clips[n]) for n in ("speech", "context") if n in clips},
            "heard_speakers": {name: _heard_speakers(own) for name, own in clips.items()},
            "resemblance": {name: ratings.resemblance(own) for name, own in clips.items()},
            "worst": _worst(clips),
            "parts": {
                name: {"figures": part.figures, "machine": part.machine, "wall_s": part.wall_s}
                for name, part in parts.items()
            },
        }
    )


def _value(judged: Mapping[str, Any] | None, name: str) -> Any:
    return judged[name]["value"] if judged else None


def _by(speaker: int) -> Callable[[Clip], bool]:
    return lambda clip: clip.speaker == speaker


def _group(clips: Mapping[str, Sequence[Clip]], chosen: Callable[[Clip], Any]) -> dict[str, Any]:
    """The figures of the sentences that are `chosen`, of every part."""
    own = {name: [c for c in of if chosen(c)] for name, of in clips.items()}
    pico, codec = own.get("speech", []), own.get("codec", [])
    return {
        "sentences": max((len(of) for of in own.values()), default=0),
        "word_error_rate": {name: total([c.errors for c in of]).rate for name, of in own.items()},
        "sphinx_word_error_rate": {
            name: total([c.sphinx_errors for c in of if c.sphinx_errors]).rate
            for name, of in own.items()
        },
        "ended_well": _mean(_ended_well(c) for c in pico),
        "ended_well_in_context": _mean(_ended_well(c) for c in own.get("context", [])),
        "speaker": _mean(c.heard_speaker == c.speaker for c in pico),
        "speaker_in_context": _mean(c.heard_speaker == c.speaker for c in own.get("context", [])),
        "stoi": _mean(c.quality.stoi for c in codec if c.quality),
        "pesq": _mean(c.quality.pesq for c in codec if c.quality),
        "mel_distance": _mean(c.quality.mel_distance for c in codec if c.quality),
    }


def _ended_well(clip: Clip) -> bool:
    low, high = LENGTH_RATIOS
    return bool(clip.ended) and clip.length_ratio is not None and low <= clip.length_ratio <= high


def _mean(values: Iterable[float]) -> float | None:
    """The mean of the values that are numbers; None of none."""
    known = [float(value) for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else None


def _difference(
    clips: Mapping[str, Sequence[Clip]], ours: str, theirs: str
) -> dict[str, float] | None:
    if ours not in clips or theirs not in clips:
        return None
    beside = {clip.index: clip.errors for clip in clips[theirs]}
    pairs = [(clip.errors, beside[clip.index]) for clip in clips[ours]]
    if not pairs:
        return None
    found = difference([a for a, _ in pairs], [b for _, b in pairs])
    return {"value": found.value, "low": found.low, "high": found.high}


def _errors(clips: Sequence[Clip]) -> dict[str, float]:
    """Each kind of edit, a written word."""
    found = total([clip.errors for clip in clips])
    words = max(1, found.words)
    return {
        "words": found.words,
        "substituted": found.substituted / words,
        "deleted": found.deleted / words,
        "inserted": found.inserted / words,
        "word_error_rate": found.rate,
    }


def _silence(clips: Sequence[Clip]) -> dict[str, float]:
    within = [clip.silence.within_ms for clip in clips]
    return {
        "before_ms": float(np.median([clip.silence.before_ms for clip in clips])),
        "within_ms": float(np.median(within)),
        "within_ms_p95": float(np.percentile(within, 95)),
        "within_ms_longest": float(max(within)),
        "after_ms": float(np.median([clip.silence.after_ms for clip in clips])),
    }


def _lengths(clips: Sequence[Clip]) -> dict[str, float | int]:
    ratios = [clip.length_ratio for clip in clips if clip.length_ratio is not None]
    return {
        "shortest": min(ratios),
        "median": float(np.median(ratios)),
        "longest": max(ratios),
        "not_ended": sum(not clip.ended for clip in clips),
        "not_ended_well": sum(not _ended_well(clip) for clip in clips),
    }


def _heard_speakers(clips: Sequence[Clip]) -> list[list[int]]:
    """Counts by the speaker asked for (rows) and the one heard (columns)."""
    counts = np.zeros((len(SPEAKERS), len(SPEAKERS)), int)
    for clip in clips:
        counts[clip.speaker, clip.heard_speaker] += 1
    return counts.tolist()


def _worst(clips: Mapping[str, Sequence[Clip]]) -> list[dict[str, Any]]:
    """The sentences in which pico has most edits beyond its teacher's, a word."""
    if "speech" not in clips or "teacher" not in clips:
        return []
    teacher = {clip.index: clip for clip in clips["teacher"]}

    def extra(clip: Clip) -> float:
        return (clip.errors.edits - teacher[clip.index].errors.edits) / max(1, clip.errors.words)

    rows = sorted(clips["speech"], key=lambda clip: (-extra(clip), clip.index))[:_WORST]
    return [
        {
            "index": clip.index,
            "speaker": SPEAKERS[clip.speaker],
            "sentence": clip.sentence,
            "teacher_heard": teacher[clip.index].heard,
            "pico_heard": clip.heard,
            "extra_edits": clip.errors.edits - teacher[clip.index].errors.edits,
            "words": clip.errors.words,
            "length_ratio": clip.length_ratio,
            "ended": clip.ended,
        }
        for clip in rows
    ]


def _plain(value: Any) -> Any:
    """Numbers rounded to four places, NaN as None: JSON has none."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
