"""Every other container that people send, and what is not audio at all."""

import gzip
import io
import json
import struct
import sys
import zipfile

import numpy as np
import pytest

from csm.audio.pcm import AudioError
from tests.csm.audio.building import (
    RATE_HZ,
    TONE,
    assert_tone,
    by_ffmpeg,
    needs_ffmpeg,
    needs_sox,
    piped,
    read,
    tone,
    wav,
    written,
)

AV_FILES = {
    "m4a": ("-c:a", "aac"),
    "mp4": ("-c:a", "aac"),
    "3gp": ("-c:a", "aac"),
    "mov": ("-c:a", "pcm_s16le"),
    "webm": ("-c:a", "libopus"),
    "mka": ("-c:a", "flac"),
    "aac": ("-c:a", "aac"),
}
FRAGMENTED = ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov")
NAMES = {"webm": "WebM", "mka": "WebM", "aac": "AAC audio"}


def av_file(suffix: str) -> bytes:
    return by_ffmpeg(*AV_FILES[suffix], suffix=f".{suffix}")


@needs_ffmpeg
@pytest.mark.parametrize("suffix", AV_FILES)
def test_what_phones_and_browsers_record_is_read(suffix: str) -> None:
    pytest.importorskip("av")
    rate_hz = 48_000 if suffix == "webm" else RATE_HZ
    assert_tone(av_file(suffix), rate_hz=rate_hz, slack=3000)


@needs_ffmpeg
def test_a_fragmented_mp4_and_a_video_are_read_for_their_sound() -> None:
    pytest.importorskip("av")
    assert_tone(by_ffmpeg(*FRAGMENTED, suffix=".mp4"), slack=3000)
    picture = ("-f", "lavfi", "-i", "testsrc=duration=1:size=160x120:rate=5")
    video = by_ffmpeg(*picture, "-c:a", "aac", "-c:v", "mpeg4", suffix=".mp4")
    assert_tone(video, slack=3000)
    with pytest.raises(AudioError, match="without a sound track"):
        read(by_ffmpeg(*picture, "-an", "-map", "1", "-c:v", "mpeg4", suffix=".mp4"))


@pytest.mark.parametrize(
    ("head", "frame_bytes", "rate_hz"), [(b"#!AMR\n", 13, 8000), (b"#!AMR-WB\n", 18, 16_000)]
)
def test_amr_is_read(head: bytes, frame_bytes: int, rate_hz: int) -> None:
    pytest.importorskip("av")
    # The lowest rate, 20 ms a frame.
    frames = [b"\x04" + bytes([number] * (frame_bytes - 1)) for number in range(50)]
    samples, rate, _ = read(head + b"".join(frames))
    assert (len(samples), rate) == (rate_hz, rate_hz)


@needs_ffmpeg
def test_a_film_of_old_quicktime_is_read() -> None:
    pytest.importorskip("av")
    mov = by_ffmpeg("-c:a", "pcm_s16le", suffix=".mov")
    length = int.from_bytes(mov[:4], "big")
    assert mov[4:8] == b"ftyp"
    # The place of the samples is counted from the start of the file.
    assert_tone(box(b"wide", bytes(length - 8)) + mov[length:])


@needs_ffmpeg
@pytest.mark.parametrize("suffix", AV_FILES)
def test_without_the_extra_the_format_and_the_remedy_are_named(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    name = NAMES.get(suffix, "MPEG-4 audio")
    with pytest.raises(AudioError, match=f"is {name}") as caught:
        read(av_file(suffix))
    assert "install the extra (pip install 'csm-server[av]') or convert it with ffmpeg -i" in str(
        caught.value
    )


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["m4a", "webm"])
def test_a_container_is_bounded_before_and_while_it_is_decoded(suffix: str) -> None:
    pytest.importorskip("av")
    from csm.audio.files import read_audio

    with pytest.raises(AudioError, match=r"is longer than 0\.5 s"):
        read_audio(av_file(suffix), max_seconds=0.5)


