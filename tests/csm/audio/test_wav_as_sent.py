"""WAV files whose header says what is not so, read as they are meant."""

import struct

import numpy as np
import pytest

from csm.audio.pcm import AudioError
from tests.csm.audio.building import (
    RATE_HZ,
    TONE,
    TONE_16,
    assert_tone,
    by_ffmpeg,
    chunk,
    fmt,
    needs_ffmpeg,
    needs_sox,
    piped,
    read,
    tone,
    wav,
    written,
)

TRAILERS = {
    "LIST": chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 6) + b"Lavf58"),
    "id3": chunk(b"id3 ", b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)),
    "C2PA": chunk(b"C2PA", bytes(range(256)) * 150),
    "bext": chunk(b"bext", b"A recorder" + bytes(592)),
    "cue": chunk(b"cue ", struct.pack("<I", 1) + bytes(24)),
    "LIST and id3": chunk(b"LIST", b"INFOx") + chunk(b"id3 ", b"ID3\x03\0\0\0\0\0\0"),
    "an ID3 tag of its own": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10),
    "TAG": b"TAG" + bytes(125),
}


@pytest.mark.parametrize(
    ("data_size", "riff_size"),
    [
        (2_000_000_000, 2_000_000_036),
        (0x7FFFFFFF, 0x7FFFFFFF),
        (0x7FFFFFFE, None),
        (0x7FFFFFDB, 0x7FFFFFFF),
        (0x7FFFF000, 0x7FFFF024),
        (0x80000000, 0x80000024),
        (0xFFFFFFDB, 0xFFFFFFFF),
        (0xFFFFFFFE, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0, 0),
        (0, 36),
    ],
)
def test_a_size_that_cannot_be_meant_is_the_end_of_the_file(
    data_size: int, riff_size: int | None
) -> None:
    assert_tone(wav(data_size=data_size, riff_size=riff_size))


@pytest.mark.parametrize("data_size", [0, 0xFFFFFFFF, 2_000_000_000])
@pytest.mark.parametrize("trailer", TRAILERS)
def test_chunks_behind_samples_of_an_unknown_length_are_no_sound(
    trailer: str, data_size: int
) -> None:
    assert_tone(wav(data_size=data_size, riff_size=0xFFFFFFFF, behind=TRAILERS[trailer]))


@pytest.mark.parametrize("trailer", TRAILERS)
def test_chunks_behind_samples_of_a_true_length_are_no_sound(trailer: str) -> None:
    assert_tone(wav(behind=TRAILERS[trailer]))


def test_sound_that_spells_the_name_of_a_chunk_stays_sound() -> None:
    samples = bytearray(TONE_16)
    samples[20_000:20_008] = b"LIST\x10\0\0\0"
    samples[-40:-32] = b"id3 \x00\x01\0\0"
    loud, _, _ = read(wav(bytes(samples), data_size=0xFFFFFFFF))
    assert len(loud) == len(TONE)


@needs_ffmpeg
def test_an_rf64_from_a_pipe_is_read_to_its_end() -> None:
    data = piped(
        *(
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "wav",
            "-i",
            "-",
            "-rf64",
            "always",
            "-f",
            "wav",
            "pipe:1",
        ),
        source=wav(),
    )
    assert data[:4] == b"RF64"
    assert_tone(data)
    assert_tone(b"BW64" + data[4:])


@needs_ffmpeg
def test_an_rf64_with_sizes_is_read() -> None:
    assert_tone(by_ffmpeg("-rf64", "always", suffix=".wav"))
    assert_tone(written("RF64", "PCM_16"))


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["libmp3lame", "mp2"])
def test_mpeg_inside_a_wav_is_read(codec: str) -> None:
    data = by_ffmpeg("-c:a", codec, suffix=".wav")
    assert data[:4] == b"RIFF"
    assert_tone(data, slack=3 * 1152)


