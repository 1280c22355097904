"""A spoken turn from its first word to its terminal: tries, delivery, barge-in, what is kept.

What the client takes gives credit back to the generator, so a client that does not read pauses
its own slot alone. What becomes of the turn when something fails is decided by `fate`.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from csm import errors
from gateway.backends.backends import Backends
from gateway.backends.calls import GenerationOptions
from gateway.backends.failure import BackendFailure
from gateway.commands import TurnOptions
from gateway.conversations.segment import Segment
from gateway.conversations.silences import Silences
from gateway.conversations.store import StoredConversation, Turn
from gateway.settings import GatewaySettings
from gateway.speaking.attempt import Attempt
from gateway.speaking.attempt_events import (
    AttemptEvent,
    AttemptOptions,
    Began,
    EndedEarly,
    ReachedCap,
    Silence,
    Skipped,
    Sound,
)
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
from gateway.speaking.outbox import Outbox
from gateway.speaking.retries import Retries
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.speaking.warnings import (
    cap_reached,
    ended_early,
    not_saved,
    nothing_spoken,
    of_text,
    skipped,
)
from gateway.text.options import TextWarning
from gateway.text.sentence import Sentence

MIN_CREDIT_FRAMES = 8
SEEDS = 1 << 64
NOT_SPOKEN = (WarningKind.UNSPEAKABLE, WarningKind.TOO_LONG)


@dataclass(frozen=True)
class TurnPorts:
    """What a spoken turn is connected to."""

    backends: Backends
    settings: GatewaySettings
    outbox: Outbox
    context: Callable[[], Iterable[Any]]
    """Asked when generation begins: segments as `context_messages` makes them."""
    conversation: StoredConversation | None
    """What the turn joins; None: nothing."""
    deadline: float | None
    """A time of the monotonic clock."""
    prompts: Callable[[], Sequence[Segment]] = tuple
    """Of all voices that may speak in the turn; see `JoinedVoices`."""


class SpokenTurn:
    """One turn. `run` speaks it; all else never waits and may be called at any time."""

    def __init__(
        self, turn_id: str, options: TurnOptions, ports: TurnPorts, meter: TurnMeter
    ) -> None:
        self.turn_id = turn_id
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
        self._delivery = Delivery(
            turn_id,
            options.form,
            self._frame_ms,
            options.max_lead_ms,
            DeliveryPorts(ports.outbox, meter, self._taken, self._written),
        )
        self._delivery.so_far = self.so_far
        self._sentences = SentenceQueue(self._text_starved)
        self._attempt: Attempt | None = None
        self._reason: FinishReason | None = None
        self._stopped = asyncio.Event()
        self._last_pause_ms = 0
        self._seed: int | None = None
        self._route_key = options.conversation_id or turn_id
        self._route = ports.backends.route_of(options.conversation_id)

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
            self._sentences.add(sentences)

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
        self._stopped.set()

    async def run(self) -> None:
        """Speaks; puts `SpeechTurnStarted`, audio and exactly one `SpeechTurnCompleted`.

        Raises `ServiceError` where the call is to end with a status instead.
        """
        self.meter.accepted()
        if (conversation := self._ports.conversation) is not None:
            self.meter.continues(sum(turn.num_frames for turn in conversation.turns))
            conversation.being_spoken(self.so_far)
        try:
            try:
                reason, error = await self._speak(), None
            except BackendFailure as failure:
                reason, error = await self._told(failure)
            await self._save()
            if self._reason is not None:
                reason, error = self._reason, None
            self._end(reason, error)
        except Exception as error:
            self._leave(outcome_of(error))
            raise
        finally:
            self.abandon()
            if conversation is not None:
                conversation.being_spoken(None)

    def so_far(self, kept_frames: int | None = None) -> Turn:
        """The turn as far as it is kept: so many frames, None: what the client has got."""
        attempt = self._attempt
        kept = self._delivery.kept_frames if kept_frames is None else kept_frames
        segments = attempt.segments(kept) if attempt else []
        frames = sum(s.num_frames for s in segments)
        silences = Silences(list(self._delivery.silences.until(frames)))
        # Several voices may speak in a turn: it is the first one's.
        speaker = segments[0].speaker if segments else self._options.speaker
        return Turn(self.turn_id, speaker, False, segments, silences)

    def refuse(self, error: errors.ServiceError) -> None:
        """Ends a turn that never began, in band: there is no place for it."""
        self._end(FinishReason.ERROR if self._reason is None else self._reason, error)

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
        retries = Retries(self._settings)
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
                what = self._fate(failure)
                if not retries.may(what, failure):
                    raise
                self._begin_again(attempt, failure)
                if what is Fate.WAIT:
                    await self._unless_stopped(asyncio.sleep(retries.pause_s()))
                else:
                    await self._unless_stopped(self._recover(failure))
        return FinishReason.EOS

    def _fate(self, failure: BackendFailure) -> Fate:
        return fate(
            failure.source,
            failure.code,
            delivered=self.state is TurnState.SPEAKING,
            stopping=self.state is TurnState.STOPPING,
        )

    def _begin_again(self, attempt: Attempt, failure: BackendFailure) -> None:
        self.meter.retried(failure.source.value, failure.code.name)
        self._delivery.begin_again()
        self._sentences.put_back(s.sentence for s in attempt.spoken)
        self._attempt = None
        if self.state is TurnState.OPEN:
            self._move(TurnState.WAITING)

    async def _recover(self, failure: BackendFailure) -> None:
        self._route = await self._ports.backends.recovered(
            failure.source, self._route_key, self._route
        )

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
            lead_frames = math.ceil(options.max_lead_ms / self._frame_ms)
            credit_frames = min(credit_frames, max(lead_frames, MIN_CREDIT_FRAMES))
        timeout_s = None
        if self._ports.deadline is not None:
            timeout_s = max(0.0, self._ports.deadline - time.monotonic())
        generation = GenerationOptions(
            options.conversation_id,
            options.speaker,
            options.sampling,
            options.sampling.seed if self._seed is None else self._seed,
            options.max_audio_ms,
            credit_frames,
            self._route_key,
            self._route,
        )
        if self.state is TurnState.WAITING:
            self._move(TurnState.OPEN)
        max_frames = int(options.max_audio_ms / self._frame_ms)
        joined = JoinedVoices(self._ports.prompts)
        return Attempt(
            AttemptOptions(self.turn_id, generation, options.form, max_frames, timeout_s, joined),
            self._ports.context(),
            self._ports.backends,
            settings,
            self.meter,
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
        elif isinstance(event, Skipped):
            self.warnings.append(skipped(event))
        elif isinstance(event, ReachedCap):
            self.warnings.append(cap_reached(event))
        elif isinstance(event, EndedEarly):
            self.warnings.append(ended_early(event))

    def _taken(self) -> None:
        """Audio is on its way: the turn cannot begin again."""
        if self.state is TurnState.OPEN:
            self._move(TurnState.SPEAKING)

    def _written(self, num_frames: int, credit_frames: int) -> None:
        if self._attempt is not None:
            self._attempt.written(num_frames, credit_frames)

    def _text_starved(self) -> None:
        self._delivery.text_starved()
        self.meter.text_starved()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(work), asyncio.create_task(self._stopped.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, reason: FinishReason, error: errors.ServiceError | None) -> None:
        attempt = self._attempt
        kept = self._delivery.kept_frames
        spoken = attempt is not None and bool(attempt.spoken)
        if attempt is not None and reason in (FinishReason.EOS, FinishReason.MAX_DURATION):
            kept = attempt.num_frames
        if reason is FinishReason.EOS and not spoken:
            self._nothing_said()
        # A turn for which there is no place is refused, in band as by a status.
        self._leave(OUTCOMES[reason] if error is None else outcome_of(error), kept)
        usage = attempt.usage if attempt else TurnUsage()
        self.meter.told(usage, self.warnings)
        queue_ms, prefill_ms = (attempt.queue_ms, attempt.prefill_ms) if attempt else (0.0, 0.0)
        self._outbox.put(
            SpeechTurnCompleted(
                self.turn_id,
                reason,
                usage,
                self.meter.timing(queue_ms, prefill_ms),
                self._delivery.silences.audio_ms(kept, self._frame_ms),
                heard=False,
                error=error,
                warnings=sorted(self.warnings, key=lambda w: (w.field != "text", w.first_char)),
            )
        )

    async def _save(self) -> None:
        """What was delivered is to be in the store; the turn still takes a barge-in meanwhile."""
        conversation = self._ports.conversation
        if conversation is not None and (problem := await conversation.unsaved()):
            self.warnings.append(not_saved(problem))

    def _nothing_said(self) -> None:
        """Nothing of the text could be spoken: no failure in a conversation, else the caller's."""
        if all(warning.kind not in NOT_SPOKEN for warning in self.warnings):
            self.warnings.append(nothing_spoken(self.text_chars))
        if not (self._options.in_conversation or self.started):
            raise errors.InvalidArgument(
                *(
                    errors.FieldViolation(
                        w.field,
                        f"{w.description} (characters {w.first_char}..{w.end_char})",
                    )
                    for w in self.warnings
                    if w.kind in NOT_SPOKEN
                )
            )

    def _leave(self, outcome: str, kept: int | None = None) -> None:
        if self.ended:
            return
        self._move(TurnState.OVER)
        turn, conversation = self.so_far(kept), self._ports.conversation
        if conversation is not None and turn.segments:
            conversation.add(turn)
        self.meter.finish(outcome, self._delivery.underrun_s)
