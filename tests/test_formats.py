"""What one version keeps the next one reads: bytes as they lie in stores, written out here.

A change that these tests do not survive is another format: it gets another number (docs/upgrades.md
says what that means for whoever upgrades), and these stay for as long as the old one is read.
"""

import json
import struct

import pytest

from gateway.conversations.redis import records
from gateway.conversations.redis.commands import PREFIX
from gateway.conversations.redis.scripts import FORMAT
from gateway.voices.created import record as voices

CODES = bytes(range(24))
"""Three frames of four codes."""


def stored(kind: bytes, header: dict[str, object], codes: bytes = CODES) -> bytes:
    told = json.dumps(header).encode()
    return kind + struct.pack("<I", len(told)) + told + codes


FIRST = {
    "turn_id": "0123456789abcdef",
    "speaker": 0,
    "heard": False,
    "first_frame": 0,
    "segments": [[0, "Hello there.", "", 1], [0, "Two apples.", "2 apples.", 2]],
    "silences": [[1, 300]],
}
"""As it was before voices, cuts and unfinished turns were kept."""
FULL = {
    **FIRST,
    "voices": ["heart", "heart"],
    "cuts": [[], [[1, 3, 5]]],
    "unfinished": [7, None],
    "sound": [1.25, 40.0, 1, 0.0],
}
VOICE = {
    "name": "anna",
    "speaker": 3,
    "codec": "c0dec",
    "prompts": [["My voice.", 3]],
    "qualities": [],
    "description": "of a friend",
    "language": "en",
    "sampling": {"temperature": 0.8},
    "lexicon": {"CSM": "see ess em"},
    "consent": None,
    "updated_unix_s": 1_790_000_000,
    "revision": "r1",
}


def test_keys_in_the_store_carry_the_format() -> None:
    assert FORMAT == 1
    assert PREFIX == "csm:1:"


def test_a_turn_that_the_first_version_kept_is_read() -> None:
    ((turn,), _) = records.unpack([stored(b"\x01", FIRST)])
    assert (turn.turn_id, turn.speaker, turn.heard) == ("0123456789abcdef", 0, False)
    assert turn.text == "Hello there. 2 apples."
    assert [s.codes for s in turn.segments] == [CODES[:8], CODES[8:]]
    assert turn.timeline.pauses == [(1, 300)]
    assert turn.unfinished is None


def test_a_turn_with_all_that_is_kept_today_is_read() -> None:
    ((turn,), _) = records.unpack([stored(b"\x02", FULL)])
    assert [s.voice for s in turn.segments] == ["heart", "heart"]
    assert (turn.timeline.speed, turn.timeline.skipped_ms) == (1.25, 40.0)
    assert turn.unfinished is not None
    assert (turn.unfinished.seed, turn.unfinished.cut_seed) == (7, None)


def test_what_is_written_today_is_what_was_written_then() -> None:
    """A gateway of the version before reads what this one writes, during a rolling restart."""
    ((turn,), _) = records.unpack([stored(b"\x02", FULL)])
    written = records.pack(turn)
    length = struct.unpack("<I", written[1:5])[0]
    assert written[:1] == b"\x02"
    header = json.loads(written[5 : 5 + length])
    assert header == FULL
    assert written[5 + length :] == CODES


@pytest.mark.parametrize("header", [FIRST, FULL], ids=["first", "full"])
def test_what_a_later_version_adds_to_a_turn_is_passed_over(header: dict[str, object]) -> None:
    kind = b"\x02" if "sound" in header else b"\x01"
    grown = {**header, "mood": {"of a later version": [1, 2]}}
    assert records.unpack([stored(kind, grown)]) == records.unpack([stored(kind, header)])


def test_a_turn_of_another_format_is_refused_by_name() -> None:
    with pytest.raises(records.ForeignRecord, match="a record begins with 09"):
        records.unpack([stored(b"\x09", FIRST)])


def test_a_voice_that_the_first_version_kept_is_read() -> None:
    told = json.dumps(VOICE).encode()
    data = b"CSV\x01" + struct.pack("<I", len(told)) + told + CODES
    record = voices.unpack(data)
    assert (record.name, record.speaker, record.codec) == ("anna", 3, "c0dec")
    assert [(p.text, p.codes) for p in record.prompts] == [("My voice.", CODES)]
    assert record.sampling.temperature == 0.8
    written = voices.pack(record)
    assert written[:4] == b"CSV\x01"
    length = struct.unpack("<I", written[4:8])[0]
    assert json.loads(written[8 : 8 + length]) == VOICE


def test_what_a_later_version_adds_to_a_voice_is_passed_over() -> None:
    told = json.dumps({**VOICE, "mood": "of a later version"}).encode()
    record = voices.unpack(b"CSV\x01" + struct.pack("<I", len(told)) + told + CODES)
    assert record.name == "anna"


def test_a_voice_of_another_format_is_refused_by_name() -> None:
    told = json.dumps(VOICE).encode()
    with pytest.raises(voices.ForeignVoice, match="format 2, and this gateway reads format 1"):
        voices.unpack(b"CSV\x02" + struct.pack("<I", len(told)) + told + CODES)