@pytest.mark.parametrize("too_many", [8, 36, 44])
@pytest.mark.parametrize("behind", ["nothing", "LIST"])
def test_a_size_that_is_too_large_by_a_header_is_read_with_a_warning(
    too_many: int, behind: str
) -> None:
    size = len(TONE_16) + too_many
    data = wav(data_size=size, behind=TRAILERS.get(behind, b""))
    assert_tone(data, warns=f"its header declares {size} bytes of samples, 48000 are there")


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_file_without_its_last_bytes_is_read_with_a_warning(missing: int) -> None:
    samples, rate_hz, warnings = read(wav()[:-missing])
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(samples, TONE[: len(samples)], atol=1e-4)
    assert len(samples) == (len(TONE_16) - missing) // 2
    assert warnings == [
        f"its header declares 48000 bytes of samples, {len(TONE_16) - missing} are there"
    ]


def test_a_size_of_zero_in_a_file_of_the_right_size_is_read_with_a_warning() -> None:
    assert_tone(wav(data_size=0), warns="its header declares 0 bytes of samples, 48000 are there")


def test_a_file_that_lost_a_part_is_refused_with_what_is_left_and_the_remedy() -> None:
    with pytest.raises(AudioError, match=r"declares 48000 bytes of samples, 30000 .*ffmpeg -i"):
        read(wav()[: 44 + 30_000])


@pytest.mark.parametrize("riff_size", [0, 36, 12, 48_000, 0x12345678])
def test_a_riff_size_that_is_wrong_does_no_harm(riff_size: int) -> None:
    assert_tone(wav(riff_size=riff_size))


# --- formats ---


def words_24(shift: int) -> bytes:
    return (np.rint(TONE.astype(np.float64) * (1 << 23)).astype("<i4") << shift).tobytes()


@pytest.mark.parametrize("shift", [8, 0])
def test_24_bits_in_32_under_the_plain_tag_are_read_wherever_they_lie(shift: int) -> None:
    assert_tone(wav(words_24(shift), form=fmt(bits=24, block=4)), tolerance=1e-6)


def with_byte_rate(form: bytes, byte_rate: int) -> bytes:
    return form[:16] + struct.pack("<I", byte_rate) + form[20:]


@pytest.mark.parametrize("shift", [8, 0])
def test_where_the_byte_rate_and_the_block_align_differ_the_samples_decide(shift: int) -> None:
    form = with_byte_rate(fmt(bits=24, block=4), RATE_HZ * 3)
    assert_tone(wav(words_24(shift), form=form), tolerance=1e-6)
    packed = np.frombuffer(words_24(0), np.uint8).reshape(-1, 4)[:, :3].tobytes()
    assert_tone(wav(packed, form=form), tolerance=1e-6)


def extensible(bits: int, valid: int, code: int = 1, block: int | None = None) -> bytes:
    align = bits // 8 if block is None else block
    guid = struct.pack("<H", code) + bytes.fromhex("000000001000800000aa00389b71")
    head = struct.pack("<HHIIHH", 0xFFFE, 1, RATE_HZ, RATE_HZ * align, align, bits)
    return chunk(b"fmt ", head + struct.pack("<HHI", 22, valid, 4) + guid)


@pytest.mark.parametrize("block", [4, None])
def test_24_bits_in_32_of_an_extensible_format_are_read(block: int | None) -> None:
    bits = 32 if block is None else 24
    assert_tone(wav(words_24(8), form=extensible(bits, 24, block=block)), tolerance=1e-6)


def test_extensible_16_bits_and_floats_are_read() -> None:
    assert_tone(wav(form=extensible(16, 16)))
    assert_tone(wav(TONE.astype("<f4").tobytes(), form=extensible(32, 32, code=3)), tolerance=1e-6)


