"""Calls as a client makes them, their answers gathered."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from csm.errors import rpc_error_details
from csm.status import TrueStatus
from csm.v1 import common_pb2, speech_pb2
from tests.gateway.fakes import FRAME_SAMPLES, Stack, samples_of


@dataclass
class Heard:
    """What a listener got of one turn."""

    started: list[Any] = field(default_factory=list)
    audio: list[Any] = field(default_factory=list)
    completed: list[Any] = field(default_factory=list)

    @property
    def pcm(self) -> bytes:
        return b"".join(a.audio for a in self.audio)

    @property
    def frames(self) -> list[int]:
        """The numbers of the frames that were heard."""
        samples = np.frombuffer(self.pcm, "<i2").reshape(-1, FRAME_SAMPLES)
        codes = [int(code) for code in samples[:, 0]]
        assert all(
            (one == samples_of(code)).all() for one, code in zip(samples, codes, strict=True)
        )
        return codes


async def synthesize(stack: Stack, text: str = "", timeout_s: float = 20, **fields: Any) -> Heard:
    heard = Heard()
    request = speech_pb2.SynthesizeRequest(text=text, **fields)
    async for answer in stack.stub.Synthesize(request, timeout=timeout_s):
        getattr(heard, answer.WhichOneof("response")).append(
            getattr(answer, answer.WhichOneof("response"))
        )
    return heard


def violations(error: grpc.RpcError) -> dict[str, str]:
    """Field -> description of an INVALID_ARGUMENT."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error  # type: ignore[attr-defined]
    return {
        v.field: v.description
        for d in rpc_error_details(error)
        for v in getattr(d, "field_violations", ())
    }


class Conversation:
    """A Converse call; `answers` and `turns` fill up while it is open."""

    def __init__(self, stack: Stack, timeout_s: float = 20, **config: Any) -> None:
        self.call = stack.stub.Converse(timeout=timeout_s)
        self._status = TrueStatus(self.call)
        self.config = config
        self.answers: list[Any] = []
        self.order: list[str] = []
        self.error: grpc.aio.AioRpcError | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "Conversation":
        await self.send(config=speech_pb2.ConverseConfig(**self.config))
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.call.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def send(self, **kind: Any) -> None:
        await self.call.write(speech_pb2.ConverseRequest(**kind))

    async def say(self, text: str) -> None:
        await self.send(text=speech_pb2.ConverseText(text=text))

    async def hear(self, num_frames: float) -> None:
        pcm = bytes(2 * int(num_frames * FRAME_SAMPLES))
        await self.send(heard_audio=speech_pb2.ConverseHeardAudio(audio=pcm))

    async def end(self, heard_text: str = "") -> None:
        await self.send(end_of_turn=speech_pb2.ConverseEndOfTurn(heard_text=heard_text))

    async def cancel(self, turn_id: str = "", heard_ms: int | None = None) -> None:
        await self.send(cancel=speech_pb2.ConverseCancel(turn_id=turn_id, heard_ms=heard_ms))

    async def done(self) -> None:
        """Half-closes and waits for the end of the call."""
        await self.call.done_writing()
        await asyncio.wait_for(self._reader, 20)

    async def until(self, kind: str, count: int = 1) -> Any:
        """The count-th answer of that kind, waited for."""
        while len(found := self.all(kind)) < count:
            if self._reader.done():
                raise AssertionError(f"ended with {self.order} and {self.error}")
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 20)
        return found[count - 1]

    async def failed(self) -> grpc.aio.AioRpcError:
        """The status that the call ends with, waited for."""
        await asyncio.wait_for(self._reader, 20)
        assert self.error is not None, self.order
        return self.error

    def all(self, kind: str) -> list[Any]:
        return [getattr(a, kind) for a in self.answers if a.WhichOneof("response") == kind]

    @property
    def turns(self) -> dict[str, Heard]:
        turns: dict[str, Heard] = {}
        for answer in self.answers:
            kind = answer.WhichOneof("response")
            if kind in ("started", "turn_truncated"):
                continue
            one = getattr(answer, kind)
            turn = turns.setdefault(one.turn_id, Heard())
            assert not turn.completed, f"{kind} after the terminal"
            name = {"turn_started": "started", "turn_completed": "completed"}.get(kind, kind)
            getattr(turn, name).append(one)
        return turns

    @property
    def spoken(self) -> list[Heard]:
        return [t for t in self.turns.values() if not (t.completed and t.completed[0].heard)]

    async def _read(self) -> None:
        try:
            async for answer in self.call:
                self.answers.append(answer)
                self.order.append(answer.WhichOneof("response"))
                self._changed.set()
        except grpc.aio.AioRpcError as error:
            self.error = await self._status.of(error)
        finally:
            self._changed.set()


async def turns_of(stack: Stack, conversation_id: str) -> list[tuple[bool, int, str, int]]:
    """(heard, speaker, text, audio_ms) of each turn kept."""
    answer = await stack.stub.GetConversation(
        speech_pb2.GetConversationRequest(conversation_id=conversation_id)
    )
    return [(t.heard, t.speaker, t.text, t.audio_ms) for t in answer.turns]


def tokens(num_frames: int, code: int = 1, width: int = 8) -> common_pb2.TokenFrames:
    codes = np.full((num_frames, width), code, "<u2")
    return common_pb2.TokenFrames(codes=codes.tobytes(), num_frames=num_frames, num_codebooks=width)
