"""Small files that would become large, or long to look at: over within a second and 50 MB."""

import io
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import soundfile

from csm.audio.files import read_audio
from csm.audio.pcm import AudioError
from tests.csm.audio.building import TONE, chunk, needs_ffmpeg, wav, written

HALF_HOUR_S = 1800


@cache
def silence(kind: str) -> bytes:
    """Half an hour of it at the lowest rate."""
    codecs = {
        "flac": ("-ar", "16000", "-c:a", "flac"),
        "mp3": ("-ar", "8000", "-c:a", "libmp3lame", "-b:a", "8k"),
        "ogg": ("-ar", "8000", "-c:a", "libvorbis", "-q:a", "-1"),
    }
    source = ("-f", "lavfi", "-i", f"anullsrc=r=8000:cl=mono:d={HALF_HOUR_S}")
    command = ("ffmpeg", "-v", "error", *source, *codecs[kind], "-f", kind, "pipe:1")
    return subprocess.run(command, check=True, capture_output=True).stdout


@cache
def chained_ogg(streams: int) -> bytes:
    one = io.BytesIO()
    soundfile.write(one, np.zeros(200, np.float32), 8000, format="OGG", subtype="VORBIS")
    return one.getvalue() * streams


def aiff_of_empty_chunks() -> bytes:
    head, rest = written("AIFF", "PCM_16")[:12], written("AIFF", "PCM_16")[12:]
    return head + b"JUNK\0\0\0\0" * 500_000 + rest


def caf_of_empty_chunks() -> bytes:
    whole = written("CAF", "PCM_16")
    return whole[:8] + whole[8:52] + (b"free" + bytes(8)) * 300_000 + whole[52:]


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "WAV of 500,000 empty chunks": (
        lambda: wav(before=b"junk\0\0\0\0" * 500_000),
        "more than 256 chunks",
    ),
    "WAV with a chunk of 4 GiB before its samples": (
        lambda: wav(before=chunk(b"JUNK", bytes(28), 0xFFFFFFFF)),
        "end before the data chunk",
    ),
    "WAV that is full of names of chunks": (
        lambda: wav(b"LIST\x04\0\0\0junk" * 1_000_000, data_size=0xFFFFFFFF),
        "",
    ),
    "AIFF of 500,000 empty chunks": (aiff_of_empty_chunks, "more than 256 chunks"),
    "CAF of 300,000 empty chunks": (caf_of_empty_chunks, "more than 256 chunks"),
    "Ogg of 10,000 chained streams": (lambda: chained_ogg(10_000), "is an Ogg of several"),
    "MP3 with a tag of 200 MB": (
        lambda: b"ID3\x03\0\0" + bytes([0x5F, 0x2F, 0x10, 0]) + written("MP3", "MPEG_LAYER_III"),
        "is truncated: its ID3 tag",
    ),
    "FLAC with a million empty blocks before its samples": (
        lambda: _padded_flac(1_000_000),
        "",
    ),
}


def _padded_flac(blocks: int) -> bytes:
    whole = written("FLAC", "PCM_16", TONE)
    # STREAMINFO, then blocks of padding without a byte in them.
    return b"fLaC\0" + whole[5:42] + b"\x01\0\0\0" * blocks + whole[42:]


def outcome(data: bytes) -> str:
    """What became of it within a second of work and 50 MB."""

    def said() -> str:
        try:
            samples, rate_hz = read_audio(data, max_seconds=300, rate_hz=24_000)
        except AudioError as error:
            return error.description
        return f"read {len(samples)} at {rate_hz}"

    began = time.thread_time()
    first = said()
    assert time.thread_time() - began < 1, first
    tracemalloc.start()
    assert said() == first
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 50 << 20, first
    return first


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_or_read_within_a_second_and_50_mb(name: str) -> None:
    make, says = BOMBS[name]
    assert says in outcome(make())


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg"])
def test_half_an_hour_of_silence_is_refused_within_a_second(kind: str) -> None:
    assert len(silence(kind)) < 3 << 20
    assert outcome(silence(kind)) == "is longer than 300 s, the most that is allowed"


def test_what_is_behind_the_samples_is_not_held() -> None:
    data = wav() + bytes(60 << 20)
    assert outcome(data) == "read 24000 at 24000"
