"""A spoken turn from its first word to its terminal: tries, delivery, barge-in, what is kept.

What the client takes gives credit back to the generator, so a client that does not read pauses
its own slot alone. What becomes of the turn when something fails is decided by `fate`.
"""

import contextlib
import math
import time
from collections.abc import Iterable
from functools import partial

from csm import errors
from gateway.backends.calls import GenerationOptions
from gateway.backends.failure import BackendFailure
from gateway.commands import TurnOptions
from gateway.conversations.store import Turn
from gateway.conversations.turn import Unfinished
from gateway.marks.turn_marks import TurnMarks
from gateway.speaking.attempt import Attempt
from gateway.speaking.attempt_events import AttemptEvent, AttemptOptions, Began, Silence, Sound
from gateway.speaking.delivery import Delivery, DeliveryPorts
from gateway.speaking.events import (
    FinishReason,
    SpeechTurnCompleted,
    SpeechTurnStarted,
    TurnUsage,
    TurnWarning,
    WarningKind,
)
from gateway.speaking.fate import MOVES, Fate, TurnState, fate
from gateway.speaking.joined_voices import JoinedVoices
from gateway.speaking.meter import OUTCOMES, TurnMeter, outcome_of
from gateway.speaking.recovery import Recovery
from gateway.speaking.resumed import Resumed
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.speaking.turn_ports import TurnPorts
from gateway.speaking.warnings import not_saved, nothing_spoken, of_event, of_text, refusal
from gateway.text.options import TextWarning
from gateway.text.sentence import Sentence

MIN_CREDIT_FRAMES = 8
NOT_SPOKEN = (WarningKind.UNSPEAKABLE, WarningKind.TOO_LONG)


