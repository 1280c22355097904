"""The tables of what the judges say, for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.corpus.store import SPEAKERS
from training.evaluate.dnsmos import SCALES
from training.evaluate.markdown import PARTS, number, table

_LOSSES = {
    "teacher_minus_codec": "the codec (teacher minus teacher through the codec)",
    "codec_minus_pico": "the language model (teacher through the codec minus pico)",
    "teacher_minus_pico": "both (teacher minus pico)",
}


def verdicts(figures: Mapping[str, Any]) -> str:
    """Return words, ratings and likeness of each part by speaker, the sum in bold."""
    rows = []
    for part, groups in figures["judged"].items():
        for name, own in groups.items():
            title = f"{PARTS[part]}, {name}"
            cells = [f"**{title}**" if name == "all" else title, str(own["clips"])]
            for key in ("word_error_rate", "ovrl"):
                form = ".3f" if key == "word_error_rate" else ".2f"
                cells += [number(own[key]["value"], form), interval(own[key], form)]
            cells += [number(own[key]["value"], ".2f") for key in ("sig", "bak", "p808")]
            rows.append([*cells, number(own["similarity"]["value"], ".2f")])
    head = ("clips", "count", "WER", "95 %", "OVRL", "95 %", "SIG", "BAK", "P808", "own teacher")
    return table(head, rows) if rows else ""


def losses(figures: Mapping[str, Any]) -> str:
    """Return what each stage costs in ratings, on the same sentences."""
    rows = [
        [title, *(f"{found[s]['value']:+.2f} ({interval(found[s], '+.2f')})" for s in SCALES)]
        for name, title in _LOSSES.items()
        if (found := figures["rating_differences"][name])
    ]
    return table(("lost by", *(scale.upper() for scale in SCALES)), rows) if rows else ""


def resemblance(figures: Mapping[str, Any]) -> str:
    """Return how near each speaker is to each teacher, and how often its own is the nearest."""
    rows = []
    for part, means in figures["resemblance"].items():
        counts = figures["heard_speakers"][part]
        for speaker, own in enumerate(means):
            total = sum(counts[speaker])
            if total:
                right = counts[speaker][speaker] / total
                cells = [number(value, ".2f") for value in own]
                title = f"{PARTS[part]}, {SPEAKERS[speaker]}"
                rows.append([title, *cells, number(right, ".1%")])
    head = ("mean similarity", *(f"to {name}" for name in SPEAKERS), "its own is the nearest")
    return table(head, rows) if rows else ""


def interval(found: Mapping[str, float], form: str) -> str:
    """Return the interval of a figure as text."""
    return f"{format(found['low'], form)} to {format(found['high'], form)}"
