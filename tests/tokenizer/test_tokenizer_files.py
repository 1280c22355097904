"""Files through the tokenizer: what is odd about them is said, and none is in another's way."""

import asyncio
import time

import grpc
import numpy as np
import pytest

from csm.v1 import common_pb2, tokenizer_pb2
from tests.csm.audio.building import RATE_HZ, TONE, TONE_16, wav, written
from tests.csm.audio.test_bombs import BOMBS
from tests.tokenizer.running_tokenizer import F32, FILE, Tokenizer, chirp, unpacked


async def test_what_is_odd_about_a_file_comes_with_its_frames(tokenizer: Tokenizer) -> None:
    plain = await tokenizer.encode(FILE, [wav()])
    assert not plain.warnings
    answer = await tokenizer.encode(FILE, [wav(data_size=len(TONE_16) + 44)])
    (warning,) = answer.warnings
    assert warning.kind == common_pb2.WARNING_KIND_RECORDING
    assert warning.field == "audio"
    assert "declares 48044 bytes of samples, 48000 are there" in warning.description
    assert answer.num_samples == RATE_HZ
    assert (unpacked(answer.frames) == unpacked(plain.frames)).all()


async def test_a_file_is_mended_only_where_that_is_asked(tokenizer: Tokenizer) -> None:
    silence = np.zeros(3 * RATE_HZ, np.float32)
    data = written("WAV", "PCM_24", np.concatenate([silence, TONE, silence]) / 400 + 0.1)
    plain = await tokenizer.encode(FILE, [data])
    mended = await tokenizer.encode(FILE, [data], mend=True)
    assert plain.num_samples == 7 * RATE_HZ
    assert mended.num_samples == pytest.approx(1.2 * RATE_HZ, abs=RATE_HZ // 25)
    assert mended.frames.num_frames == -(-mended.num_samples // 1920)
    assert len(plain.warnings) == len(mended.warnings) == 4


@pytest.mark.parametrize("live", [False, True])
async def test_what_is_no_file_cannot_be_mended(tokenizer: Tokenizer, live: bool) -> None:
    config = tokenizer_pb2.EncodeConfig(format=F32, mend=True)
    request = tokenizer_pb2.StreamingEncodeRequest(config=config)
    call = (
        anext(aiter(tokenizer.stub.StreamingEncode(iter([request]))))
        if live
        else tokenizer.encode(F32, [TONE.tobytes()], mend=True)
    )
    with pytest.raises(grpc.aio.AioRpcError, match=r"config\.mend: is for files"):
        await call


async def test_bombs_do_not_hold_up_the_frames_of_others(tokenizer: Tokenizer) -> None:
    files = [make() for make, refused in BOMBS.values() if refused]

    async def bomb(data: bytes) -> None:
        pieces = [data[at : at + (1 << 20)] for at in range(0, min(len(data), 8 << 20), 1 << 20)]
        with pytest.raises(grpc.aio.AioRpcError, match=r"audio: (has more|is )"):
            await tokenizer.encode(FILE, pieces)

    async def listener() -> float:
        """The longest that a frame of a live stream took."""
        longest_s = 0.0
        for seed in range(12):
            began = time.monotonic()
            await tokenizer.encode_live(F32, [chirp(1920, seed=seed).tobytes()])
            longest_s = max(longest_s, time.monotonic() - began)
            await asyncio.sleep(0.02)
        return longest_s

    await listener()  # the codec's first steps are slower
    bombs = [asyncio.create_task(bomb(data)) for data in files]
    assert await listener() < 1.0
    await asyncio.gather(*bombs)
    await tokenizer.until_idle()
