from csm.v1 import common_pb2 as _common_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateConfig(_message.Message):
    __slots__ = ("conversation_id", "speaker", "sampling", "max_audio_ms", "initial_credit_frames")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_CREDIT_FRAMES_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    speaker: int
    sampling: _common_pb2.Sampling
    max_audio_ms: int
    initial_credit_frames: int
    def __init__(self, conversation_id: _Optional[str] = ..., speaker: _Optional[int] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., max_audio_ms: _Optional[int] = ..., initial_credit_frames: _Optional[int] = ...) -> None: ...

class GenerateSegments(_message.Message):
    __slots__ = ("segments", "replace")
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[_common_pb2.Segment]
    replace: bool
    def __init__(self, segments: _Optional[_Iterable[_Union[_common_pb2.Segment, _Mapping]]] = ..., replace: bool = ...) -> None: ...

class GenerateText(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class GenerateFlush(_message.Message):
    __slots__ = ("turn_id", "max_audio_ms", "seed", "speaker", "begun")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    max_audio_ms: int
    seed: int
    speaker: int
    begun: _common_pb2.TokenFrames
    def __init__(self, turn_id: _Optional[str] = ..., max_audio_ms: _Optional[int] = ..., seed: _Optional[int] = ..., speaker: _Optional[int] = ..., begun: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ...) -> None: ...

class GenerateCancel(_message.Message):
    __slots__ = ("turn_id", "keep_frames")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_FRAMES_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    keep_frames: int
    def __init__(self, turn_id: _Optional[str] = ..., keep_frames: _Optional[int] = ...) -> None: ...

class GenerateCredit(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: int
    def __init__(self, frames: _Optional[int] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("config", "segments", "text", "flush", "cancel", "credit")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    config: GenerateConfig
    segments: GenerateSegments
    text: GenerateText
    flush: GenerateFlush
    cancel: GenerateCancel
    credit: GenerateCredit
    def __init__(self, config: _Optional[_Union[GenerateConfig, _Mapping]] = ..., segments: _Optional[_Union[GenerateSegments, _Mapping]] = ..., text: _Optional[_Union[GenerateText, _Mapping]] = ..., flush: _Optional[_Union[GenerateFlush, _Mapping]] = ..., cancel: _Optional[_Union[GenerateCancel, _Mapping]] = ..., credit: _Optional[_Union[GenerateCredit, _Mapping]] = ...) -> None: ...

class GenerateStarted(_message.Message):
    __slots__ = ("turn_id", "prompt_frames", "reused_frames", "evicted_segments", "seed")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FRAMES_FIELD_NUMBER: _ClassVar[int]
    REUSED_FRAMES_FIELD_NUMBER: _ClassVar[int]
    EVICTED_SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    prompt_frames: int
    reused_frames: int
    evicted_segments: int
    seed: int
    def __init__(self, turn_id: _Optional[str] = ..., prompt_frames: _Optional[int] = ..., reused_frames: _Optional[int] = ..., evicted_segments: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class GenerateFrames(_message.Message):
    __slots__ = ("turn_id", "frames")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    frames: _common_pb2.TokenFrames
    def __init__(self, turn_id: _Optional[str] = ..., frames: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ...) -> None: ...

class GenerateTurnCompleted(_message.Message):
    __slots__ = ("turn_id", "finish_reason", "usage", "timing", "error")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    finish_reason: _common_pb2.FinishReason
    usage: _common_pb2.Usage
    timing: _common_pb2.Timing
    error: _status_pb2.Status
    def __init__(self, turn_id: _Optional[str] = ..., finish_reason: _Optional[_Union[_common_pb2.FinishReason, str]] = ..., usage: _Optional[_Union[_common_pb2.Usage, _Mapping]] = ..., timing: _Optional[_Union[_common_pb2.Timing, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("started", "frames", "turn_completed")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    TURN_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    started: GenerateStarted
    frames: GenerateFrames
    turn_completed: GenerateTurnCompleted
    def __init__(self, started: _Optional[_Union[GenerateStarted, _Mapping]] = ..., frames: _Optional[_Union[GenerateFrames, _Mapping]] = ..., turn_completed: _Optional[_Union[GenerateTurnCompleted, _Mapping]] = ...) -> None: ...

class GetModelInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelInfoResponse(_message.Message):
    __slots__ = ("model", "parameters", "num_codebooks", "codebook_size", "text_vocab_size", "max_positions", "dtype", "device", "digest", "sampling", "slots", "max_context_segments", "max_text_chars", "voices", "default_max_audio_ms", "characters")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    NUM_CODEBOOKS_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_SIZE_FIELD_NUMBER: _ClassVar[int]
    TEXT_VOCAB_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONTEXT_SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_CHARS_FIELD_NUMBER: _ClassVar[int]
    VOICES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MAX_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    model: str
    parameters: int
    num_codebooks: int
    codebook_size: int
    text_vocab_size: int
    max_positions: int
    dtype: str
    device: str
    digest: str
    sampling: _common_pb2.Sampling
    slots: int
    max_context_segments: int
    max_text_chars: int
    voices: _containers.RepeatedCompositeFieldContainer[ModelVoice]
    default_max_audio_ms: int
    characters: str
    def __init__(self, model: _Optional[str] = ..., parameters: _Optional[int] = ..., num_codebooks: _Optional[int] = ..., codebook_size: _Optional[int] = ..., text_vocab_size: _Optional[int] = ..., max_positions: _Optional[int] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ..., digest: _Optional[str] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., slots: _Optional[int] = ..., max_context_segments: _Optional[int] = ..., max_text_chars: _Optional[int] = ..., voices: _Optional[_Iterable[_Union[ModelVoice, _Mapping]]] = ..., default_max_audio_ms: _Optional[int] = ..., characters: _Optional[str] = ...) -> None: ...

class ModelVoice(_message.Message):
    __slots__ = ("name", "speaker", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    speaker: int
    description: str
    def __init__(self, name: _Optional[str] = ..., speaker: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class CountPositionsRequest(_message.Message):
    __slots__ = ("texts", "speaker")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    speaker: int
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., speaker: _Optional[int] = ...) -> None: ...

class CountPositionsResponse(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, positions: _Optional[_Iterable[int]] = ...) -> None: ...

class GetLoadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLoadResponse(_message.Message):
    __slots__ = ("slots", "running", "waiting", "kv_cache_usage_ratio", "conversations_cached", "max_queue", "heartbeat_age_ms")
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    KV_CACHE_USAGE_RATIO_FIELD_NUMBER: _ClassVar[int]
    CONVERSATIONS_CACHED_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    slots: int
    running: int
    waiting: int
    kv_cache_usage_ratio: float
    conversations_cached: int
    max_queue: int
    heartbeat_age_ms: int
    def __init__(self, slots: _Optional[int] = ..., running: _Optional[int] = ..., waiting: _Optional[int] = ..., kv_cache_usage_ratio: _Optional[float] = ..., conversations_cached: _Optional[int] = ..., max_queue: _Optional[int] = ..., heartbeat_age_ms: _Optional[int] = ...) -> None: ...

class EvictConversationRequest(_message.Message):
    __slots__ = ("conversation_id",)
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    def __init__(self, conversation_id: _Optional[str] = ...) -> None: ...

class EvictConversationResponse(_message.Message):
    __slots__ = ("evicted",)
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    evicted: bool
    def __init__(self, evicted: bool = ...) -> None: ...
