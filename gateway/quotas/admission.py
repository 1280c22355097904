"""What one call, or one turn, was counted as; and what it turns out to have used."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from csm.serving.calls.turn_record import TurnRecord
from gateway.quotas.caller import Caller


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount of one quota of one subject."""

    quota: str
    subject: str
    """`tenant:NAME` or `principal:TENANT/NAME`, names quoted."""
    most: int
    window_s: int
    amount: int
    """Added at once; 0: it is only looked whether something is left."""

    @property
    def key(self) -> str:
        """Where it is counted."""
        return f"{self.subject}:{self.quota}"


@dataclass(slots=True, eq=False)
class QuotaAdmission:
    """Counted until `Quotas.end` is called, once."""

    caller: Caller
    num_chars: int = 0
    """That were counted at once."""
    charges: list[tuple[Charge, "asyncio.Task[int | None]"]] = field(default_factory=list)
    streams: list[tuple[str, str, "asyncio.Task[Any]"]] = field(default_factory=list)
    """Keys, ids, and what counts them."""
    voice: bool = False
    """Whether a voice is being made."""
    ended: bool = False

    def used(self, record: TurnRecord | None) -> tuple[int, float]:
        """(characters, seconds of audio) of its turn. One of which no audio was sent has used no
        characters."""
        if record is None or not record.audio_s:
            return 0, 0.0
        return max(record.text_chars, self.num_chars), record.audio_s
