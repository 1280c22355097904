"""What a conversation has sent and heard, so that another call can go on where one broke off."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from csm import errors
from csm.client.messages import (
    AudioChunk,
    Event,
    FinishReason,
    Timing,
    TurnCompleted,
    TurnStarted,
    TurnTruncated,
    Usage,
)
from csm.v1 import speech_pb2

MAX_KEPT_BYTES = 16 << 20
"""Of messages whose turns are not over."""
SEEDS = 1 << 64

Request = speech_pb2.ConverseRequest


@dataclass
class _Turn:
    """What was sent up to an end of turn: of a heard turn, of a spoken one, or of both."""

    heard: list[Request] = field(default_factory=list)
    text: list[Request] = field(default_factory=list)
    end: Request | None = None
    awaits_heard: bool = False
    awaits_spoken: bool = False
    turn_id: str = ""
    """Of the spoken one, once it has begun."""
    rate_hz: int = 0
    num_samples: int = 0
    """Of it, that came."""
    told_chars: int = 0
    """Of its text, up to where the times of words came."""
    cancelled: bool = False
    heard_ms: int | None = None
    """What the cancel said."""

    @property
    def over(self) -> bool:
        """Whether nothing of it is awaited or still to be sent."""
        return self.end is not None and not (self.awaits_heard or self.awaits_spoken)

    @property
    def received_ms(self) -> int:
        """Milliseconds of it that came."""
        return self.num_samples * 1000 // self.rate_hz if self.rate_hz else 0

    @property
    def num_bytes(self) -> int:
        """Of its messages."""
        return sum(message.ByteSize() for message in (*self.heard, *self.text))

    def messages(self, *, anew: bool) -> Iterator[Request]:
        """What another call is to be told of it. `anew`: to say it from its beginning."""
        if self.awaits_heard:
            yield from self.heard
        if self.cancelled and self.awaits_spoken:
            if self.turn_id:
                heard_ms = self.received_ms if self.heard_ms is None else self.heard_ms
                cancel = speech_pb2.ConverseCancel(turn_id=self.turn_id, heard_ms=heard_ms)
                yield Request(cancel=cancel)
        elif self.awaits_spoken:
            if self.turn_id and anew:
                yield Request(cancel=speech_pb2.ConverseCancel(turn_id=self.turn_id, heard_ms=0))
            elif self.turn_id:
                resume = speech_pb2.ConverseResume(turn_id=self.turn_id, heard_ms=self.received_ms)
                yield Request(resume=resume)
            yield from self.text
        speaks = self.awaits_spoken and not self.cancelled
        if self.end is not None and (speaks or self.awaits_heard):
            heard_text = self.end.end_of_turn.heard_text if self.awaits_heard else ""
            yield Request(end_of_turn=speech_pb2.ConverseEndOfTurn(heard_text=heard_text))


class Replay:
    """The turns of a conversation that are not over."""

    def __init__(self, *, anew: bool = False) -> None:
        """`anew`: a turn that was broken off is taken back and said from its beginning."""
        self._anew = anew
        self.num_spoken = 0
        """Spoken turns that are over."""
        self._turns: deque[_Turn] = deque()
        self._bytes = 0
        self._told: set[str] = set()
        """Turns cut in another call, of which the answer is nobody's business."""

    def sent(self, message: Request) -> None:
        """To be noted before it is sent. Raises `QueueFull` where too much is not over."""
        kind = message.WhichOneof("request")
        if kind == "cancel":
            self._cancel(message.cancel)
            return
        if self._bytes + message.ByteSize() > MAX_KEPT_BYTES:
            raise errors.QueueFull(
                f"{MAX_KEPT_BYTES} bytes of turns that are not over; no more are kept for a call "
                "that resumes"
            )
        if not self._turns or self._turns[-1].end is not None:
            self._turns.append(_Turn())
        turn = self._turns[-1]
        if kind == "heard_audio":
            turn.heard.append(message)
            turn.awaits_heard = True
        elif kind in ("text", "flush"):
            turn.text.append(message)
            turn.awaits_spoken |= bool(message.text.text.strip())
        elif kind == "end_of_turn":
            turn.end = message
            turn.awaits_heard |= bool(message.end_of_turn.heard_text)
            turn.awaits_spoken |= bool(turn.text) and not turn.cancelled
        self._bytes += message.ByteSize()

    def received(self, event: Event) -> Event | None:
        """To be asked of every event; None: the caller has it already."""
        if isinstance(event, TurnStarted):
            return self._started(event)
        if isinstance(event, AudioChunk):
            return self._audio(event)
        if isinstance(event, TurnTruncated):
            # One of which nothing is left has no name any more.
            known = event.turn_id in self._told or not event.turn_id
            if not (known and self._told):
                return event
            self._told.discard(event.turn_id or next(iter(self._told)))
            return None
        return self._completed(event)

    def again(self, config: Request) -> tuple[Request, list[Request]]:
        """For another call: its config, and what to send behind it."""
        config = Request.FromString(config.SerializeToString())
        sampling = config.config.sampling
        if sampling.HasField("seed"):
            # A call counts its turns; the first of this one is another's.
            sampling.seed = (sampling.seed + self.num_spoken) % SEEDS
        messages = (turn.messages(anew=self._anew) for turn in self._turns)
        return config, list(chain.from_iterable(messages))

    def went_on(self) -> list[Event]:
        """All that was sent. What there is to tell of turns whose end was lost."""
        events: list[Event] = []
        for turn in self._turns:
            if not (turn.awaits_spoken and (turn.cancelled or self._anew)):
                continue
            heard_ms = turn.received_ms if turn.heard_ms is None else turn.heard_ms
            kept_ms = min(heard_ms, turn.received_ms)
            turn_id, turn.turn_id = turn.turn_id, ""
            if turn.cancelled:
                turn.awaits_spoken = False
                self.num_spoken += 1
            else:
                turn.num_samples = turn.told_chars = kept_ms = 0
            if turn_id:
                self._told.add(turn_id)
                why = FinishReason.CANCELLED
                events.append(TurnCompleted(turn_id, why, Usage(), Timing(), kept_ms, False))
        self._forget()
        return events

    # --- inside ---

    def _cancel(self, cancel: speech_pb2.ConverseCancel) -> None:
        for turn in self._turns:
            named = not cancel.turn_id or cancel.turn_id == turn.turn_id
            if turn.awaits_spoken and named:
                turn.cancelled = True
                turn.heard_ms = cancel.heard_ms if cancel.HasField("heard_ms") else None

    def _started(self, event: TurnStarted) -> Event | None:
        for turn in self._turns:
            if turn.turn_id == event.turn_id:
                return None
            if turn.awaits_spoken and not turn.turn_id:
                turn.turn_id, turn.rate_hz = event.turn_id, event.format.sample_rate_hz
                return event
        return event

    def _audio(self, event: AudioChunk) -> Event | None:
        turn = self._of(event.turn_id)
        if turn is None:
            return event
        words = tuple(word for word in event.words if word.first_char >= turn.told_chars)
        if words:
            turn.told_chars = words[-1].end_char
        event = replace(event, words=words)
        num_samples, known = event.num_samples, turn.num_samples - event.first_sample
        turn.num_samples = max(turn.num_samples, event.first_sample + num_samples)
        if known <= 0:
            return event
        if known >= num_samples:
            return None
        pcm = event.pcm[known * event.format.sample_bytes :]
        return replace(event, pcm=pcm, first_sample=event.first_sample + known)

    def _completed(self, event: TurnCompleted) -> Event | None:
        if event.heard:
            for turn in self._turns:
                if turn.awaits_heard:
                    turn.awaits_heard = False
                    turn.heard.clear()
                    break
        else:
            if event.finish_reason is FinishReason.SHUTDOWN:
                # The gateway goes away, and the turn goes on in another.
                return None
            awaited = next((t for t in self._turns if t.awaits_spoken and not t.turn_id), None)
            if (turn_ := self._of(event.turn_id) or awaited) is not None:
                turn_.awaits_spoken = False
            self.num_spoken += 1
        self._forget()
        return event

    def _of(self, turn_id: str) -> _Turn | None:
        return next((t for t in self._turns if t.turn_id == turn_id), None)

    def _forget(self) -> None:
        self._turns = deque(turn for turn in self._turns if not turn.over)
        self._bytes = sum(turn.num_bytes for turn in self._turns)
