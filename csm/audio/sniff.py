"""What a file is by its first bytes, whatever it is named: audio, or what else people send."""

import os
from enum import Enum
from typing import BinaryIO

from csm.audio.mpeg import after_tags, is_frame_sync
from csm.audio.pcm import AudioError

ALLOWED = "WAV, FLAC, Ogg, MP3, AIFF, CAF, AU, W64 and, with the extra av, MPEG-4, WebM, AAC, AMR"
CONVERT = "convert it with ffmpeg -i FILE out.wav"
_HEAD_BYTES = 512
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# QuickTime's files began before there was a box for their type.
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


class Kind(Enum):
    """Who reads a file."""

    RIFF = "WAV"
    MPEG = "MP3"
    CHUNKED = "AIFF, CAF or W64"
    OGG = "Ogg"
    PLAIN = "FLAC or AU"
    """libsndfile's, with nothing to be seen to before."""
    MOV = "MPEG-4 audio"
    MATROSKA = "WebM or Matroska audio"
    ADTS = "AAC audio"
    AMR = "AMR audio"


# What a file is that begins so, and what to do about it.
_OTHERS = (
    (b"%PDF", "a PDF", ""),
    (b"PK\x03\x04", "a ZIP archive", "; unpack it and send the recording in it"),
    (b"\x1f\x8b", "a gzip archive", "; unpack it first"),
    (b"BZh", "a bzip2 archive", "; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "; unpack it first"),
    (b"Rar!", "a RAR archive", "; unpack it first"),
    (b"\x89PNG", "a PNG image", ""),
    (b"\xff\xd8\xff", "a JPEG image", ""),
    (b"GIF8", "a GIF image", ""),
    (b"BM", "a bitmap image", ""),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media audio", f"; {CONVERT}"),
    (b"wvpk", "WavPack audio", f"; {CONVERT}"),
    (b"MAC ", "Monkey's Audio", f"; {CONVERT}"),
    (b".RMF", "RealMedia", f"; {CONVERT}"),
    (b"FLV\x01", "Flash video", f"; {CONVERT}"),
    (b"MThd", "a MIDI file, which holds notes and no sound", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a program", ""),
    (b"SQLite format 3", "a database", ""),
    (b"version https://git-lfs", "a pointer of Git LFS", "; fetch the file with git lfs pull"),
)


def kind_of(file: BinaryIO, field: str) -> tuple[Kind, int]:
    """Who reads the file, and where its container begins (behind ID3 tags of a WAV or FLAC).

    Raises `AudioError` about `field` with what the file is instead. Leaves the file at its start.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if not head:
        raise AudioError(field, f"is empty (0 bytes); allowed are {ALLOWED}")
    if (kind := _known(head)) is not None:
        return kind, 0
    if head[:3] == b"ID3":
        return _tagged(file, field)
    raise AudioError(field, f"is not audio ({_instead(head)}); allowed are {ALLOWED}")


def _known(head: bytes) -> Kind | None:
    first = head[:4]
    if first in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return Kind.RIFF
    if first == b"OggS":
        return Kind.OGG
    if first in (b"fLaC", b".snd"):
        return Kind.PLAIN
    if (first == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")) or first == b"caff":
        return Kind.CHUNKED
    if head.startswith(_W64):
        return Kind.CHUNKED
    if head[4:8] in _FIRST_BOXES:
        return Kind.MOV
    if first == b"\x1a\x45\xdf\xa3":
        return Kind.MATROSKA
    if head.startswith(b"#!AMR"):
        return Kind.AMR
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return Kind.ADTS
    # A byte order mark of UTF-16 looks like a frame of layer I and of no version.
    if is_frame_sync(head) and not head.startswith(_BYTE_ORDER_MARKS):
        return Kind.MPEG
    return None


def _tagged(file: BinaryIO, field: str) -> tuple[Kind, int]:
    size = file.seek(0, os.SEEK_END)
    start = after_tags(file)
    if start >= size:
        raise AudioError(
            field,
            f"is truncated: its ID3 tag ends at byte {start} by its own word, the file has {size}",
        )
    file.seek(start)
    kind = _known(file.read(_HEAD_BYTES))
    file.seek(0)
    if kind in (Kind.RIFF, Kind.PLAIN, Kind.ADTS):
        return kind, start
    return Kind.MPEG, 0


def _instead(head: bytes) -> str:
    """What it is, for a person; never bytes of it."""
    if not head.strip(b"\0"):
        return "begins with zeros"
    for mark in _BYTE_ORDER_MARKS:
        if head.startswith(mark) and _known(head[len(mark) :]) is not None:
            return "begins with a byte order mark, as text does; remove it and send the rest"
    if head[0] in b"\r\n\t " and _known(head.lstrip(b"\r\n\t ")) is not None:
        broken = "line break" if head[0] in b"\r\n" else "space"
        return f"starts with a {broken}; remove it and send the rest"
    text = _text(head)
    for magic, what, remedy in _OTHERS:
        # Two letters may well begin a text.
        if head.startswith(magic) and (len(magic) > 2 or text is None):
            return f"is {what}{remedy}"
    if text is None:
        return (
            "begins like no audio file; samples without a header are sent as PCM with their "
            f"rate, other containers: {CONVERT}"
        )
    return _kind_of_text(text.lstrip().lower())


def _text(head: bytes) -> str | None:
    """The head where it is text in UTF-8 or UTF-16; None: it is none."""
    encoding = "utf-16" if head.startswith(_BYTE_ORDER_MARKS[1:]) else "utf-8-sig"
    try:
        # A character may be cut at the end.
        text = head.decode(encoding, errors="strict" if len(head) < _HEAD_BYTES else "ignore")
    except UnicodeDecodeError:
        return None
    if len(text.encode()) < len(head) // 2:
        return None
    readable = all(character.isprintable() or character in "\r\n\t\f" for character in text)
    return text if text and readable else None


def _kind_of_text(text: str) -> str:
    if text.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "is an HTML page, as a download that failed leaves it"
    if text.startswith(("<?xml", "<")):
        return "is XML"
    if text.startswith(("{", "[")):
        return "is JSON; send the recording in it by itself, decoded"
    if text.startswith(("uklgr", "t2dn", "zkxhq", "suqz", "data:audio")):
        return "is text in base64; decode it and send the bytes"
    return "is text"