def box(name: bytes, *body: bytes | int) -> bytes:
    """An MPEG-4 box; integers are 32 bits."""
    packed = b"".join(one if isinstance(one, bytes) else struct.pack(">I", one) for one in body)
    return struct.pack(">I", len(packed) + 8) + name + packed


def nested(*names: bytes, inside: bytes) -> bytes:
    for name in reversed(names):
        inside = box(name, inside)
    return inside


MANY = 4_000_000_000
IN_TRACK = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
TABLES = {
    "sizes": nested(*IN_TRACK, inside=box(b"stsz", 0, 1, MANY)),
    "times": nested(*IN_TRACK, inside=box(b"stts", 0, 1, MANY, 1024)),
    "times of PCM": nested(*IN_TRACK, inside=box(b"stts", 0, 1, MANY, 1)),
    "offsets": nested(*IN_TRACK, inside=box(b"ctts", 0, 1, MANY, 0)),
    "chunks": nested(*IN_TRACK, inside=box(b"stco", 0, MANY)),
    "runs": nested(b"moof", b"traf", inside=box(b"trun", 0, MANY)),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_that_declare_thousands_of_millions_of_packets_are_refused(table: str) -> None:
    pytest.importorskip("av")
    with pytest.raises(AudioError, match="declares 4000000000 packets; allowed are 500000"):
        read(box(b"ftyp", b"M4A ", 0) + TABLES[table])


def test_other_tricks_of_a_header_are_refused() -> None:
    pytest.importorskip("av")
    start = box(b"ftyp", b"M4A ", 0)
    per_chunk = nested(*IN_TRACK, inside=box(b"stsc", 0, 1, 1, MANY, 1))
    with pytest.raises(AudioError, match="declares 4000000000 samples in a chunk"):
        read(start + per_chunk)
    with pytest.raises(AudioError, match="packed header"):
        read(start + nested(b"moov", inside=box(b"cmov", 0)))
    with pytest.raises(AudioError, match="has more than 65536 boxes"):
        read(start + box(b"free") * 70_000)


@needs_ffmpeg
def test_an_mp4_without_its_end_is_refused() -> None:
    pytest.importorskip("av")
    with pytest.raises(AudioError, match=r"cannot be read as MPEG-4 audio|is truncated"):
        read(av_file("m4a")[:3000])


@pytest.mark.parametrize("container", ["AIFF", "CAF", "AU", "W64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_what_apple_sun_and_sony_write_is_read(container: str, subtype: str) -> None:
    assert_tone(written(container, subtype))


@needs_sox
@pytest.mark.parametrize("kind", ["aiff", "au", "flac"])
def test_what_sox_pipes_is_read(kind: str) -> None:
    assert_tone(piped("sox", "-t", "wav", "-", "-t", kind, "-", source=wav()))


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["aiff", "au", "flac", "wav"])
def test_what_ffmpeg_pipes_is_read(kind: str) -> None:
    assert_tone(piped_by_ffmpeg(kind))


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["caf", "w64"])
def test_sizes_that_a_pipe_leaves_out_of_a_caf_and_a_w64_are_refused_with_the_remedy(
    kind: str,
) -> None:
    with pytest.raises(AudioError, match=r"convert it with ffmpeg -i FILE out\.wav"):
        read(piped_by_ffmpeg(kind))


def piped_by_ffmpeg(kind: str) -> bytes:
    command = ("ffmpeg", "-v", "error", "-f", "wav", "-i", "-", "-f", kind, "pipe:1")
    return piped(*command, source=wav())


@needs_ffmpeg
@pytest.mark.parametrize(
    ("options", "suffix", "rate_hz"),
    [
        (("-c:a", "libopus"), ".ogg", RATE_HZ),
        (("-c:a", "libopus"), ".opus", RATE_HZ),
        (("-c:a", "libvorbis"), ".ogg", RATE_HZ),
        (("-c:a", "libmp3lame"), ".mp3", RATE_HZ),
        (("-c:a", "mp2"), ".mp2", RATE_HZ),
    ],
)
def test_lossy_files_are_read(options: tuple[str, ...], suffix: str, rate_hz: int) -> None:
    assert_tone(by_ffmpeg(*options, suffix=suffix), rate_hz=rate_hz, slack=3 * 1152)


def test_an_mp3_of_8_khz_is_read() -> None:
    assert_tone(
        written("MP3", "MPEG_LAYER_III", tone(rate_hz=8000), 8000), rate_hz=8000, slack=3500
    )


@needs_ffmpeg
def test_an_mp3_with_a_cover_is_read() -> None:
    mp3 = written("MP3", "MPEG_LAYER_III")
    picture = b"\0image/png\0\x03\0" + bytes(range(256)) * 200
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = len(frame)
    synchsafe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    assert_tone(b"ID3\x03\0\0" + synchsafe + frame + mp3, slack=3500)


# --- not audio ---

ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as archive:
    archive.writestr("a.wav", "x")

OTHERS = {
    "a line break": (b"\n" + wav(), "starts with a line break; remove it"),
    "two of them": (b"\r\n\r\n" + wav(), "starts with a line break"),
    "a space": (b" " + wav(), "starts with a space"),
    "a byte order mark": (b"\xef\xbb\xbf" + wav(), "byte order mark"),
    "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "is an HTML page"),
    "HTML behind a line": (b"\n\n<html lang='en'>", "is an HTML page"),
    "HTML of a mark": (b"\xef\xbb\xbf<!doctype html>" + b"x" * 900, "is an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is XML"),
    "JSON": (json.dumps({"error": "not found", "audio": "UklGR"}).encode(), "is JSON"),
    "text": (b"Once upon a time there was a file.", "is text"),
    "text of two bytes": ("Es war einmal, äöü. ".encode("utf-16"), "is text"),
    "base64": (b"UklGRiQAAABXQVZFZm10IBAAAAABAAEA", "is text in base64; decode it"),
    "a data URL": (b"data:audio/wav;base64,UklGRiQAAABX", "is text in base64"),
    "a pointer of LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "is a PDF"),
    "ZIP": (ZIP.getvalue(), "is a ZIP archive; unpack it"),
    "gzip": (gzip.compress(wav()), "is a gzip archive; unpack it"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "is a PNG image"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100), "is a JPEG image"),
    "WebP": (b"RIFF\x1a\0\0\0WEBPVP8L" + bytes(14), r"\(a WebP image\)"),
    "AVI": (b"RIFF\x1a\0\0\0AVI LIST" + bytes(14), r"\(AVI video; convert it with ffmpeg"),
    "Windows Media": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "is Windows Media audio"),
    "zeros": (bytes(4000), "begins with zeros"),
    "noise": (np.random.default_rng(3).bytes(4000), "samples without a header are sent as PCM"),
    "samples alone": (wav()[400:], "samples without a header are sent as PCM"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_audio_is_refused_by_name_and_never_shown(name: str) -> None:
    data, says = OTHERS[name]
    with pytest.raises(AudioError, match=says) as caught:
        read(data)
    assert "\\x" not in str(caught.value)
    assert len(str(caught.value)) < 320


def test_a_tag_that_is_longer_than_its_file_is_refused() -> None:
    declared = b"ID3\x03\0\0" + bytes([0x5F, 0x2F, 0x10, 0x00])
    with pytest.raises(AudioError, match=r"is truncated: its ID3 tag ends at byte 2\d{8}"):
        read(declared + written("MP3", "MPEG_LAYER_III"))


def test_mono_is_the_mean_of_channels_that_differ() -> None:
    both = np.stack([TONE, tone(hz=600)], 1)
    for container in ("AIFF", "FLAC"):
        samples, _, warnings = read(written(container, "PCM_16", both))
        np.testing.assert_allclose(samples, both.mean(axis=1), atol=1e-4)
        assert not warnings


def test_an_ogg_of_two_recordings_is_refused_and_not_cut_to_its_first() -> None:
    for subtype in ("VORBIS", "OPUS"):
        one, other = written("OGG", subtype), written("OGG", subtype, tone(hz=600))
        with pytest.raises(AudioError, match=r"is an Ogg of several recordings.*ffmpeg -i"):
            read(one + other)
        assert_tone(one, slack=1024)
