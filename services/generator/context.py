"""A stream's context: what was heard and spoken so far, and the prompt it makes.

Pinned segments come first and stay. The rest gives way from the oldest, whole segments at a time,
when the context is full. The cut moves in strides of a quarter of the room, at fixed distances from
where the history began, so that most turns find their prefix in the KV cache, whether the history
stays in the stream or is sent anew with every call.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csm.errors import FieldViolation, InvalidArgument, invalid
from services.generator.engine.turn import PromptRows
from services.generator.model.prompt import Segment, segment_frames
from services.generator.model.text import TextTokenizer

STRIDE_SHARE = 4
"""The cut moves by a quarter of the room."""

_NO_MEANING = "\ue000"
"""A private-use character: what a text tokenizer makes of it is its token for the unknown."""


class TooLongError(InvalidArgument):
    """A prompt that does not fit, whatever is left out."""


@dataclass(frozen=True)
class ContextLimits:
    """What a context must hold to. `max_context_segments` None: no limit of the model's."""

    max_positions: int
    num_codebooks: int
    max_text_chars: int
    max_context_segments: int | None = None


@dataclass(frozen=True)
class PinnedSegment:
    """A segment, and whether it is part of the voice's prompt."""

    segment: Segment
    pinned: bool = False


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a turn is prompted with: rows [T, K + 1]. `continues`: the last segment's audio goes on
    (the turn has no text of its own). `evicted` segments gave way since the prompt before."""

    rows: PromptRows
    speaker: int
    text: str
    text_tokens: int
    evicted: int
    continues: bool


@dataclass(eq=False)
class _Entry:
    segment: Segment
    rows: PromptRows


def check_text(text: str, tokenizer: TextTokenizer, max_chars: int, field: str = "text") -> None:
    """Raises `InvalidArgument` on `field` unless the text can be spoken."""
    if len(text) > max_chars:
        raise invalid(field, f"{len(text)} characters; at most {max_chars} are allowed")
    if not any(unicodedata.category(character)[0] in "LN" for character in text):
        raise invalid(field, f"{text[:20]!r} has no letter or digit; there is nothing to speak")
    known = set(tokenizer.content(text)) - set(tokenizer.content(_NO_MEANING))
    if not known or not tokenizer.content(text.strip()):
        raise invalid(field, f"{text[:20]!r} has no character that this model's tokenizer knows")


class Context:
    """The segments of one stream."""

    def __init__(
        self, tokenizer: TextTokenizer, limits: ContextLimits, *, speaker: int, max_frames: int
    ) -> None:
        self._tokenizer, self._limits, self._speaker = tokenizer, limits, speaker
        # A turn may end early at the end of the context; half of it is always left for the prompt.
        self._capacity = limits.max_positions - min(max_frames, limits.max_positions // 2)
        self._pinned: list[_Entry] = []
        self._turns: list[_Entry] = []
        self._dropped_positions = 0
        self._evicted = 0

    @property
    def capacity(self) -> int:
        """Positions that a prompt may take."""
        return self._capacity

    def __len__(self) -> int:
        return len(self._pinned) + len(self._turns)

    def add(
        self, segments: Sequence[PinnedSegment], *, replace: bool = False, field: str = "segments"
    ) -> None:
        """Appends segments; `replace` forgets what was there first.

        Raises:
            InvalidArgument: a pinned segment behind another, a segment that is empty or too long,
                or more pinned ones than the context holds.
        """
        pinned, turns = ([], []) if replace else (list(self._pinned), list(self._turns))
        for index, item in enumerate(segments):
            where = f"{field}[{index}]"
            if item.pinned and turns:
                raise invalid(f"{where}.pinned", "pinned segments must precede all others")
            (pinned if item.pinned else turns).append(self._entry(item.segment, where))
        if (positions := _positions(pinned)) > self._capacity:
            raise TooLongError(
                FieldViolation(
                    field,
                    f"the pinned segments take {positions} positions; at most {self._capacity} "
                    f"are left of {self._limits.max_positions} beside the longest turn",
                )
            )
        if replace:
            self._dropped_positions = self._evicted = 0
        self._pinned, self._turns = pinned, turns
        self._trim()
        self._evict(0, spare_last=True)

    def prompt(self, text: str) -> Prompt:
        """The prompt of a turn that speaks `text`; an empty text continues the last audio.

        Raises:
            InvalidArgument: the text cannot be spoken, or nothing is there to continue.
            TooLongError: pinned segments and the turn do not fit together.
        """
        if text:
            check_text(text, self._tokenizer, self._limits.max_text_chars)
            own = segment_frames(
                Segment(self._speaker, text), self._tokenizer, self._limits.num_codebooks
            )
            pinned, speaker, tokens = self._pinned, self._speaker, len(own)
        else:
            last = self._last()
            if last is None or last.segment.codes is None:
                raise invalid(
                    "text", "it is empty; only behind a segment with audio may it be, to continue"
                )
            own, speaker, tokens = last.rows[:-1], last.segment.speaker, 0
            pinned = self._pinned if self._turns else self._pinned[:-1]
        taken = _positions(pinned) + len(own)
        if taken > self._capacity:
            raise TooLongError(
                FieldViolation(
                    "text" if text else "segments",
                    f"{len(own)} positions beside {taken - len(own)} of pinned segments; at most "
                    f"{self._capacity} in all are left of {self._limits.max_positions} beside the "
                    "longest turn",
                )
            )
        self._evict(taken - _positions(self._pinned), spare_last=not text)
        limit = self._limits.max_context_segments
        history = self._turns if text else self._turns[:-1]
        if limit is not None:
            history = history[len(history) - min(limit, len(history)) :]
        evicted, self._evicted = self._evicted, 0
        rows = np.concatenate([*(e.rows for e in pinned), *(e.rows for e in history), own])
        return Prompt(rows, speaker, text, tokens, evicted, continues=not text)

    def complete(self, prompt: Prompt, codes: np.ndarray) -> None:
        """The turn of `prompt` is over: `codes` [F, K] of it stay. None stay: it never was."""
        if not len(codes):
            return
        if prompt.continues:
            entries = self._turns or self._pinned
            before = entries.pop().segment
            if before.codes is not None:
                codes = np.concatenate([before.codes, codes])
            segment = Segment(before.speaker, before.text, codes)
        else:
            entries, segment = self._turns, Segment(prompt.speaker, prompt.text, codes)
        entries.append(self._entry(segment, "segments"))
        self._trim()

    def _last(self) -> _Entry | None:
        entries = self._turns or self._pinned
        return entries[-1] if entries else None

    def _entry(self, segment: Segment, where: str) -> _Entry:
        if len(segment.text) > self._limits.max_text_chars:
            raise invalid(
                f"{where}.text",
                f"{len(segment.text)} characters; at most {self._limits.max_text_chars} are "
                "allowed",
            )
        if segment.codes is not None and not len(segment.codes):
            # No frames at all, rather than a turn that ended before it began.
            segment = Segment(segment.speaker, segment.text)
        if not segment.text and segment.codes is None:
            raise invalid(where, "neither text nor frames; one of them is needed")
        rows = segment_frames(segment, self._tokenizer, self._limits.num_codebooks)
        return _Entry(segment, rows)

    def _trim(self) -> None:
        """Forgets what the model would never be shown; the last turn may still be continued."""
        if (limit := self._limits.max_context_segments) is not None:
            del self._turns[: -max(limit, 1)]

    def _evict(self, own_positions: int, *, spare_last: bool) -> None:
        """Makes room for `own_positions` beside the pinned segments; whole segments, oldest first.

        `spare_last`: the last segment is what a turn continues (and is counted as its own).
        """
        spared = 1 if spare_last and self._turns else 0
        evictable = self._turns[: len(self._turns) - spared]
        room = self._capacity - _positions(self._pinned)
        excess = _positions(evictable) + own_positions - room
        if excess <= 0:
            return
        stride = max(1, room // STRIDE_SHARE)
        target = -(-(self._dropped_positions + excess) // stride) * stride
        count = 0
        while count < len(evictable) and self._dropped_positions < target:
            self._dropped_positions += len(evictable[count].rows)
            count += 1
        del self._turns[:count]
        self._evicted += count


def _positions(entries: Sequence[_Entry]) -> int:
    return sum(len(entry.rows) for entry in entries)
