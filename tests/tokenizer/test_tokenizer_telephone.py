"""Telephone audio through the tokenizer, over real gRPC, with the voice of the repository."""

import itertools
from typing import Any

import grpc
import numpy as np
import pytest

from csm.audio.g711 import ALAW_LEVELS, MULAW_LEVELS, alaw_codes, mulaw_codes
from csm.errors import rpc_error_details
from csm.v1 import common_pb2
from tests.tokenizer.running_tokenizer import Tokenizer, chirp, random_codes, unpacked

MULAW = common_pb2.AUDIO_ENCODING_MULAW
ALAW = common_pb2.AUDIO_ENCODING_ALAW
OPUS = common_pb2.AUDIO_ENCODING_OGG_OPUS
S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE
LAWS = {MULAW: (mulaw_codes, MULAW_LEVELS), ALAW: (alaw_codes, ALAW_LEVELS)}


def form(encoding: Any, rate_hz: int = 0, channels: int = 0) -> common_pb2.AudioFormat:
    return common_pb2.AudioFormat(encoding=encoding, sample_rate_hz=rate_hz, channels=channels)


def call_of(seconds: float, rate_hz: int = 8000) -> np.ndarray:
    """Samples as a telephone would have them."""
    samples = chirp(int(seconds * rate_hz), rate_hz)
    return np.rint(samples * 32767).astype(np.int16)


@pytest.mark.parametrize("encoding", LAWS)
async def test_packets_of_20_ms_give_the_codes_of_the_samples_that_they_stand_for(
    tokenizer: Tokenizer, encoding: Any
) -> None:
    to_codes, levels = LAWS[encoding]
    data = to_codes(call_of(1.01)).tobytes()
    samples = levels[np.frombuffer(data, np.uint8)].astype("<i2").tobytes()
    expected = await tokenizer.encode(form(S16, 8000), [samples])
    packets = [data[at : at + 160] for at in range(0, len(data), 160)]
    whole = await tokenizer.encode(form(encoding), packets)
    assert np.array_equal(unpacked(whole.frames), unpacked(expected.frames))
    assert whole.num_samples == expected.num_samples == 3 * len(data)
    live, completed = await tokenizer.encode_live(form(encoding), packets)
    assert np.array_equal(live, unpacked(expected.frames))
    assert completed.num_samples == 3 * len(data)


async def test_two_channels_at_another_rate_may_be_cut_within_a_sample(
    tokenizer: Tokenizer,
) -> None:
    data = np.repeat(mulaw_codes(call_of(0.5, 16_000)), 2).tobytes()
    expected = await tokenizer.encode(form(MULAW, 16_000, 2), [data])
    cuts = [0, 1, 2, 333, 334, 5001, len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(cuts)]
    codes, _ = await tokenizer.encode_live(form(MULAW, 16_000, 2), parts)
    assert np.array_equal(codes, unpacked(expected.frames))
    assert expected.num_samples == len(data) // 2 * 3 // 2


@pytest.mark.parametrize("encoding", LAWS)
@pytest.mark.parametrize(("rate_hz", "channels"), [(0, 1), (24_000, 2)])
async def test_decoded_audio_is_that_of_pcm_in_another_encoding(
    tokenizer: Tokenizer, encoding: Any, rate_hz: int, channels: int
) -> None:
    codes = random_codes(6)
    asked = form(encoding, rate_hz, channels)
    pcm = await tokenizer.decode(codes, form(S16, rate_hz or 8000, channels))
    expected = LAWS[encoding][0](np.frombuffer(pcm, "<i2").astype(np.int16)).tobytes()
    first_samples: list[tuple[int, int]] = []
    data = await tokenizer.decode(
        codes, asked, each=lambda a: first_samples.append((a.first_sample, len(a.audio)))
    )
    assert data == expected
    assert len(data) == 6 * (rate_hz or 8000) * 80 // 1000 * channels
    at = 0
    for first_sample, size in first_samples:
        assert first_sample == at
        at += size // channels
    live = await tokenizer.decode_live([codes[:1], codes[1:]], asked)
    # One frame batched with others sums in another order: a sample may fall into the next step.
    rank = np.argsort(np.argsort(LAWS[encoding][1], kind="stable"), kind="stable").astype(int)
    steps = rank[np.frombuffer(live, np.uint8)] - rank[np.frombuffer(expected, np.uint8)]
    assert np.count_nonzero(steps) < len(expected) / 100
    assert len(live) == len(expected)


async def test_opus_is_the_gateways(tokenizer: Tokenizer) -> None:
    def refused(error: grpc.RpcError) -> tuple[str, str]:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        (found,) = [v for d in rpc_error_details(error) for v in getattr(d, "field_violations", ())]
        return found.field, found.description

    says = "AUDIO_ENCODING_OGG_OPUS is not allowed here; allowed are AUDIO_ENCODING_PCM_U8"
    for call, field, takes_files in (
        (tokenizer.encode(form(OPUS), [b"OggS"]), "config.format.encoding", True),
        (tokenizer.encode_live(form(OPUS), [b"OggS"]), "config.format.encoding", False),
        (tokenizer.decode(random_codes(1), form(OPUS)), "format.encoding", False),
        (tokenizer.decode_live([], form(OPUS)), "config.format.encoding", False),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        name, description = refused(caught.value)
        assert name == field
        assert description.startswith(says)
        assert "AUDIO_ENCODING_MULAW, AUDIO_ENCODING_ALAW" in description
        # A file of Ogg Opus can be read as a file: that is what its sender looks for.
        assert ("AUDIO_ENCODING_FILE" in description) is takes_files
    await tokenizer.until_idle()


async def test_bytes_that_end_within_a_sample_are_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await tokenizer.encode(form(ALAW, 8000, 2), [b"\xd5" * 161])
    details = str(rpc_error_details(caught.value))
    assert "ends with 1 bytes over; allowed is a multiple of 2" in details
