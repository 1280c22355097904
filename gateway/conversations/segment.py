"""A segment: what CSM is prompted with. Speaker, text and frames."""

from dataclasses import dataclass

from gateway.conversations.cuts import heard

# What Python keeps beside the content: the object, its place in a list, the headers of its text and
# codes. Measured with tracemalloc on CPython 3.11 and rounded up; a test holds the sum to it.
_OBJECT_BYTES = 240


def text_bytes(text: str) -> int:
    """Bytes of memory that the characters of a text may take.

    One, two or four for each, as the widest needs it; beyond ASCII also those of its UTF-8, which
    protobuf leaves with the string.
    """
    if text.isascii():
        return len(text)
    widest = max(text)
    if widest <= "\xff":
        return (1 + 2) * len(text)
    return (2 + 3 if widest <= "\uffff" else 4 + 4) * len(text)


@dataclass(frozen=True, slots=True)
class Segment:
    """What CSM is prompted with."""

    speaker: int
    text: str
    codes: bytes = b""
    """Packed little-endian uint16, frame-major; empty: text alone."""
    num_frames: int = 0
    written: str = ""
    """The text as its author wrote it, where `text` is another: its spoken form."""
    voice: str = ""
    """The name of the voice that spoke it, one object for all segments of it; empty: it was heard,
    or nobody knows."""
    cuts: bytes = b""
    """Where the text may be cut by the words that were heard, see `cuts`; empty: in proportion."""

    @property
    def as_written(self) -> str:
        """The text as its author wrote it."""
        return self.written or self.text

    @property
    def num_bytes(self) -> int:
        """Bytes of memory that it takes, Python's own share included."""
        texts = text_bytes(self.text) + text_bytes(self.written)
        return _OBJECT_BYTES + texts + len(self.codes) + len(self.cuts)


def cut(segment: Segment, num_frames: int, whole_frames: int) -> Segment:
    """The first `num_frames` of a segment that had, or was going to have, `whole_frames`.

    Its text is that of the words that were heard, where that is known, else in proportion.
    """
    if num_frames >= segment.num_frames and num_frames >= whole_frames:
        return segment
    num_frames = min(num_frames, segment.num_frames)
    width = len(segment.codes) // segment.num_frames if segment.num_frames else 0
    codes = segment.codes[: num_frames * width]
    if segment.cuts:
        end, written_end, cuts = heard(segment.cuts, num_frames)
        text, written = segment.text[:end], segment.written[:written_end]
        written = written if text else ""
        return Segment(segment.speaker, text, codes, num_frames, written, segment.voice, cuts)
    text = cut_text(segment.text, num_frames / whole_frames)
    written = ""
    if segment.written and text:
        written = cut_text(segment.written, len(text) / len(segment.text))
    return Segment(segment.speaker, text, codes, num_frames, written, segment.voice)


def cut_text(text: str, share: float) -> str:
    """The beginning of a text: the whole words nearest to `share` (0..1) of its characters.

    Text without spaces, as Chinese is written, is cut between characters.
    """
    wanted = round(len(text) * min(max(share, 0.0), 1.0))
    if wanted >= len(text):
        return text
    ends = [i for i, c in enumerate(text) if c.isspace()] or list(range(len(text)))
    best = min([0, *ends, len(text)], key=lambda end: abs(end - wanted))
    return text[:best].rstrip()
