"""Voices for the tests, and calls about them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import grpc

from csm.v1 import speech_pb2
from gateway.conversations.segment import Segment
from gateway.voices.created.record import VoiceRecord
from gateway.voices.voice import Consent, RecordingQuality
from tests.gateway.fakes import CODEBOOK_SIZE, Stack

AUDIO = b"RIFF" + bytes(2496)
"""25 frames for the fake tokenizer: two seconds."""
WORDS = "My name is Anna, and this is how I sound."


def record(name: str = "anna", **more: Any) -> VoiceRecord:
    """A voice with one prompt of 25 frames, of the codec "cd"."""
    codes = bytes(2 * 8 * 25)
    quality = RecordingQuality(2000, -20.5, -3.0, -60.0, ("it is odd",))
    made = VoiceRecord(
        name,
        4,
        "cd",
        (Segment(4, WORDS, codes, 25),),
        (quality,),
        description="calm",
        language="en-GB",
        lexicon={"SQL": "sequel"},
        consent=Consent("she may be spoken", "Anna"),
        updated_unix_s=1_700_000_000,
        revision=f"first of {name}",
    )
    return replace(made, **more)


def create_requests(
    name: str, recordings: Iterable[tuple[str, bytes]] = ((WORDS, AUDIO),), **config: Any
) -> Iterator[speech_pb2.CreateVoiceRequest]:
    """What a client sends."""
    yield speech_pb2.CreateVoiceRequest(config=speech_pb2.CreateVoiceConfig(name=name, **config))
    for text, audio in recordings:
        yield speech_pb2.CreateVoiceRequest(recording=speech_pb2.CreateVoiceRecording(text=text))
        for at in range(0, len(audio), 1000):
            yield speech_pb2.CreateVoiceRequest(audio=audio[at : at + 1000])


async def create(running: Stack, name: str, **more: Any) -> speech_pb2.CreateVoiceResponse:
    """Makes a voice."""
    answer = await running.stub.CreateVoice(create_requests(name, **more), timeout=20)
    assert isinstance(answer, speech_pb2.CreateVoiceResponse)
    return answer


async def refusal(call: Any) -> grpc.RpcError:
    """What a call is refused with."""
    try:
        await call
    except grpc.RpcError as error:
        return error
    raise AssertionError("it was not refused")


async def names(running: Stack, **filters: Any) -> list[str]:
    """The names of the voices."""
    answer = await running.stub.ListVoices(speech_pb2.ListVoicesRequest(**filters))
    return [voice.name for voice in answer.voices]


FRAME_CODE = 2500 % CODEBOOK_SIZE
"""What the fake tokenizer makes of `AUDIO`."""
