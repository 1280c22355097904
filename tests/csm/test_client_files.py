"""Files through the SDK: frames by the tokenizer, and what does not fit a message."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from csm import AsyncTokenizerClient, ContextTurn, InvalidArgument, TokenizerClient, WarningKind
from csm.client import requests
from tests.csm.audio.building import RATE_HZ, TONE, TONE_16, wav, written
from tests.tokenizer.running_tokenizer import Tokenizer


async def test_a_file_is_encoded_mended_and_told(tmp_path: Path) -> None:
    odd = written("WAV", "PCM_16", np.concatenate([np.zeros(3 * RATE_HZ, np.float32), TONE]))
    (tmp_path / "odd.wav").write_bytes(odd)
    tokenizer = await Tokenizer().start()
    try:
        async with AsyncTokenizerClient(tokenizer.host.address) as client:
            plain = await client.encode_file(wav())
            told = await client.encode_file(tmp_path / "odd.wav")
            mended = await client.encode_file(odd, mend=True)
            samples = await client.encode(TONE, RATE_HZ)
            with pytest.raises(InvalidArgument, match="is an HTML page"):
                await client.encode_file(b"<!doctype html><title>404</title>")
    finally:
        await tokenizer.stop()
    assert plain.warnings == samples.warnings == ()
    assert plain.num_samples == RATE_HZ
    assert told.num_samples == 4 * RATE_HZ
    assert mended.num_samples == pytest.approx(1.1 * RATE_HZ, abs=RATE_HZ // 50)
    (warning,) = told.warnings
    assert (warning.kind, warning.field) == (WarningKind.RECORDING, "audio")
    assert "it begins with 3.0 s of silence" in warning.description
    assert mended.codes.shape == (-(-mended.num_samples // 1920), plain.codes.shape[1])


async def test_a_recording_larger_than_a_message_is_context_as_its_codes() -> None:
    long = wav(TONE_16 * 68)
    assert len(long) > 3 << 20
    tokenizer = await Tokenizer().start()

    def blocking() -> ContextTurn:
        with TokenizerClient(tokenizer.host.address) as client:
            with pytest.raises(InvalidArgument, match="is an HTML page"):
                client.encode_file(b"<!doctype html><title>404</title>")
            return client.context_turn(1, "Tones.", long)

    try:
        async with AsyncTokenizerClient(tokenizer.host.address) as client:
            turn = await client.context_turn(1, "Tones.", long)
        again = await asyncio.to_thread(blocking)
    finally:
        await tokenizer.stop()
    assert turn.codes is not None
    assert again.codes is not None
    assert np.array_equal(turn.codes, again.codes)
    assert turn.codes.shape[0] == pytest.approx(68 * 12.5, abs=1)
    assert turn.to_proto().frames.num_frames == turn.codes.shape[0]


@pytest.mark.parametrize("by_path", [False, True])
def test_a_file_larger_than_a_message_is_refused_here_with_the_remedy(
    tmp_path: Path, by_path: bool
) -> None:
    data = bytes((3 << 20) + 1)
    (tmp_path / "large.wav").write_bytes(data)
    context = [
        ContextTurn(0, "a"),
        ContextTurn(0, "b", tmp_path / "large.wav" if by_path else data),
    ]
    with pytest.raises(InvalidArgument) as caught:
        requests.synthesize_request(
            "Hello.",
            voice="",
            conversation_id="",
            context=context,
            speaker=None,
            sampling=requests.sampling(),
            max_audio_ms=0,
            format=None,
            max_lead_ms=0,
            text_options=None,
        )
    (violation,) = caught.value.violations
    assert violation.field == "context[1].audio_file"
    assert violation.description == (
        "3145729 bytes; allowed are 1..3145728; encode a larger one by the tokenizer "
        "(`csm encode`, `context_turn`) and give frames"
    )