def test_20_bits_in_24_are_read() -> None:
    values = (np.rint(TONE.astype(np.float64) * (1 << 19)).astype("<i4") << 4).astype("<i4")
    packed = values.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    assert_tone(wav(packed, form=fmt(bits=20)), tolerance=1e-5)
    assert_tone(wav(packed, form=extensible(24, 20)), tolerance=1e-5)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("block", [0, 1, 7])
def test_a_block_align_that_makes_no_sense_is_made_good(bits: int, block: int) -> None:
    data = written("WAV", {8: "PCM_U8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}[bits])
    payload = data[data.index(b"data") + 8 :][: len(TONE) * bits // 8]
    assert_tone(
        wav(payload, form=fmt(bits=bits, block=block)), tolerance=1 / 100 if bits == 8 else 1e-4
    )


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("DOUBLE", 1e-6), ("FLOAT", 1e-6), ("ULAW", 0.02), ("ALAW", 0.02), ("PCM_U8", 0.01),
     ("PCM_24", 1e-6), ("PCM_32", 1e-6)],
)  # fmt: skip
def test_what_a_wav_may_hold_is_read(subtype: str, tolerance: float) -> None:
    assert_tone(written("WAV", subtype), tolerance=tolerance)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM"])
def test_adpcm_is_read(subtype: str) -> None:
    assert_tone(written("WAV", subtype), slack=1024, tolerance=0.03)


def test_gsm_is_read() -> None:
    data = written("WAV", "GSM610", tone(rate_hz=8000), 8000)
    assert_tone(data, rate_hz=8000, slack=640, tolerance=0.2)


def test_the_other_end_first_is_read() -> None:
    data = written("WAV", "PCM_16", endian="BIG")
    assert data[:4] == b"RIFX"
    assert_tone(data)


@pytest.mark.parametrize(
    "before",
    [
        TRAILERS["LIST"],
        TRAILERS["bext"],
        TRAILERS["id3"],
        chunk(b"iXML", b"<BWFXML></BWFXML>"),
        chunk(b"JUNK", bytes(28)),
        chunk(b"FLLR", bytes(4044)),
        chunk(b"LIST", bytes(393_164)),
        chunk(b"PAD ", bytes(2021)),
    ],
    ids=lambda value: value[:4].decode(),
)
def test_chunks_before_the_samples_are_skipped(before: bytes) -> None:
    assert_tone(wav(before=before))


def test_an_id3_tag_before_riff_is_skipped() -> None:
    assert_tone(b"ID3\x03\0\0\0\0\x02\x00" + bytes(256) + wav())


@needs_sox
def test_what_sox_and_espeak_pipe_is_read() -> None:
    data = piped("sox", "-t", "wav", "-", "-t", "wav", "-", source=wav())
    assert_tone(data)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_read(rate_hz: int) -> None:
    assert_tone(written("WAV", "PCM_16", tone(rate_hz=rate_hz), rate_hz), rate_hz=rate_hz)


@pytest.mark.parametrize("channels", range(1, 7))
def test_every_number_of_channels_is_read(channels: int) -> None:
    assert_tone(written("WAV", "PCM_16", np.stack([TONE] * channels, 1)))


@pytest.mark.parametrize(
    ("scale", "kind"),
    [(32_767, "<f4"), (32_767, "<f8"), (8_388_607, "<f4"), (2_147_483_647, "<f8")],
)
def test_floats_at_the_scale_of_integers_are_scaled_down_with_a_warning(
    scale: int, kind: str
) -> None:
    payload = (TONE.astype(np.float64) * scale).astype(kind).tobytes()
    bits = 8 * np.dtype(kind).itemsize
    data = wav(payload, form=fmt(code=3, bits=bits))
    assert_tone(data, warns=f"they were divided by {scale + 1}")


def test_floats_beyond_any_scale_are_refused() -> None:
    payload = (TONE * 1e20).astype("<f4").tobytes()
    with pytest.raises(AudioError, match=r"has floats up to 4e\+19; allowed are -1..1"):
        read(wav(payload, form=fmt(code=3, bits=32)))
