"""Clients for load: many conversations stand open, some of them speak at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from csm import channel
from csm.v1 import speech_pb2, speech_pb2_grpc

TEXTS = (
    "The weather is fine today, and the train leaves at nine.",
    "Please bring a coat and something to read. We will be there before noon, I should think.",
    "Once more, please, and say it slowly. Everybody in this room would like to hear it well.",
)
BYTES_PER_S = 48_000
INTERRUPTED_S = 0.02
"""A gap that can be heard, as in the objective (docs/monitoring.md)."""
OPENED_AT_ONCE = 50
TURN_TIMEOUT_S = 60.0
LAG_INTERVAL_S = 0.02


@dataclass
class Heard:
    """What all listeners heard."""

    first_audio_s: list[float] = field(default_factory=list)
    underrun_s: list[float] = field(default_factory=list)
    """Of each turn, a listener who plays from the first chunk on."""
    audio_s: float = 0.0
    chunks: int = 0
    failovers: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    """Statuses and reasons of turns that did not end well."""

    @property
    def interrupted(self) -> int:
        """Turns with a gap that can be heard."""
        return sum(one > INTERRUPTED_S for one in self.underrun_s)


class Listener:
    """One Converse call that stands open."""

    def __init__(self, stub: speech_pb2_grpc.SpeechServiceStub, name: str, lead_ms: int) -> None:
        self._stub = stub
        self._call: Any = None
        self._config = speech_pb2.ConverseConfig(conversation_id=name, max_lead_ms=lead_ms)
        self._turns = 0

    async def open(self) -> None:
        """Returns when the gateway has opened the conversation."""
        self._call = self._stub.Converse()
        await self._call.write(speech_pb2.ConverseRequest(config=self._config))
        answer = await self._call.read()
        if answer is grpc.aio.EOF or answer.WhichOneof("response") != "started":  # type: ignore[attr-defined]
            raise RuntimeError("a conversation was not opened")

    async def hear(self, heard: Heard) -> None:
        """Has a turn spoken and notes what came."""
        text = speech_pb2.ConverseText(text=TEXTS[self._turns % len(TEXTS)])
        self._turns += 1
        await self._call.write(speech_pb2.ConverseRequest(text=text))
        asked = time.monotonic()
        end = speech_pb2.ConverseEndOfTurn()
        await self._call.write(speech_pb2.ConverseRequest(end_of_turn=end))
        play_end = underrun_s = 0.0
        while True:
            answer = await self._call.read()
            if answer is grpc.aio.EOF:  # type: ignore[attr-defined]
                raise RuntimeError("the call ended amid a turn")
            kind = answer.WhichOneof("response")
            if kind == "audio":
                now = time.monotonic()
                audio_s = len(answer.audio.audio) / BYTES_PER_S
                if not play_end:
                    heard.first_audio_s.append(now - asked)
                    play_end = now
                elif now > play_end:
                    underrun_s += now - play_end
                    play_end = now
                play_end += audio_s
                heard.audio_s += audio_s
                heard.chunks += 1
            elif kind == "turn_completed":
                heard.underrun_s.append(underrun_s)
                heard.failovers += answer.turn_completed.usage.failovers
                reason = answer.turn_completed.finish_reason
                if reason != 1:
                    heard.failed.append(f"finish reason {reason}")
                return

    def close(self) -> None:
        """Ends the call, if it is open."""
        if self._call is not None:
            self._call.cancel()


class Listeners:
    """All of them, over some connections."""

    def __init__(self, target: str, count: int, *, lead_ms: int, connections: int = 8) -> None:
        """`target`: gateways among which each connection's calls take turns."""
        arguments = channel.options(load_balancing={"round_robin": {}})
        # Else all channels of a target would share one connection to each address.
        arguments.append(("grpc.use_local_subchannel_pool", 1))
        self._channels = [
            grpc.aio.insecure_channel(target, options=arguments)
            for _ in range(min(connections, count))
        ]
        stubs = [speech_pb2_grpc.SpeechServiceStub(one) for one in self._channels]
        self._idle = deque(
            Listener(stubs[n % len(stubs)], f"load-{n}", lead_ms) for n in range(count)
        )
        self._all: Sequence[Listener] = list(self._idle)
        self.lags_s: list[float] = []
        """How late this process' own loop was: what it measures is late by as much."""

    async def open(self) -> None:
        """Opens all conversations, some at a time."""
        for at in range(0, len(self._all), OPENED_AT_ONCE):
            await asyncio.gather(*(one.open() for one in self._all[at : at + OPENED_AT_ONCE]))

    async def speak(self, speaking: int, seconds: float, heard: Heard) -> None:
        """So many turns at once, of one conversation after the other, for so long.

        They begin spread over the first seconds. Turns that run at the end are not waited for.
        """
        until = time.monotonic() + seconds
        tasks = [
            asyncio.create_task(self._speaker(n / speaking, until, heard)) for n in range(speaking)
        ]
        lag = asyncio.create_task(self._watch_lag())
        try:
            await asyncio.wait(tasks, timeout=seconds + 1)
        finally:
            for task in (*tasks, lag):
                task.cancel()
            done = await asyncio.gather(*tasks, lag, return_exceptions=True)
        for one in done:
            if isinstance(one, Exception):
                raise one

    async def close(self) -> None:
        """Ends all calls."""
        for one in self._all:
            one.close()
        await asyncio.gather(*(one.close() for one in self._channels))

    async def _speaker(self, phase: float, until: float, heard: Heard) -> None:
        await asyncio.sleep(phase * SPREAD_S)
        while time.monotonic() < until:
            listener = self._idle.popleft()
            try:
                async with asyncio.timeout(TURN_TIMEOUT_S):
                    await listener.hear(heard)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    heard.refused += 1
                else:
                    heard.failed.append(error.code().name)
                continue  # its call has ended
            self._idle.append(listener)

    async def _watch_lag(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_INTERVAL_S)
            self.lags_s.append(time.monotonic() - began - LAG_INTERVAL_S)


SPREAD_S = 4.0
"""Over which the first turns begin: about as long as one lasts."""
