from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AudioEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIO_ENCODING_UNSPECIFIED: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_S16LE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_S24LE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_S32LE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_F32LE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_U8: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_FILE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_MULAW: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_ALAW: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_OGG_OPUS: _ClassVar[AudioEncoding]

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_EOS: _ClassVar[FinishReason]
    FINISH_REASON_MAX_DURATION: _ClassVar[FinishReason]
    FINISH_REASON_CANCELLED: _ClassVar[FinishReason]
    FINISH_REASON_DEADLINE: _ClassVar[FinishReason]
    FINISH_REASON_SHUTDOWN: _ClassVar[FinishReason]
    FINISH_REASON_ERROR: _ClassVar[FinishReason]

class WarningKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WARNING_KIND_UNSPECIFIED: _ClassVar[WarningKind]
    WARNING_KIND_UNSPEAKABLE: _ClassVar[WarningKind]
    WARNING_KIND_TOO_LONG: _ClassVar[WarningKind]
    WARNING_KIND_CUT: _ClassVar[WarningKind]
    WARNING_KIND_IGNORED: _ClassVar[WarningKind]
    WARNING_KIND_RECORDING: _ClassVar[WarningKind]
    WARNING_KIND_ENDED_EARLY: _ClassVar[WarningKind]
    WARNING_KIND_HISTORY_NOT_SAVED: _ClassVar[WarningKind]
AUDIO_ENCODING_UNSPECIFIED: AudioEncoding
AUDIO_ENCODING_PCM_S16LE: AudioEncoding
AUDIO_ENCODING_PCM_S24LE: AudioEncoding
AUDIO_ENCODING_PCM_S32LE: AudioEncoding
AUDIO_ENCODING_PCM_F32LE: AudioEncoding
AUDIO_ENCODING_PCM_U8: AudioEncoding
AUDIO_ENCODING_FILE: AudioEncoding
AUDIO_ENCODING_MULAW: AudioEncoding
AUDIO_ENCODING_ALAW: AudioEncoding
AUDIO_ENCODING_OGG_OPUS: AudioEncoding
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_EOS: FinishReason
FINISH_REASON_MAX_DURATION: FinishReason
FINISH_REASON_CANCELLED: FinishReason
FINISH_REASON_DEADLINE: FinishReason
FINISH_REASON_SHUTDOWN: FinishReason
FINISH_REASON_ERROR: FinishReason
WARNING_KIND_UNSPECIFIED: WarningKind
WARNING_KIND_UNSPEAKABLE: WarningKind
WARNING_KIND_TOO_LONG: WarningKind
WARNING_KIND_CUT: WarningKind
WARNING_KIND_IGNORED: WarningKind
WARNING_KIND_RECORDING: WarningKind
WARNING_KIND_ENDED_EARLY: WarningKind
WARNING_KIND_HISTORY_NOT_SAVED: WarningKind

class AudioFormat(_message.Message):
    __slots__ = ("encoding", "sample_rate_hz", "channels")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    encoding: AudioEncoding
    sample_rate_hz: int
    channels: int
    def __init__(self, encoding: _Optional[_Union[AudioEncoding, str]] = ..., sample_rate_hz: _Optional[int] = ..., channels: _Optional[int] = ...) -> None: ...

class TokenFrames(_message.Message):
    __slots__ = ("codes", "num_frames", "num_codebooks", "first_frame")
    CODES_FIELD_NUMBER: _ClassVar[int]
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    NUM_CODEBOOKS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    codes: bytes
    num_frames: int
    num_codebooks: int
    first_frame: int
    def __init__(self, codes: _Optional[bytes] = ..., num_frames: _Optional[int] = ..., num_codebooks: _Optional[int] = ..., first_frame: _Optional[int] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("speaker", "text", "frames", "pinned")
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    speaker: int
    text: str
    frames: TokenFrames
    pinned: bool
    def __init__(self, speaker: _Optional[int] = ..., text: _Optional[str] = ..., frames: _Optional[_Union[TokenFrames, _Mapping]] = ..., pinned: bool = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "depth_temperature", "top_k", "top_p", "seed", "min_audio_ms")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    DEPTH_TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MIN_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    depth_temperature: float
    top_k: int
    top_p: float
    seed: int
    min_audio_ms: int
    def __init__(self, temperature: _Optional[float] = ..., depth_temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., top_p: _Optional[float] = ..., seed: _Optional[int] = ..., min_audio_ms: _Optional[int] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("text_tokens", "prompt_frames", "reused_frames", "generated_frames", "audio_ms", "evicted_segments", "failovers")
    TEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FRAMES_FIELD_NUMBER: _ClassVar[int]
    REUSED_FRAMES_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FRAMES_FIELD_NUMBER: _ClassVar[int]
    AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    EVICTED_SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    FAILOVERS_FIELD_NUMBER: _ClassVar[int]
    text_tokens: int
    prompt_frames: int
    reused_frames: int
    generated_frames: int
    audio_ms: int
    evicted_segments: int
    failovers: int
    def __init__(self, text_tokens: _Optional[int] = ..., prompt_frames: _Optional[int] = ..., reused_frames: _Optional[int] = ..., generated_frames: _Optional[int] = ..., audio_ms: _Optional[int] = ..., evicted_segments: _Optional[int] = ..., failovers: _Optional[int] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_ms", "prefill_ms", "first_frame_ms", "total_ms")
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    PREFILL_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    queue_ms: float
    prefill_ms: float
    first_frame_ms: float
    total_ms: float
    def __init__(self, queue_ms: _Optional[float] = ..., prefill_ms: _Optional[float] = ..., first_frame_ms: _Optional[float] = ..., total_ms: _Optional[float] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("kind", "field", "first_char", "end_char", "description")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    kind: WarningKind
    field: str
    first_char: int
    end_char: int
    description: str
    def __init__(self, kind: _Optional[_Union[WarningKind, str]] = ..., field: _Optional[str] = ..., first_char: _Optional[int] = ..., end_char: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...
