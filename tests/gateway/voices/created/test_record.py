"""A voice as bytes: the same comes back, and what is none is said to be none."""

import pytest

from gateway.commands import SamplingOptions
from gateway.voices.created.record import ForeignVoice, pack, unpack
from tests.gateway.voices.making import record


def test_a_voice_comes_back_from_its_bytes_as_it_was() -> None:
    for voice in (
        record(),
        record("plain", prompts=(), qualities=(), consent=None, lexicon={}),
        record("all", sampling=SamplingOptions(0.5, 0.0, 10, 0.9, 1 << 63, 200)),
    ):
        assert unpack(pack(voice)) == voice


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "damaged"),
        (b"hello, this is something else", "no voice"),
        (b"CSV\x02" + bytes(100), "format 2, and this gateway reads format 1"),
        (pack(record())[:40], "damaged"),
        (pack(record())[:-3], "397 bytes of codes for 25 frames"),
        (pack(record("x" * 65)), "name is none"),
        (pack(record()).replace(b'"qualities"', b'"qualitie5"'), "damaged"),
    ],
)
def test_other_bytes_are_no_voice(data: bytes, why: str) -> None:
    with pytest.raises(ForeignVoice, match=why):
        unpack(data)


def test_a_voices_bytes_count_its_codes_and_its_texts() -> None:
    assert record().num_bytes > 400 + len("calm")
    assert record(description="x" * 1000).num_bytes >= record().num_bytes + 996