class SpokenTurn:
    """One turn. `run` speaks it; all else never waits and may be called at any time."""

    def __init__(
        self,
        turn_id: str,
        options: TurnOptions,
        ports: TurnPorts,
        meter: TurnMeter,
        resumed: Resumed | None = None,
    ) -> None:
        """`resumed`: what there is of it from another call."""
        self.turn_id = meter.record.turn_id = turn_id
        self.meter = meter
        self.state = TurnState.WAITING
        self.warnings: list[TurnWarning] = []
        self.text_chars = 0
        """Characters of its text so far, as the caller gave it."""
        self._options = options
        self._ports = ports
        self._settings = ports.settings
        self._outbox = ports.outbox
        self._frame_ms = ports.backends.info.frame_ms
        kept = ports.conversation is not None
        self._marks = TurnMarks(
            options, self._frame_ms, lambda: self._attempt.spoken.all if self._attempt else (), kept
        )
        self._delivery = Delivery(
            turn_id,
            options.form,
            self._frame_ms,
            options.max_lead_ms,
            DeliveryPorts(
                ports.outbox, meter, self._taken, self._written, self._sound_failed, self._marks
            ),
            options.sound,
        )
        self._delivery.so_far = self.so_far
        self._resumed = resumed
        self._taken_back = False
        if resumed is not None:
            self._delivery.resume(
                resumed.heard_until_ms(self._frame_ms),
                resumed.heard_frames(self._frame_ms),
                resumed.turn,
            )
        self._sentences = SentenceQueue(self._text_starved)
        self._attempt: Attempt | None = None
        self._reason: FinishReason | None = None
        self._error: errors.ServiceError | None = None
        """Where the reason is ERROR."""
        self._last_pause_ms = 0
        self._seed: int | None = None
        self._recovery = Recovery(
            ports.backends, ports.settings, meter, self._fate, options.conversation_id or turn_id
        )

    @property
    def ended(self) -> bool:
        """Whether the turn has had its end."""
        return self.state is TurnState.OVER

    @property
    def started(self) -> bool:
        """Whether `SpeechTurnStarted` was sent."""
        return self._seed is not None

    def add(self, sentences: Iterable[Sentence]) -> None:
        """More to speak."""
        if self._reason is None:
            self._sentences.add(self._delivery.expect(sentences))

    def warn(self, warnings: Iterable[TextWarning]) -> None:
        """What there is to say of its text."""
        self.warnings.extend(of_text(warning) for warning in warnings)

    def end_text(self, pause_ms: int = 0) -> None:
        """There is no more; silence of `pause_ms` behind the last sentence."""
        self._last_pause_ms = pause_ms
        self._sentences.end()

    def stop(self, reason: FinishReason, heard_ms: int | None = None) -> None:
        """Ends the turn with `reason`; what the client has not taken is dropped first.

        `heard_ms`: what was heard of it; None: all that was sent. A turn that is over, or
        already stopping, is left alone.
        """
        if self.state in (TurnState.STOPPING, TurnState.OVER):
            return
        self._move(TurnState.STOPPING)
        self._reason = reason
        if reason is FinishReason.CANCELLED:
            self.meter.cancelled()
        self._delivery.stop(heard_ms)
        self._sentences.end(at_once=True)
        if self._attempt is not None:
            self._attempt.stop(self._settings.cancel_timeout_s)
        self._recovery.stop()

    async def run(self) -> None:
        """Speaks; puts `SpeechTurnStarted`, audio and exactly one `SpeechTurnCompleted`.

        Raises `ServiceError` where the call is to end with a status instead.
        """
        self.meter.admitted()
        if (conversation := self._ports.conversation) is not None:
            turns = conversation.turns
            # What was only heard, no generator has seen yet.
            if any(turn.num_frames and not turn.heard for turn in turns):
                self.meter.continues(sum(turn.num_frames for turn in turns))
            if self._resumed is not None:
                conversation.take_back(self.turn_id)
                self._taken_back = True
            conversation.being_spoken(self.so_far)
        try:
            try:
                reason, error = await self._speak(), None
            except BackendFailure as failure:
                reason, error = await self._told(failure)
            await self._save()
            if self._reason is not None:
                reason, error = self._reason, self._error
            self._end(reason, error)
        except Exception as error:
            self._leave(outcome_of(error))
            raise
        finally:
            self.abandon()
            if conversation is not None:
                conversation.being_spoken(None)

    def so_far(self, kept_frames: int | None = None, *, ended: bool = False) -> Turn:
        """The turn as far as it is kept: so many frames, None: what the client has got. One that
        has not `ended` can go on in another call."""
        attempt, resumed = self._attempt, self._resumed
        kept = self._delivery.kept_frames if kept_frames is None else kept_frames
        if resumed is not None and self._taken_back:
            made = attempt.num_frames if attempt is not None else 0
            if made < (kept if ended else resumed.turn.num_frames):
                return resumed.until(kept) if ended else resumed.turn
        segments = attempt.segments(kept) if attempt else []
        frames = sum(s.num_frames for s in segments)
        timeline = self._delivery.timeline.until(frames)
        # Several voices may speak in a turn: it is the first one's.
        speaker = segments[0].speaker if segments else self._options.speaker
        turn = Turn(self.turn_id, speaker, False, segments, timeline)
        if not ended and attempt is not None and self._seed is not None:
            turn.unfinished = Unfinished(self._seed, attempt.spoken.cut_seed(frames))
        return turn

    def refuse(self, error: errors.ServiceError) -> None:
        """Ends a turn that never began, in band: there is no place for it. One that was cancelled
        meanwhile misses none."""
        if self._reason is not None:
            self._end(self._reason, self._error)
        else:
            self._end(FinishReason.ERROR, error)

    def abandon(self) -> None:
        """The call is over before the turn: keeps what was sent. After the end: nothing."""
        deadline = self._ports.deadline
        late = deadline is not None and time.monotonic() >= deadline
        self._leave("deadline" if late else "cancelled")

    # --- inside ---

    def _move(self, state: TurnState) -> None:
        if state not in MOVES[self.state]:
            raise RuntimeError(f"a turn that is {self.state.value} cannot become {state.value}")
        self.state = state

    async def _speak(self) -> FinishReason:
        while await self._sentences.ready():
            attempt = self._attempt = self._open()
            try:
                async with contextlib.aclosing(attempt.events(self._sentences)) as events:
                    async for event in events:
                        self._hear(attempt, event)
                if attempt.num_frames:
                    self._hear(attempt, Silence(self._last_pause_ms, attempt.num_frames))
                await self._delivery.all_written()
                return attempt.finish_reason
            except BackendFailure as failure:
                give_up = partial(self._give_up, attempt, failure)
                if not await self._recovery.begin_again(failure, give_up):
                    raise
        return FinishReason.EOS

    def _fate(self, failure: BackendFailure) -> Fate:
        return fate(
            failure.source,
            failure.code,
            delivered=self.state is TurnState.SPEAKING,
            stopping=self.state is TurnState.STOPPING,
        )

    def _give_up(self, attempt: Attempt, failure: BackendFailure) -> None:
        self.meter.retried(failure.source.value, failure.code.name)
        self._delivery.begin_again()
        self._sentences.put_back(attempt.spoken.texts)
        self._attempt = None
        if self.state is TurnState.OPEN:
            self._move(TurnState.WAITING)

    async def _told(
        self, failure: BackendFailure
    ) -> tuple[FinishReason, errors.ServiceError | None]:
        """How the turn ends by a failure; raises where the call ends with its status."""
        await self._delivery.all_written()
        if self._reason is not None:
            return self._reason, None
        if self._fate(failure) is Fate.END_CALL:
            raise failure.error from failure
        if not (self._options.in_conversation or self.started):
            raise failure.error from failure
        error = failure.error if failure.reason is FinishReason.ERROR else None
        return failure.reason, error

    def _open(self) -> Attempt:
        options, settings = self._options, self._settings
        credit_frames = settings.initial_credit_frames
        if options.max_lead_ms:
            # Frames made beyond the lead would be thrown away at a barge-in.
            lead_frames = math.ceil(options.max_lead_ms * options.sound.speed / self._frame_ms)
            credit_frames = min(credit_frames, max(lead_frames, MIN_CREDIT_FRAMES))
        seed, resumed = options.sampling.seed, self._resumed
        if resumed is not None and resumed.turn.unfinished is not None:
            seed = resumed.turn.unfinished.seed
        generation = GenerationOptions(
            options.conversation_id,
            options.speaker,
            options.sampling,
            seed if self._seed is None else self._seed,
            options.max_audio_ms,
            credit_frames,
            self._recovery.route_key,
            self._recovery.route,
            options.owner,
        )
        if self.state is TurnState.WAITING:
            self._move(TurnState.OPEN)
        max_frames = int(options.max_audio_ms / self._frame_ms)
        joined = JoinedVoices(self._ports.prompts)
        return Attempt(
            AttemptOptions(
                self.turn_id,
                generation,
                self._delivery.decoded_form,
                max_frames,
                self._ports.deadline,
                self._delivery.ahead_frames(settings.max_pcm_bytes),
                joined,
                resumed,
                self._marks.cuts,
                self._delivery.lead_s,
            ),
            self._ports.context(),
            self._ports.backends,
            settings,
            self.meter,
            self._recovery,
        )

    def _hear(self, attempt: Attempt, event: AttemptEvent) -> None:
        if self._reason is not None:
            return
        if isinstance(event, Sound):
            frames = event.num_frames
            self._delivery.put(event.pcm, frames, attempt.text_chars(frames))
        elif isinstance(event, Silence):
            frames = event.num_frames
            self._delivery.put_silence(event.duration_ms, frames, attempt.text_chars(frames))
        elif isinstance(event, Began):
            if self._seed is None:
                self._seed = event.seed
                self._outbox.put(SpeechTurnStarted(self.turn_id, self._options.form, event.seed))
        else:
            self.warnings.append(of_event(event))

    def _taken(self) -> None:
        """Audio is on its way: the turn cannot begin again."""
        if self.state is TurnState.OPEN:
            self._move(TurnState.SPEAKING)

    def _written(self, num_frames: int, credit_frames: int) -> None:
        if self._attempt is not None:
            self._attempt.written(num_frames, credit_frames)

    def _sound_failed(self, error: errors.ServiceError) -> None:
        """Its audio may not be sent."""
        self._error = error
        self.stop(FinishReason.ERROR)

    def _text_starved(self) -> None:
        self._delivery.text_starved()
        self.meter.text_starved()

    def _end(self, reason: FinishReason, error: errors.ServiceError | None) -> None:
        attempt = self._attempt
        kept = self._delivery.kept_frames
        spoken = attempt is not None and bool(attempt.spoken)
        if attempt is not None and reason in (FinishReason.EOS, FinishReason.MAX_DURATION):
            kept = attempt.num_frames
        if reason is FinishReason.EOS and not spoken:
            self._nothing_said()
        # A turn for which there is no place is refused, in band as by a status.
        outcome = OUTCOMES[reason] if error is None else outcome_of(error)
        usage = attempt.usage if attempt else TurnUsage()
        self.meter.told(usage, self.warnings, reason, error)
        queue_ms, prefill_ms = (attempt.queue_ms, attempt.prefill_ms) if attempt else (0.0, 0.0)
        timing = self.meter.timing(queue_ms, prefill_ms)
        self._leave(outcome, kept, ended=reason is not FinishReason.SHUTDOWN)
        self._outbox.put(
            SpeechTurnCompleted(
                self.turn_id,
                reason,
                usage.plus(TurnUsage(failovers=self._recovery.failovers)),
                timing,
                self._delivery.timeline.audio_ms(kept, self._frame_ms),
                heard=False,
                error=error,
                warnings=sorted(self.warnings, key=lambda w: (w.field != "text", w.first_char)),
            )
        )

    async def _save(self) -> None:
        """What was delivered is to be in the store; the turn still takes a barge-in meanwhile."""
        if self._ports.late_warnings is not None:
            self.warnings += await self._ports.late_warnings()
        conversation = self._ports.conversation
        if conversation is not None and (problem := await conversation.unsaved()):
            self.warnings.append(not_saved(problem))

    def _nothing_said(self) -> None:
        """Nothing of the text could be spoken: no failure in a conversation, else the caller's."""
        if all(warning.kind not in NOT_SPOKEN for warning in self.warnings):
            self.warnings.append(nothing_spoken(self.text_chars))
        if not (self._options.in_conversation or self.started):
            raise refusal(w for w in self.warnings if w.kind in NOT_SPOKEN)

    def _leave(self, outcome: str, kept: int | None = None, *, ended: bool = False) -> None:
        if self.ended:
            return
        self._move(TurnState.OVER)
        turn, conversation = self.so_far(kept, ended=ended), self._ports.conversation
        if conversation is not None and turn.segments:
            conversation.add(turn)
        if self._attempt is not None:
            self.meter.used(self._attempt.usage, self._attempt.num_frames)
        self.meter.record.text_chars = self.text_chars
        self.meter.finish(outcome, self._delivery.underrun_s)
