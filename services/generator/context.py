"""A stream's context: what was heard and spoken so far, and the prompt it makes.

Pinned segments come first and stay. The rest gives way from the oldest, whole segments at a time,
when the context is full. The cut moves in strides of a quarter of the room, at fixed distances from
where the history began, so that most turns find their prefix in the KV cache, whether the history
stays in the stream or is sent anew with every call.

A caller may send far more than fits. Texts are tokenised from the newest back, until the room is
full; what gives way is forgotten unread, and rows are made of nothing but a prompt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from csm.errors import FieldViolation, TooLong, invalid
from services.generator.engine.turn import PromptRows
from services.generator.model.prompt import PromptSegment, audio_frames, text_frames
from services.generator.model.text import TextTokenizer

STRIDE_SHARE = 4
"""The cut moves by a quarter of the room."""


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

    segment: PromptSegment
    pinned: bool = False


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a turn is prompted with: rows [T, K + 1]. `continues`: the last segment's audio goes on
    (the turn has no text of its own, and no `ids`). `evicted` segments gave way since the prompt
    before; `left_out` are all that did since the history began."""

    rows: PromptRows
    speaker: int
    text: str
    ids: Sequence[int]
    evicted: int
    left_out: int
    continues: bool

    @property
    def text_tokens(self) -> int:
        """Positions of the turn's own text."""
        return len(self.ids)


@dataclass(eq=False)
class _Entry:
    """A segment; `ids` of its text where they are known. `too_long`: more than any prompt holds."""

    segment: PromptSegment
    ids: np.ndarray | None = None
    too_long: bool = False

    @property
    def weight(self) -> int:
        """About how long it is, without a look at its text."""
        return len(self.segment.text) + self.frames

    @property
    def frames(self) -> int:
        """Positions of its audio, the EOS frame among them."""
        return 0 if self.segment.codes is None else len(self.segment.codes) + 1


@dataclass(eq=False)
class _History:
    """The segments, and what gave way of them: by weight, by number, and by number since the last
    prompt."""

    pinned: list[_Entry] = field(default_factory=list)
    turns: list[_Entry] = field(default_factory=list)
    dropped_weight: int = 0
    left_out: int = 0
    evicted: int = 0


def check_text(text: str, tokenizer: TextTokenizer, max_chars: int, field: str = "text") -> None:
    """Raises `InvalidArgument` on `field` unless the text can be spoken."""
    _check_length(text, max_chars, field)
    if not any(unicodedata.category(character)[0] in "LN" for character in text):
        raise invalid(
            field, f"no letter or digit among {len(text)} characters; there is nothing to speak"
        )
    if not tokenizer.knows(text):
        raise invalid(
            field, f"no character that this model's tokenizer knows among {len(text)} characters"
        )


