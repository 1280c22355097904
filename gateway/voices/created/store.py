"""The store of created voices: what `CreateVoice` makes, for every gateway that has the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from csm import errors
from gateway.voices.created.record import VoiceRecord
from gateway.voices.voice import VoiceId

Change = Callable[[VoiceRecord], VoiceRecord]
"""What becomes of a voice; called anew where another gateway was faster."""


@dataclass(frozen=True)
class Changes:
    """What has changed since it was last asked."""

    put: Sequence[VoiceRecord] = field(default_factory=list)
    gone: Sequence[VoiceId] = field(default_factory=list)
    foreign: Mapping[VoiceId, str] = field(default_factory=dict)
    """What is there and cannot be read, to why, as a clause."""


class VoiceStore(Protocol):
    """Created voices by owner and name, whatever its case. All raise `Unavailable` where it is
    away. The owner is the tenant, "" where identity is off; a new voice's is in its record."""

    lasting: bool
    """Whether voices outlive the process."""

    async def start(self) -> None:
        """Makes ready; raises `ValueError` where the setting is wrong."""

    async def stop(self) -> None:
        """Lets go of what it holds."""

    async def changes(self) -> Changes:
        """What is new, changed, or gone since the last call, of all owners; all voices at the
        first."""

    async def create(self, record: VoiceRecord, recordings: Sequence[bytes]) -> None:
        """Keeps a new voice of its owner, whole or not at all. `recordings` are its
        prompts' files, in order.

        Raises `AlreadyExists`, and `LimitReached` where the store has as many as it may.
        """

    async def update(self, name: str, change: Change, *, owner: str) -> VoiceRecord:
        """Changes a voice, and gives it as it is then; raises `NotFound`."""

    async def delete(self, name: str, *, owner: str) -> None:
        """Forgets a voice, also what is there of its name and cannot be read; raises `NotFound`."""

    async def recordings(self, name: str, *, owner: str) -> list[bytes]:
        """The files that a voice was made of; empty: they are not kept. Raises `NotFound`."""


def exists(name: str) -> errors.AlreadyExists:
    """A voice of that name is there."""
    return errors.AlreadyExists(
        f"name: there is a voice {name!r} already, created; names that differ in case alone are one"
    )


def full(max_voices: int) -> errors.LimitReached:
    """As many voices as there may be."""
    return errors.LimitReached(
        f"{max_voices} voices are kept, as many as are allowed (max_created_voices); delete one"
    )


def missing(name: str) -> errors.NotFound:
    """There is no voice of that name."""
    return errors.NotFound("voice", name[:64], "no voice of that name was created")
