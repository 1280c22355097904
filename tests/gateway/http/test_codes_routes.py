"""Recordings to codes and back."""

import io

import httpx
import numpy as np
import pytest
import soundfile
from safetensors.numpy import load, save

from csm.audio.stored_codes import StoredCodes
from tests.gateway.fakes import CODEBOOK_SIZE, FRAME_SAMPLES, K, Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS, DETOKENIZE = "/v1/audio/tokens", "/v1/audio/detokenize"
BYTES = {"content-type": "application/octet-stream"}


def wav(num_samples: int = 1000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(num_samples, np.int16), 24_000, format="WAV")
    return out.getvalue()


async def test_a_recording_becomes_codes_that_become_a_recording(
    served: Stack, http: httpx.AsyncClient
) -> None:
    sent = wav()
    answer = await http.post(TOKENS, content=sent, headers={"content-type": "audio/wav"})
    assert answer.status_code == 200, answer.text
    assert served.tokenizer.files[-1] == sent
    assert load(answer.content)["codes"].shape == (len(sent) // 100, K)
    stored = StoredCodes.from_bytes(answer.content, "x")
    assert (stored.model, stored.digest) == ("fake", "cd")

    back = await http.post(DETOKENIZE, content=answer.content, headers=BYTES)
    assert back.status_code == 200
    assert back.headers["content-type"] == "audio/wav"
    samples, rate_hz = soundfile.read(io.BytesIO(back.content), dtype="int16")
    assert rate_hz == 24_000
    assert len(samples) == len(stored.codes) * FRAME_SAMPLES


async def test_a_recording_in_parts_is_passed_on(served: Stack, http: httpx.AsyncClient) -> None:
    sent = wav(50_000)

    async def parts():  # type: ignore[no-untyped-def]
        for at in range(0, len(sent), 10_000):
            yield sent[at : at + 10_000]

    answer = await http.post(TOKENS, content=parts(), headers=BYTES)
    assert answer.status_code == 200
    assert served.tokenizer.files[-1] == sent


async def test_what_is_odd_about_a_recording_is_a_header(
    served: Stack, http: httpx.AsyncClient
) -> None:
    served.tokenizer.odd.append("clipped")
    try:
        answer = await http.post(TOKENS, content=wav(), headers=BYTES)
    finally:
        served.tokenizer.odd.clear()
    assert answer.headers["x-csm-warnings"] == "clipped"


async def test_what_is_no_audio_is_told_about_the_body(http: httpx.AsyncClient) -> None:
    answer = await http.post(TOKENS, content=b"<html>nothing</html>", headers=BYTES)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "body"
    assert "is no audio" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [TOKENS, DETOKENIZE])
async def test_the_body_is_the_file_itself(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(path, files={"file": ("x.wav", wav())})
    assert answer.status_code == 415
    assert "the file itself" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 100, "not a safetensors file"),
        (save({"other": np.zeros((1, K), np.int32)}), "has no tensor 'codes'"),
        (save({"codes": np.zeros((1, K), np.float32)}), "integers [frames, codebooks]"),
        (save({"codes": np.zeros((1, K + 1), np.int32)}), f"this codec has {K}"),
        (save({"codes": np.full((1, K), CODEBOOK_SIZE, np.int32)}), "is out of range"),
    ],
)
async def test_codes_that_will_not_do_are_named_with_the_reason(
    http: httpx.AsyncClient, content: bytes, told: str
) -> None:
    answer = await http.post(DETOKENIZE, content=content, headers=BYTES)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "body"
    assert told in answer.json()["error"]["message"]


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("declared", [True, False])
async def test_a_recording_that_is_too_large_is_refused(declared: bool) -> None:
    async with stack(http_port=0, http_max_upload_bytes=64 << 10) as one:
        async with httpx.AsyncClient(base_url=one.http) as http:
            content = bytes(100_000) if declared else _parts(100_000)
            answer = await http.post(TOKENS, content=content, headers=BYTES)
            assert answer.status_code == 413
            assert answer.json()["error"]["code"] == "request_too_large"
        # What says its size is refused before any of it is read.
        assert not (declared and one.tokenizer.files)
        await one.settled()


async def _parts(size: int):  # type: ignore[no-untyped-def]
    for _ in range(size // 1000):
        yield b"RIFF" + bytes(996)
