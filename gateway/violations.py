"""What is wrong with a request: every field at once, by its name, its value and what is allowed.

A value is given where it is a number or a name, never where it is a caller's words.
"""

import re
from collections.abc import Sequence

from csm.errors import FieldViolation, InvalidArgument
from csm.limits import (
    MAX_AUDIO_MS,
    MAX_ID_CHARS,
    MAX_SPEAKER,
    MIN_AUDIO_MS,
    sampling_violations,
)
from csm.v1 import common_pb2
from gateway.text.markup.characters import speakable

MAX_LEAD_MS = 600_000
MAX_KEPT = 100
"""Faults of one request that are looked for; an error tells fewer."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no id may have: it stands in logs and in keys of stores."""


class Violations:
    """What is wrong with a request, collected."""

    def __init__(self) -> None:
        self._all: list[FieldViolation] = []

    @property
    def full(self) -> bool:
        """Whether nothing more is taken: to look on would only cost time."""
        return len(self._all) >= MAX_KEPT

    def add(self, field: str, description: str) -> None:
        self.extend((FieldViolation(field, description),))

    def extend(self, violations: Sequence[FieldViolation]) -> None:
        self._all.extend(violations[: max(0, MAX_KEPT - len(self._all))])

    def raise_any(self) -> None:
        if self._all:
            raise InvalidArgument(*self._all)

    def text(self, field: str, text: str, limit: int, *, may_be_empty: bool) -> None:
        if not text and may_be_empty:
            return
        if len(text) > limit:
            self.add(field, f"{len(text)} characters; allowed are 1..{limit}")
        elif not speakable(text):
            self.add(
                field,
                f"{len(text)} characters have nothing to speak; allowed is text with letters or "
                "digits",
            )

    def conversation_id(self, field: str, value: str) -> None:
        if len(value) > MAX_ID_CHARS:
            self.add(field, f"{len(value)} characters; allowed are at most {MAX_ID_CHARS}")
        elif CONTROL.search(value):
            self.add(field, "has control characters; allowed are all others")

    def speaker(self, field: str, value: int | None) -> None:
        if value is not None and value > MAX_SPEAKER:
            self.add(field, f"{value} is not allowed; allowed are 0..{MAX_SPEAKER}")

    def audio_ms(self, field: str, value: int) -> None:
        if value and not MIN_AUDIO_MS <= value <= MAX_AUDIO_MS:
            self.add(
                field,
                f"{value} is not allowed; allowed are {MIN_AUDIO_MS}..{MAX_AUDIO_MS}, or 0 for "
                "the model's default",
            )

    def lead_ms(self, field: str, value: int) -> None:
        if value > MAX_LEAD_MS:
            self.add(field, f"{value} is not allowed; allowed are 0..{MAX_LEAD_MS}")

    def sampling(self, field: str, sampling: common_pb2.Sampling) -> None:
        self.extend(sampling_violations(field, sampling))
