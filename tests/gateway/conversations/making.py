"""Conversations for the tests."""

from gateway.conversations.conversation import ConversationLimits
from gateway.conversations.segment import Segment
from gateway.conversations.turn import Turn

WIDE = ConversationLimits(max_turns=1000, max_frames=1_000_000)


def segment(text: str, num_frames: int, speaker: int = 0) -> Segment:
    return Segment(speaker, text, bytes(range(256))[:4] * num_frames, num_frames)


def turn(name: str, *segments: Segment, heard: bool = False) -> Turn:
    return Turn(name, 0, heard, list(segments))
