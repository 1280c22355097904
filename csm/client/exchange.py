"""What a blocking conversation and one for asyncio know of their call alike."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

import grpc

from csm import errors
from csm.client import requests
from csm.client.formats import AudioFormat
from csm.client.messages import (
    AudioChunk,
    ConversationStarted,
    Event,
    TurnCompleted,
    TurnStarted,
    TurnTruncated,
)
from csm.client.retry import Deadline, RetryPolicy, from_status
from csm.v1 import speech_pb2

SentT = TypeVar("SentT", None, Coroutine[Any, Any, None])
"""What sending gives back: nothing, or something to be awaited."""


class Exchange(Generic[SentT]):
    """One `Converse` call: what may be sent, what its messages and its statuses mean."""

    def __init__(
        self,
        open_call: Callable[..., Any],
        config: speech_pb2.ConverseRequest,
        input_format: AudioFormat | None,
        target: str,
        retry: RetryPolicy,
        timeout_s: float | None,
    ) -> None:
        self._open_call = open_call
        self._call: Any = None
        self._timeout_s = timeout_s
        self._deadline = Deadline(timeout_s)
        self._config = config
        self._input_format = input_format or AudioFormat()
        self._target = target
        self._retry = retry
        self._started: ConversationStarted | None = None
        self._formats: dict[str, AudioFormat] = {}
        self._closing = False

    @property
    def started(self) -> ConversationStarted:
        """The conversation's id, voice, number of turns and output format."""
        self.require_open()
        if self._started is None:
            raise self._ended_at_once()
        return self._started

    @property
    def conversation_id(self) -> str:
        """Names the conversation for later calls."""
        return self.started.conversation_id

    @property
    def ended(self) -> bool:
        """Whether the call is over, by either side: nothing more can be sent. What a server that
        ended it had sent before can still be read."""
        self.require_open()
        return self._closing or bool(self._call.done())

    def require_open(self) -> None:
        if self._call is None:
            raise RuntimeError(
                "the conversation is not open; enter it first: `with client.converse() as "
                "conversation:` (`async with` for AsyncClient)"
            )

    def require_new(self) -> None:
        if self._call is not None:
            raise RuntimeError("the conversation was entered before; make another with converse()")
        self._deadline = Deadline(self._timeout_s)

    def _error(self, error: Any) -> errors.ServiceError:
        """What a status of this call means; OK, or having left it, that it has ended."""
        if error.code() is grpc.StatusCode.OK or self._closing:
            return errors.FailedPrecondition("the conversation has ended")
        return from_status(error, self._target, self._deadline)

    def _open(self, message: speech_pb2.ConverseResponse) -> None:
        if message.WhichOneof("response") != "started":
            raise errors.Internal(f"the server at {self._target} did not begin with `started`")
        self._started = ConversationStarted.from_proto(message.started)

    def _event(self, message: speech_pb2.ConverseResponse) -> Event | None:
        kind = message.WhichOneof("response")
        if kind == "turn_started":
            turn = TurnStarted.from_proto(message.turn_started)
            self._formats[turn.turn_id] = turn.format
            return turn
        if kind == "audio":
            form = self._formats.get(message.audio.turn_id, self.started.format)
            return AudioChunk.from_proto(message.audio, form)
        if kind == "turn_completed":
            self._formats.pop(message.turn_completed.turn_id, None)
            return TurnCompleted.from_proto(message.turn_completed)
        if kind == "turn_truncated":
            return TurnTruncated.from_proto(message.turn_truncated)
        return None

    def _ended_at_once(self) -> errors.ServiceError:
        return errors.Internal(f"the server at {self._target} ended the call at once")

    def send_audio(self, audio: requests.Heard) -> SentT:
        """Heard audio, as it arrives."""
        return self._send(requests.heard_requests(audio, self._input_format))

    def say(self, text: str, voice: str = "") -> SentT:
        """A part of the text to speak; complete sentences are spoken before the turn ends.

        `voice` speaks this part, by name; empty: the conversation's voice. Parts of several voices
        may make one turn; where the voice changes, a sentence ends. A voice that the server does
        not know is a warning in `TurnCompleted`, and the conversation's speaks.
        """
        return self._send([requests.text_request(text, voice)])

    def flush(self) -> SentT:
        """Has spoken what was said so far, without waiting for more of its sentence; the turn goes
        on."""
        return self._send([requests.flush_request()])

    def end_turn(self, heard_text: str = "") -> SentT:
        """The turn is complete: what was heard, what is to be said, or both (heard first)."""
        return self._send([requests.end_of_turn_request(heard_text)])

    def cancel(self, *, heard_ms: int | None = None, turn_id: str = "") -> SentT:
        """Barge-in: ends the spoken turn, of which `heard_ms` stay in the conversation.

        None: all that was sent was heard. The turn's `TurnCompleted` still comes.
        """
        return self._send([requests.cancel_request(turn_id, heard_ms)])

    def _send(self, messages: Iterable[speech_pb2.ConverseRequest]) -> SentT:
        """Sends them in order; blocking or as a coroutine, as each kind of conversation does."""
        raise NotImplementedError
