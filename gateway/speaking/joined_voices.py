"""Voices that join a conversation while a turn of it is spoken."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.backends.convert import segment_message
from gateway.conversations.segment import Segment


class JoinedVoices:
    """Tells when the context of an attempt lacks the prompts of a voice."""

    def __init__(self, prompts: Callable[[], Sequence[Segment]] = tuple) -> None:
        """`prompts` are those of all voices, another object when another voice has joined. Make
        this before the context: what joins in between is then told, not missed."""
        self._prompts = prompts
        self._given = prompts()

    def let_in(self, context: list[Any]) -> bool:
        """Where a voice has joined since it was asked last: puts the prompts of all voices in place
        of those in the context (segments as `context_messages` makes them), and says so."""
        prompts = self._prompts()
        if prompts is self._given:
            return False
        self._given = prompts
        said = [segment for segment in context if not segment.pinned]
        context[:] = [*(segment_message(prompt, pinned=True) for prompt in prompts), *said]
        return True
