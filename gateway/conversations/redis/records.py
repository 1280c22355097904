"""A turn as bytes: one record where it is over, several while it is spoken.

A record is a byte of the format, four of the length of a JSON header, the header, then codes as
they travel everywhere (packed little-endian uint16, frame-major). Each record of a turn names all
its sentences so far and holds the codes of the frames that the ones before do not hold.
"""

import json
import math
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gateway.conversations.cuts import packed, unpacked
from gateway.conversations.segment import Segment
from gateway.conversations.timeline import Timeline
from gateway.conversations.turn import Turn, Unfinished

_PREFIX = struct.Struct("<cI")
_PLAIN = b"\x01"
"""Frames and pauses are all there is to the timeline."""
_SHAPED = b"\x02"
"""The header says in `sound` what else there is; a gateway that does not know it reads no such
record, and all others."""


class ForeignRecord(ValueError):
    """Bytes that are no record of this format."""


@dataclass(frozen=True, slots=True)
class RecordKey:
    """What tells a record from another, without its content: a turn only grows or is cut."""

    turn_id: str
    first_frame: int
    end_frame: int
    num_segments: int
    num_chars: int
    num_pauses: int
    sound: tuple[float, ...] = ()
    unfinished: Unfinished | None = None


def record_key(turn: Turn, first_frame: int = 0) -> RecordKey:
    """The key of the record that holds the frames of `turn` from `first_frame` on."""
    return RecordKey(
        turn.turn_id,
        first_frame,
        turn.num_frames,
        len(turn.segments),
        sum(len(s.text) + len(s.written) for s in turn.segments),
        len(turn.timeline.pauses),
        _sound(turn.timeline),
        turn.unfinished,
    )


def _sound(timeline: Timeline) -> tuple[float, ...]:
    """What the timeline has beside pauses; nothing where that is all."""
    if timeline.plain:
        return ()
    return (timeline.speed, timeline.skipped_ms, timeline.end_frames, timeline.cut_ms)


def finished_key(turn: Turn) -> RecordKey:
    """The key of the one record of a turn that is over, kept with the turn: a conversation has
    hundreds, and all are looked at whenever one is written."""
    if not isinstance(turn.stored_as, RecordKey):
        turn.stored_as = record_key(turn)
    return turn.stored_as


def pack(turn: Turn, first_frame: int = 0) -> bytes:
    """The record that holds the frames of `turn` from `first_frame` on."""
    header: dict[str, Any] = {
        "turn_id": turn.turn_id,
        "speaker": turn.speaker,
        "heard": turn.heard,
        "first_frame": first_frame,
        "segments": [[s.speaker, s.text, s.written, s.num_frames] for s in turn.segments],
        "silences": turn.timeline.pauses,
        "voices": [s.voice for s in turn.segments],
    }
    if any(s.cuts for s in turn.segments):
        # Readers of before pass it over, and cut in proportion.
        header["cuts"] = [list(unpacked(s.cuts)) for s in turn.segments]
    if turn.unfinished is not None:
        # Who does not know of it reads the record all the same.
        header["unfinished"] = [turn.unfinished.seed, turn.unfinished.cut_seed]
    kind = _PLAIN
    if not turn.timeline.plain:
        header["sound"], kind = _sound(turn.timeline), _SHAPED
    told = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    codes = b"".join(s.codes for s in turn.segments)
    width = len(codes) // turn.num_frames if turn.num_frames else 0
    return _PREFIX.pack(kind, len(told)) + told + codes[first_frame * width :]


def unpack(records: Iterable[bytes]) -> tuple[list[Turn], list[RecordKey]]:
    """The turns of a list of records, and each record's key; raises `ForeignRecord`."""
    try:
        parts = [_parts(record) for record in records]
        turns = [_turn(list(same)) for _, same in groupby(parts, key=lambda p: p[0]["turn_id"])]
        return turns, [_key(told) for told, _ in parts]
    except ForeignRecord:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, struct.error) as error:
        raise ForeignRecord(f"a record is damaged ({type(error).__name__})") from None


def _key(told: dict[str, Any]) -> RecordKey:
    segments = told["segments"]
    return RecordKey(
        told["turn_id"],
        told["first_frame"],
        sum(frames for *_, frames in segments),
        len(segments),
        sum(len(text) + len(written) for _, text, written, _ in segments),
        len(told["silences"]),
        tuple(told.get("sound", ())),
        _unfinished(told),
    )


def _unfinished(told: dict[str, Any]) -> Unfinished | None:
    if told.get("unfinished") is None:
        return None
    seed, cut_seed = told["unfinished"]
    return Unfinished(int(seed), None if cut_seed is None else int(cut_seed))


def _parts(record: bytes) -> tuple[dict[str, Any], bytes]:
    kind, length = _PREFIX.unpack_from(record)
    if kind not in (_PLAIN, _SHAPED):
        raise ForeignRecord(
            f"a record begins with {kind.hex()}, not {_PLAIN.hex()} or {_SHAPED.hex()}"
        )
    end = _PREFIX.size + length
    return json.loads(record[_PREFIX.size : end]), record[end:]


def _turn(parts: list[tuple[dict[str, Any], bytes]]) -> Turn:
    told = parts[-1][0]
    codes = b"".join(codes for _, codes in parts)
    segments = [(int(a), str(b), str(c), int(d)) for a, b, c, d in told["segments"]]
    num_frames = sum(frames for *_, frames in segments)
    width, rest = divmod(len(codes), num_frames) if num_frames else (0, len(codes))
    if rest or min((frames for *_, frames in segments), default=0) < 0:
        raise ForeignRecord(f"a turn has {len(codes)} bytes of codes for {num_frames} frames")
    # A gateway of an older version names no voices.
    voices = [sys.intern(str(name)) for name in told.get("voices", [""] * len(segments))]
    turn = Turn(str(told["turn_id"]), int(told["speaker"]), bool(told["heard"]), [])
    at = 0
    all_cuts = iter([[(int(a), int(b), int(c)) for a, b, c in one] for one in told.get("cuts", ())])
    for (speaker, text, written, frames), voice in zip(segments, voices, strict=True):
        end = at + frames * width
        cuts = packed(next(all_cuts, ()))
        turn.segments.append(Segment(speaker, text, codes[at:end], frames, written, voice, cuts))
        at = end
    turn.timeline = Timeline([(int(frame), int(ms)) for frame, ms in told["silences"]])
    if "sound" in told:
        speed, skipped_ms, end_frames, cut_ms = sound = [float(one) for one in told["sound"]]
        if not (all(map(math.isfinite, sound)) and speed > 0):
            raise ForeignRecord("a turn has a sound that cannot be")
        turn.timeline = Timeline(turn.timeline.pauses, speed, skipped_ms, int(end_frames), cut_ms)
    turn.unfinished = _unfinished(told)
    return turn
