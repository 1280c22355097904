"""A created voice as it is kept, and as bytes: a header as JSON, then the codes of its prompts.

bytes 0..3   "CSV" and the format's number
bytes 4..7   length of the header, little-endian
header       JSON, UTF-8
codes        of all prompts, in order
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gateway.commands import SamplingOptions
from gateway.conversations.segment import Segment, text_bytes
from gateway.text.lexicon import Lexicon
from gateway.voices.names import is_name, key_of
from gateway.voices.voice import Consent, LibraryVoice, RecordingQuality, VoiceId, VoiceOrigin

FORMAT = 1
_MAGIC = b"CSV"
_PREFIX = struct.Struct("<3sBI")
_OBJECT_BYTES = 2048
"""What Python keeps beside the texts and codes of a voice."""


class ForeignVoice(ValueError):
    """Bytes that are no voice of this format; says why, as a clause."""


@dataclass(frozen=True)
class VoiceRecord:
    """A created voice."""

    name: str
    speaker: int
    codec: str
    """Digest of the codec that its frames are of."""
    prompts: tuple[Segment, ...] = ()
    qualities: tuple[RecordingQuality, ...] = ()
    """Of each prompt."""
    description: str = ""
    language: str = ""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    lexicon: Mapping[str, str] = field(default_factory=dict)
    consent: Consent | None = None
    updated_unix_s: int = 0
    revision: str = ""
    """Of its last write; a new one for each."""
    owner: str = ""
    """The tenant that made it; "" where identity is off. Where a record lies says whose it is, so
    it is not in its bytes."""

    @property
    def id(self) -> VoiceId:
        """What tells it from all other voices."""
        return VoiceId(self.owner, self.key)

    @property
    def key(self) -> str:
        """What its name is compared by."""
        return key_of(self.name)

    @property
    def num_bytes(self) -> int:
        """Bytes of memory that it takes, about."""
        texts = [self.name, self.description, *self.lexicon, *self.lexicon.values()]
        texts += [w for quality in self.qualities for w in quality.warnings]
        if self.consent is not None:
            texts += [self.consent.statement, self.consent.given_by]
        prompts = sum(prompt.num_bytes for prompt in self.prompts)
        return _OBJECT_BYTES + prompts + sum(64 + text_bytes(text) for text in texts)

    def as_voice(self) -> LibraryVoice:
        """The voice as calls use it."""
        return LibraryVoice(
            self.name,
            self.speaker,
            self.description,
            self.prompts,
            Lexicon(self.lexicon),
            self.language,
            self.sampling,
            VoiceOrigin.CREATED,
            self.qualities,
            self.consent,
            self.updated_unix_s,
            self.owner,
        )


def pack(record: VoiceRecord) -> bytes:
    """The record as bytes."""
    header = {
        "name": record.name,
        "speaker": record.speaker,
        "codec": record.codec,
        "prompts": [[prompt.text, prompt.num_frames] for prompt in record.prompts],
        "qualities": [asdict(quality) for quality in record.qualities],
        "description": record.description,
        "language": record.language,
        "sampling": {k: v for k, v in asdict(record.sampling).items() if v is not None},
        "lexicon": dict(record.lexicon),
        "consent": None if record.consent is None else asdict(record.consent),
        "updated_unix_s": record.updated_unix_s,
        "revision": record.revision,
    }
    told = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    codes = b"".join(prompt.codes for prompt in record.prompts)
    return _PREFIX.pack(_MAGIC, FORMAT, len(told)) + told + codes


def unpack(data: bytes, owner: str = "") -> VoiceRecord:
    """The record of bytes that lay among an owner's; raises `ForeignVoice`."""
    try:
        magic, form, length = _PREFIX.unpack_from(data)
        if magic != _MAGIC:
            raise ForeignVoice("it is no voice")
        if form != FORMAT:
            raise ForeignVoice(f"it is of format {form}, and this gateway reads format {FORMAT}")
        end = _PREFIX.size + length
        record = _record(json.loads(data[_PREFIX.size : end]), data[end:])
        return replace(record, owner=owner)
    except ForeignVoice:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ForeignVoice(f"it is damaged ({type(error).__name__})") from None


def _record(told: dict[str, Any], codes: bytes) -> VoiceRecord:
    if not is_name(told["name"]):
        raise ForeignVoice("its name is none")
    speaker = int(told["speaker"])
    prompts = [(str(text), int(frames)) for text, frames in told["prompts"]]
    num_frames = sum(frames for _, frames in prompts)
    width, rest = divmod(len(codes), num_frames) if num_frames else (0, len(codes))
    if rest or min((frames for _, frames in prompts), default=0) < 0:
        raise ForeignVoice(f"it has {len(codes)} bytes of codes for {num_frames} frames")
    segments, at = [], 0
    for text, frames in prompts:
        end = at + frames * width
        segments.append(Segment(speaker, text, codes[at:end], frames))
        at = end
    consent = told["consent"]
    return VoiceRecord(
        told["name"],
        speaker,
        str(told["codec"]),
        tuple(segments),
        tuple(
            RecordingQuality(**quality | {"warnings": tuple(quality["warnings"])})
            for quality in told["qualities"]
        ),
        str(told["description"]),
        str(told["language"]),
        SamplingOptions(**told["sampling"]),
        {str(word): str(spelling) for word, spelling in told["lexicon"].items()},
        None if consent is None else Consent(**consent),
        int(told["updated_unix_s"]),
        str(told["revision"]),
    )
