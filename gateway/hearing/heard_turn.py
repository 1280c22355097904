"""A heard turn: its audio encoded, its words if somebody transcribed them."""

import asyncio
import time

from csm.v1 import common_pb2
from gateway.backends.calls import UpstreamFailure
from gateway.conversations.store import Conversation, Segment, Turn
from gateway.hearing.encoding import HeardAudio, about
from gateway.speaking.outbox import TurnCompleted
from gateway.text.sentences import speakable


class HeardTurn:
    """A heard turn that is complete, on its way into the conversation."""

    def __init__(self, turn_id: str, audio: HeardAudio | None, text: str) -> None:
        """`audio` is closed; None: the words are all there is."""
        self.turn_id = turn_id
        self.audio = audio
        self._text = text
        self._ended_at = time.monotonic()

    async def join(
        self, conversation: Conversation, speaker: int, frame_ms: float
    ) -> TurnCompleted:
        """Appends the turn to the conversation, gives its terminal.

        A tokenizer that fails makes that an ERROR, and the words alone are kept. Raises
        `ServiceError` where the audio is wrong.
        """
        reason = common_pb2.FINISH_REASON_EOS
        codes, num_frames = b"", 0
        try:
            if self.audio is not None:
                codes, num_frames = await self.audio.frames()
        except UpstreamFailure as failure:
            if not failure.lost:
                raise about("heard_audio.audio", failure.error) from failure
            reason = failure.reason
        except asyncio.CancelledError:
            if self.audio is not None:
                await self.audio.abort()
            raise
        if num_frames or speakable(self._text):
            segment = Segment(speaker, self._text, codes, num_frames)
            conversation.add(Turn(self.turn_id, speaker, True, [segment]))
        return TurnCompleted(
            self.turn_id,
            reason,
            common_pb2.Usage(),
            common_pb2.Timing(total_ms=(time.monotonic() - self._ended_at) * 1000),
            round(num_frames * frame_ms),
            heard=True,
        )
