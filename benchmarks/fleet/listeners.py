"""Clients for load: many conversations stand open, some of them speak at a time."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
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
EXCHANGES_AT_ONCE = 8
TURN_TIMEOUT_S = 60.0
LAG_INTERVAL_S = 0.02
SPREAD_S = 4.0
"""Over which the first turns begin: about as long as one lasts."""


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
    lags_s: list[float] = field(default_factory=list)
    """How late this process' own loop was: what it measures is late by as much."""

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

    async def say(self, seconds: float) -> None:
        """Says something for so long; returns when it is a turn of the conversation."""
        audio = speech_pb2.ConverseHeardAudio(audio=bytes(int(seconds * BYTES_PER_S)))
        await self._call.write(speech_pb2.ConverseRequest(heard_audio=audio))
        end = speech_pb2.ConverseEndOfTurn(heard_text=TEXTS[self._turns % len(TEXTS)])
        await self._call.write(speech_pb2.ConverseRequest(end_of_turn=end))
        answer = await self._call.read()
        if answer is grpc.aio.EOF or not answer.turn_completed.heard:  # type: ignore[attr-defined]
            raise RuntimeError("what was said was not heard")

    async def hear(self, heard: Callable[[], Heard]) -> None:
        """Has a turn spoken and notes what came, where it is to be noted then."""
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
                    heard().first_audio_s.append(now - asked)
                    play_end = now
                elif now > play_end:
                    underrun_s += now - play_end
                    play_end = now
                play_end += audio_s
                heard().audio_s += audio_s
                heard().chunks += 1
            elif kind == "turn_completed":
                heard().underrun_s.append(underrun_s)
                heard().failovers += answer.turn_completed.usage.failovers
                reason = answer.turn_completed.finish_reason
                if reason != 1:
                    heard().failed.append(f"finish reason {reason}")
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
        self.heard = Heard()
        """What is heard now."""

    async def open(self) -> None:
        """Opens all conversations, some at a time."""
        for at in range(0, len(self._all), OPENED_AT_ONCE):
            await asyncio.gather(*(one.open() for one in self._all[at : at + OPENED_AT_ONCE]))

    async def speak(
        self, speaking: int, warm_up_s: float, measured_s: float, at_edge: Callable[[], None]
    ) -> Heard:
        """So many turns at once, of one conversation after the other; what was heard of them.

        They begin spread over the first seconds. `at_edge` is called when the measured time begins
        and when it ends; then turns that run are heard to their end, and not counted.
        """
        stop = asyncio.Event()
        tasks = [
            asyncio.create_task(self._speaker(n / speaking * SPREAD_S, stop))
            for n in range(speaking)
        ]
        lag = asyncio.create_task(self._watch_lag())
        try:
            await asyncio.sleep(warm_up_s)
            heard = self.heard = Heard()
            at_edge()
            await asyncio.sleep(measured_s)
            at_edge()
            self.heard = Heard()
            stop.set()
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, lag):
                task.cancel()
            await asyncio.gather(*tasks, lag, return_exceptions=True)
        return heard

    async def exchange(self, seconds: float) -> None:
        """All of them say something for so long, and hear a turn; some at a time."""

        async def one(listener: Listener) -> None:
            await listener.say(seconds)
            await listener.hear(lambda: self.heard)

        for at in range(0, len(self._all), EXCHANGES_AT_ONCE):
            await asyncio.gather(*map(one, self._all[at : at + EXCHANGES_AT_ONCE]))

    async def close(self) -> None:
        """Ends all calls."""
        for one in self._all:
            one.close()
        await asyncio.gather(*(one.close(None) for one in self._channels))

    async def _speaker(self, begin_s: float, stop: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), begin_s)
        while not stop.is_set() and self._idle:
            listener = self._idle.popleft()
            try:
                async with asyncio.timeout(TURN_TIMEOUT_S):
                    await listener.hear(lambda: self.heard)
            except grpc.aio.AioRpcError as error:
                # Its call has ended: it is open no more.
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    self.heard.refused += 1
                else:
                    self.heard.failed.append(error.code().name)
                continue
            except TimeoutError:
                self.heard.failed.append("no end of a turn")
                listener.close()
                continue
            self._idle.append(listener)

    async def _watch_lag(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_INTERVAL_S)
            self.heard.lags_s.append(time.monotonic() - began - LAG_INTERVAL_S)