class Context:
    """The segments of one stream."""

    def __init__(
        self, tokenizer: TextTokenizer, limits: ContextLimits, *, speaker: int, max_frames: int
    ) -> None:
        self._tokenizer, self._limits, self._speaker = tokenizer, limits, speaker
        self._capacity = self._room_beside(max_frames)
        self._history = _History()

    @property
    def capacity(self) -> int:
        """Positions that a prompt may take."""
        return self._capacity

    def __len__(self) -> int:
        return len(self._history.pinned) + len(self._history.turns)

    def add(
        self, segments: Sequence[PinnedSegment], *, replace: bool = False, field: str = "segments"
    ) -> None:
        """Appends segments; `replace` forgets what was there first.

        Raises:
            InvalidArgument: a pinned segment behind another, a segment that is empty or too long,
                or more pinned ones than the context holds.
        """
        old = self._history
        history = _History()
        if not replace:
            history = _History(
                [*old.pinned], [*old.turns], old.dropped_weight, old.left_out, old.evicted
            )
        for index, item in enumerate(segments):
            where = f"{field}[{index}]"
            if item.pinned and history.turns:
                raise invalid(f"{where}.pinned", "pinned segments must precede all others")
            entry = self._entry(item.segment, where)
            (history.pinned if item.pinned else history.turns).append(entry)
        self._check_pinned(history.pinned, field)
        self._trim(history)
        self._evict(history, 0, None, spare_last=True)
        if history.turns:
            # Its text is looked at here, where the caller has put the work, and not by a turn.
            self._positions(history.turns[-1])
        self._history = history

    def prompt(
        self, text: str, max_frames: int | None = None, speaker: int | None = None
    ) -> Prompt:
        """The prompt of a turn that speaks `text`; an empty text continues the last audio, whoever
        `speaker` is. None: the stream's own speaker.

        A turn of more than the context's own `max_frames` takes its room from what gives way;
        where that is not enough, it may end early.

        Raises:
            InvalidArgument: the text cannot be spoken, or nothing is there to continue.
            TooLong: pinned segments and the turn do not fit together.
        """
        history = self._history
        pinned, ids = history.pinned, list[int]()
        if text:
            speaker = self._speaker if speaker is None else speaker
            own = self._own(text, speaker)
            ids = own.ids.tolist() if own.ids is not None else []
            length = self._positions(own)
        else:
            entries = history.turns or pinned
            last = entries[-1] if entries else None
            if last is None or last.segment.codes is None:
                raise invalid(
                    "text", "it is empty; only behind a segment with audio may it be, to continue"
                )
            own, speaker = last, last.segment.speaker
            length = self._positions(own) - 1
            pinned = pinned if history.turns else pinned[:-1]
        beside = self._total(pinned)
        if own.too_long or beside + length > self._capacity:
            least = "at least " if own.too_long else ""
            raise self._too_long(
                "text" if text else "segments",
                f"{least}{length} positions beside {beside} of pinned segments; at most "
                f"{self._capacity} in all are left of {self._limits.max_positions} beside the "
                "longest turn",
            )
        own_positions = beside + length - self._total(history.pinned)
        self._evict(history, own_positions, max_frames, spare_last=not text)
        limit = self._limits.max_context_segments
        before = history.turns if text else history.turns[:-1]
        if limit is not None:
            before = before[len(before) - min(limit, len(before)) :]
        evicted, history.evicted = history.evicted, 0
        rows = [self._rows(entry) for entry in (*pinned, *before)]
        rows.append(self._rows(own, end=False))
        return Prompt(np.concatenate(rows), speaker, text, ids, evicted, history.left_out, not text)

    def complete(self, prompt: Prompt, codes: np.ndarray) -> None:
        """The turn of `prompt` is over: `codes` [F, K] of it stay. None stay: it never was."""
        if not len(codes):
            return
        history = self._history
        if prompt.continues:
            entries = history.turns or history.pinned
            before = entries.pop()
            said, ids = before.segment, before.ids
            if said.codes is not None:
                codes = np.concatenate([said.codes, codes])
            segment = PromptSegment(said.speaker, said.text, codes)
        else:
            entries, ids = history.turns, np.array(prompt.ids, np.int32)
            segment = PromptSegment(prompt.speaker, prompt.text, codes)
        entries.append(_Entry(segment, ids))
        self._trim(history)

    def _room_beside(self, max_frames: int) -> int:
        """Positions of a prompt that leaves so many frames to its turn. A turn may end early at the
        end of the context; half of it is always left for the prompt."""
        most = self._limits.max_positions
        return most - min(max_frames, most // 2)

    def _check_pinned(self, pinned: Sequence[_Entry], field: str) -> None:
        positions, least = 0, ""
        for count, entry in enumerate(pinned, start=1):
            positions += self._positions(entry)
            # Far too many: the others need not be looked at.
            if positions > 2 * self._limits.max_positions:
                least = "at least " if entry.too_long or count < len(pinned) else ""
                break
        if positions > self._capacity:
            raise self._too_long(
                field,
                f"the pinned segments take {least}{positions} positions; at most {self._capacity} "
                f"are left of {self._limits.max_positions} beside the longest turn",
            )

    def _own(self, text: str, speaker: int) -> _Entry:
        check_text(text, self._tokenizer, self._limits.max_text_chars)
        own = _Entry(PromptSegment(speaker, text))
        self._positions(own)
        return own

    def _entry(self, segment: PromptSegment, where: str) -> _Entry:
        _check_length(segment.text, self._limits.max_text_chars, f"{where}.text")
        if segment.codes is not None and not len(segment.codes):
            # No frames at all, rather than a turn that ended before it began.
            segment = PromptSegment(segment.speaker, segment.text)
        if not segment.text and segment.codes is None:
            raise invalid(where, "neither text nor frames; one of them is needed")
        return _Entry(segment)

    def _positions(self, entry: _Entry) -> int:
        """How many rows the entry has; more than any prompt holds where it is too long."""
        # Somewhat more than fits is counted to the end, so that a caller learns by how much.
        most = 2 * self._limits.max_positions
        if entry.ids is None and not entry.too_long:
            segment = entry.segment
            ids = self._tokenizer.encode_within(segment.speaker, segment.text, most)
            entry.too_long = ids is None
            entry.ids = None if ids is None else np.array(ids, np.int32)
        return (most + 1 if entry.ids is None else len(entry.ids)) + entry.frames

    def _total(self, entries: Sequence[_Entry]) -> int:
        return sum(map(self._positions, entries))

    def _rows(self, entry: _Entry, *, end: bool = True) -> PromptRows:
        if entry.ids is None:
            raise RuntimeError("a segment that is too long was left in the prompt")
        books = self._limits.num_codebooks
        words = text_frames(entry.ids.tolist(), books)
        if entry.segment.codes is None:
            return words
        return np.concatenate([words, audio_frames(entry.segment.codes, books, end=end)])

    @staticmethod
    def _too_long(field: str, description: str) -> TooLong:
        return TooLong(FieldViolation(field, description))

    def _trim(self, history: _History) -> None:
        """Forgets what the model would never be shown; the last turn may still be continued."""
        if (limit := self._limits.max_context_segments) is not None:
            del history.turns[: -max(limit, 1)]

    def _evict(
        self, history: _History, own_positions: int, max_frames: int | None, *, spare_last: bool
    ) -> None:
        """Makes room for `own_positions` beside the pinned segments; whole segments, oldest first.

        `spare_last`: the last segment is what a turn continues (and is counted as its own).
        """
        spared = 1 if spare_last and history.turns else 0
        turns = history.turns[: len(history.turns) - spared]
        # The grid stays where it is, however long one turn may be: the next one finds its prefix.
        whole = self._capacity - self._total(history.pinned)
        longer = 0 if max_frames is None else self._capacity - self._room_beside(max_frames)
        room, held, cut = whole - own_positions - max(0, longer), 0, len(turns)
        while cut and held + (positions := self._positions(turns[cut - 1])) <= room:
            held += positions
            cut -= 1
        if not cut:
            return
        cut = self._on_the_grid(history, turns, cut, held, whole)
        history.dropped_weight += sum(entry.weight for entry in turns[:cut])
        del history.turns[:cut]
        history.evicted += cut
        history.left_out += cut

    def _on_the_grid(
        self, history: _History, turns: Sequence[_Entry], cut: int, held: int, whole: int
    ) -> int:
        """The first cut from `cut` on that lies on the grid; `cut` where that costs too much."""
        stride = max(1, whole // STRIDE_SHARE)
        weight = history.dropped_weight + sum(entry.weight for entry in turns[:cut])
        target, later, least = -(-weight // stride) * stride, cut, held // 2
        while later < len(turns) and weight < target:
            weight += turns[later].weight
            held -= self._positions(turns[later])
            later += 1
        return later if held >= least else cut


def _check_length(text: str, max_chars: int, field: str) -> None:
    if len(text) > max_chars:
        raise TooLong(
            FieldViolation(field, f"{len(text)} characters; at most {max_chars} are allowed")
        )
