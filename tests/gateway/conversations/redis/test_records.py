"""Turns as bytes, and the difference between two histories as one write."""

import contextlib
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversations.cuts import packed
from gateway.conversations.redis.records import ForeignRecord, pack, record_key, unpack
from gateway.conversations.redis.splice import MAX_WRITE_BYTES, SpokenRecords, splice
from gateway.conversations.segment import Segment
from gateway.conversations.timeline import Timeline
from gateway.conversations.turn import Turn, Unfinished
from tests.gateway.conversations.making import segment, turn


def made(name: str) -> Turn:
    one = Turn(name, 3, True, [Segment(3, "two €", bytes(range(12)), 3, "2 €"), Segment(3, "ü")])
    one.timeline = Timeline([(0, 100), (3, 250)])
    return one


def test_a_turn_comes_back_from_its_bytes_as_it_was() -> None:
    turns, keys = unpack([pack(made("a")), pack(turn("b", segment("x", 2)))])
    assert turns == [made("a"), turn("b", segment("x", 2))]
    assert keys == [record_key(one) for one in turns]


def test_a_segment_keeps_the_voice_that_spoke_it_and_older_records_name_none() -> None:
    said = [Segment(0, "One.", bytes(4), 1, voice="anna"), Segment(2, "Two.", voice="bert")]
    record = pack(Turn("a", 0, False, said))
    ((turn,), _) = unpack([record])
    assert turn.segments == said
    head = len(b"\x01") + 4
    told = json.loads(record[head:-4])
    del told["voices"]
    older = json.dumps(told).encode()
    ((turn,), _) = unpack([b"\x01" + len(older).to_bytes(4, "little") + older + record[-4:]])
    assert [s.voice for s in turn.segments] == ["", ""]
    assert [s.speaker for s in turn.segments] == [0, 2]


def test_what_was_done_to_a_turns_sound_comes_back_and_only_then_is_the_record_another() -> None:
    plain, shaped = made("a"), made("b")
    shaped.timeline = Timeline([(0, 100)], 1.25, 60.0, 3, 12.5)
    turns, keys = unpack([pack(plain), pack(shaped)])
    assert turns == [plain, shaped]
    assert keys == [record_key(plain), record_key(shaped)]
    assert (pack(plain)[:1], pack(shaped)[:1]) == (b"\x01", b"\x02")


@pytest.mark.parametrize("sound", [[], [0, 0, 0, 0], [1], [1, 0, "x", 0], [1, 0, 1e999, 0], 3])
def test_a_sound_that_cannot_be_is_refused(sound: object) -> None:
    header = {"turn_id": "a", "speaker": 0, "heard": False, "first_frame": 0, "segments": [],
              "silences": [], "sound": sound}  # fmt: skip
    told = json.dumps(header).encode()
    with pytest.raises(ForeignRecord):
        unpack([b"\x02" + len(told).to_bytes(4, "little") + told])


def test_a_record_knows_where_its_text_may_be_cut_and_may_not_know_it() -> None:
    cuts = packed([(3, 2, 1), (5, 3, 3)])
    one = turn("a", Segment(0, "two €", bytes(range(12)), 3, "2 €", cuts=cuts), segment("x", 2))
    record = pack(one)
    assert unpack([record])[0] == [one]
    # As gateways wrote it that knew of no cuts.
    one.segments[0] = replace(one.segments[0], cuts=b"")
    older = pack(one)
    assert b"cuts" not in older
    assert unpack([older])[0] == [one]


def test_a_turn_in_several_records_is_one_turn() -> None:
    whole = turn("a", segment("first", 4), segment("second", 6))
    early = turn("a", segment("fir", 3))
    records = [pack(early), pack(turn("a", *whole.segments), 3)]
    turns, keys = unpack(records)
    assert turns == [whole]
    assert [(k.first_frame, k.end_frame) for k in keys] == [(0, 3), (3, 10)]


@pytest.mark.parametrize("cut_seed", [None, 7])
def test_how_an_unfinished_turn_goes_on_comes_back_with_it(cut_seed: int | None) -> None:
    one = turn("a", segment("first", 4))
    finished = record_key(one)
    one.unfinished = Unfinished((1 << 64) - 1, cut_seed)
    turns, keys = unpack([pack(one)])
    assert turns == [one]
    assert keys == [record_key(one)]
    # That it came to its end is a difference to be written.
    assert keys[0] != finished
    assert splice(keys, [turn("a", segment("first", 4))], []) is not None


@pytest.mark.parametrize(
    "record",
    [b"", b"\x03" + pack(made("a"))[1:], pack(made("a"))[:-1], b"\x01\xff\xff\xff\xff{}",
     b"\x01\x02\x00\x00\x00{}", b"\x01\x02\x00\x00\x00[]", b"\x01\x01\x00\x00\x00\xff"],
)  # fmt: skip
def test_bytes_that_are_no_record_are_refused(record: bytes) -> None:
    with pytest.raises(ForeignRecord):
        unpack([record])


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(record: bytes) -> None:
    with contextlib.suppress(ForeignRecord):
        unpack([record])


def applied(stored: list[bytes], drop: int, keep: int, records: list[bytes]) -> list[bytes]:
    return stored[drop : drop + keep] + records


@given(st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4)), max_size=6)))
def test_writes_lead_from_any_history_to_the_next(
    histories: list[list[tuple[int, int]]],
) -> None:
    past: list[Turn] = []
    wanted = [[turn(str(n), segment("x", f)) for n, f in dict(h).items()] for h in histories]
    for before, after in pairwise([past, *wanted]):
        stored = [pack(one) for one in before]
        change = splice([record_key(one) for one in before], after, [])
        if change is not None:
            stored = applied(stored, change.drop, change.keep, change.records)
            assert change.after == [record_key(one) for one in after]
        assert unpack(stored)[0] == after


def test_only_what_is_new_is_written() -> None:
    turns = [turn(str(n), segment("x", 2)) for n in range(5)]
    keys = [record_key(one) for one in turns]
    assert splice(keys, turns, []) is None
    change = splice(keys[:4], turns, [])
    assert change is not None
    assert (change.drop, change.keep, len(change.records)) == (0, 4, 1)
    change = splice(keys, turns[2:], [])
    assert change is not None
    assert (change.drop, change.keep, change.records) == (2, 3, [])


def test_a_write_is_bounded() -> None:
    turns = [turn(str(n), segment("x", MAX_WRITE_BYTES // 16)) for n in range(12)]
    change = splice([], turns, [])
    assert change is not None
    assert len(change.records) == len(change.after) == 3


def test_a_spoken_turn_is_written_piece_by_piece_and_then_whole() -> None:
    spoken, stored, keys = SpokenRecords(), list[bytes](), []
    for frames in (3, 3, 8, 12):
        growing = turn("t", segment("x", frames))
        change = splice(keys, [], spoken.of(growing))
        if change is not None:
            stored = applied(stored, change.drop, change.keep, change.records)
            keys = change.after
        assert unpack(stored)[0] == [growing]
    assert len(stored) == 3
    assert sum(map(len, stored)) < 2 * len(pack(growing)) + 400
    # After an outage all pieces are written anew, out of the turn as it is by then.
    anew = splice([], [], spoken.of(turn("t", segment("x", 13))))
    assert anew is not None
    assert unpack(anew.records)[0] == [turn("t", segment("x", 13))]
    last = splice(keys, [turn("t", segment("x", 10))], spoken.of(None))
    assert last is not None
    assert (last.keep, len(last.records)) == (0, 1)
