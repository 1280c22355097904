"""A heard turn: its audio encoded, its words if somebody transcribed them."""

import asyncio
import time

from csm import errors
from csm.serving.calls.record import current_call
from csm.serving.calls.turn_record import TurnRecord
from gateway.backends.failure import BackendFailure
from gateway.conversations.store import Segment, StoredConversation, Turn
from gateway.hearing.encoder import about
from gateway.hearing.heard_audio import HeardAudio
from gateway.speaking.events import FinishReason, SpeechTurnCompleted, TurnTiming, TurnUsage
from gateway.speaking.fate import REFUSED
from gateway.speaking.meter import OUTCOMES, outcome_of
from gateway.speaking.warnings import not_saved, nothing_heard
from gateway.text.markup.characters import speakable


class HeardTurn:
    """A heard turn that is complete, on its way into the conversation."""

    def __init__(self, turn_id: str, audio: HeardAudio | None, text: str) -> None:
        """`audio` is closed; None: the words are all there is."""
        self.turn_id = turn_id
        self.audio = audio
        # Recognisers write "..." of a noise: nothing that a model could read.
        self._text = text if speakable(text) else ""
        self._warnings = [nothing_heard(len(text))] if text and not self._text else []
        self._ended_at = time.monotonic()

    async def join(
        self, conversation: StoredConversation, speaker: int, frame_ms: float
    ) -> SpeechTurnCompleted:
        """Appends the turn to the conversation, gives its terminal.

        A tokenizer that fails makes that an ERROR, and the words alone are kept. Raises
        `ServiceError` where the audio is wrong.
        """
        call = current_call()
        record = call.begin_turn(time.monotonic(), heard=True)
        record.turn_id, record.text_chars = self.turn_id, len(self._text)
        record.say(self._text)
        try:
            completed = await self._join(conversation, speaker, frame_ms, record)
            record.outcome = OUTCOMES[completed.finish_reason]
            record.finish_reason = completed.finish_reason.name
            record.num_warnings = len(completed.warnings)
            record.audio_s = completed.kept_audio_ms / 1000
            record.num_frames = round(completed.kept_audio_ms / frame_ms)
            if completed.error is not None:
                record.error = completed.error.summary()
        except errors.ServiceError as error:
            record.outcome, record.error = outcome_of(error), error.summary()
            raise
        finally:
            call.end_turn(record, time.monotonic())
        return completed

    async def _join(
        self,
        conversation: StoredConversation,
        speaker: int,
        frame_ms: float,
        record: TurnRecord,
    ) -> SpeechTurnCompleted:
        reason: FinishReason = FinishReason.EOS
        error: errors.ServiceError | None = None
        codes, num_frames = b"", 0
        try:
            if self.audio is not None:
                codes, num_frames = await self.audio.frames()
                told = current_call()
                told.stage(record, "encode", self._ended_at, time.monotonic(), frames=num_frames)
        except BackendFailure as failure:
            if failure.code in REFUSED:
                raise about("heard_audio.audio", failure.error) from failure
            reason = failure.reason
            error = failure.error if reason is FinishReason.ERROR else None
        except asyncio.CancelledError:
            if self.audio is not None:
                await self.audio.abort()
            raise
        if num_frames or self._text:
            segment = Segment(speaker, self._text, codes, num_frames)
            conversation.add(Turn(self.turn_id, speaker, True, [segment]))
        warnings = list(self._warnings)
        if problem := await conversation.unsaved():
            warnings.append(not_saved(problem))
        return SpeechTurnCompleted(
            self.turn_id,
            reason,
            TurnUsage(),
            TurnTiming(total_ms=(time.monotonic() - self._ended_at) * 1000),
            round(num_frames * frame_ms),
            heard=True,
            error=error,
            warnings=warnings,
        )
