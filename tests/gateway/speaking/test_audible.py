"""Where a chunk is first heard, in every format that a client may have."""

import numpy as np
import pytest

from csm.audio.pcm import pcm_bytes
from csm.v1 import common_pb2
from gateway.commands import StreamFormat
from gateway.speaking.audible import first_audible_s

ENCODINGS = [
    common_pb2.AUDIO_ENCODING_PCM_S16LE,
    common_pb2.AUDIO_ENCODING_PCM_F32LE,
    common_pb2.AUDIO_ENCODING_MULAW,
    common_pb2.AUDIO_ENCODING_ALAW,
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_speech_is_found_behind_a_quiet_beginning(encoding: int, channels: int) -> None:
    samples = np.full(800 * channels, 0.001, np.float32)
    samples[600 * channels :] = -0.3
    pcm = pcm_bytes(samples, encoding)  # type: ignore[arg-type]
    form = StreamFormat(encoding, 8000, channels)
    assert first_audible_s(pcm, form) == pytest.approx(0.075)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_silence_is_never_heard(encoding: int) -> None:
    pcm = pcm_bytes(np.full(640, 0.001, np.float32), encoding)  # type: ignore[arg-type]
    assert first_audible_s(pcm, StreamFormat(encoding, 8000, 1)) is None
