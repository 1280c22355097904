"""Coded streams as they are made: they decode to what went in, and come early."""

import io

import av
import numpy as np
import pytest

from csm.audio import compressed
from csm.audio.pcm import AudioError

RATE = 24_000
FRAME = 1920


def tone(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * 440 * times)).astype("<i2")


def decoded(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    samples = np.concatenate([frame.ravel() for frame in frames])
    return samples / 32768 if samples.dtype == np.int16 else samples


@pytest.mark.parametrize("compression", ["mp3", "flac", "aac"])
def test_a_stream_decodes_to_what_went_in(compression: compressed.Compression) -> None:
    encoder = compressed.make_encoder(compression, RATE)
    given = tone(2.0)
    parts = [encoder.feed(given[at : at + FRAME].tobytes()) for at in range(0, len(given), FRAME)]
    heard = decoded(b"".join(parts) + encoder.finish())
    # Coders of blocks begin with silence and end with what fills the last block.
    assert len(given) <= len(heard) <= len(given) + 3000
    level = np.sqrt(np.mean(heard.astype(np.float64) ** 2))
    assert level == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.1)
    # Nothing waits for the end: from the second frame on each gives something.
    assert all(parts[1:])


@pytest.mark.parametrize("compression", ["mp3", "flac"])
def test_the_first_frame_gives_the_first_bytes(compression: compressed.Compression) -> None:
    encoder = compressed.make_encoder(compression, RATE)
    assert encoder.feed(tone(0.08).tobytes())
    encoder.close()


def test_an_mp3_begins_with_sound_and_not_with_the_frame_of_its_length() -> None:
    encoder = compressed.make_encoder("mp3", RATE)
    data = encoder.feed(tone(0.4).tobytes()) + encoder.finish()
    assert data[:2] == b"\xff\xf3"
    assert any(data[4:40]), "a frame of zeros"
    assert b"Info" not in data
    assert b"Xing" not in data


def test_what_cannot_be_made_is_said_with_its_field() -> None:
    with pytest.raises(AudioError, match="sample_rate_hz: 23999 Hz is not allowed for mp3"):
        compressed.make_encoder("mp3", 23_999)


def test_a_machine_without_pyav_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(AudioError, match=r"response_format: aac is not there.*PyAV"):
        compressed.make_encoder("aac", RATE)


@pytest.mark.parametrize("compression", ["mp3", "flac", "aac"])
def test_an_encoder_may_be_closed_at_any_time_and_twice(
    compression: compressed.Compression,
) -> None:
    encoder = compressed.make_encoder(compression, RATE)
    encoder.feed(tone(0.08).tobytes())
    encoder.close()
    encoder.close()
    assert encoder.feed(tone(0.08).tobytes()) == b""
