from csm.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EncodeConfig(_message.Message):
    __slots__ = ("format", "max_samples", "mend")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MEND_FIELD_NUMBER: _ClassVar[int]
    format: _common_pb2.AudioFormat
    max_samples: int
    mend: bool
    def __init__(self, format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., max_samples: _Optional[int] = ..., mend: bool = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("config", "audio")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    config: EncodeConfig
    audio: bytes
    def __init__(self, config: _Optional[_Union[EncodeConfig, _Mapping]] = ..., audio: _Optional[bytes] = ...) -> None: ...

class EncodeResponse(_message.Message):
    __slots__ = ("frames", "num_samples", "sample_rate_hz", "warnings")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    frames: _common_pb2.TokenFrames
    num_samples: int
    sample_rate_hz: int
    warnings: _containers.RepeatedCompositeFieldContainer[_common_pb2.Warning]
    def __init__(self, frames: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ..., num_samples: _Optional[int] = ..., sample_rate_hz: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[_common_pb2.Warning, _Mapping]]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("frames", "format", "num_samples")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    frames: _common_pb2.TokenFrames
    format: _common_pb2.AudioFormat
    num_samples: int
    def __init__(self, frames: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ..., format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., num_samples: _Optional[int] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("audio", "first_sample")
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    audio: bytes
    first_sample: int
    def __init__(self, audio: _Optional[bytes] = ..., first_sample: _Optional[int] = ...) -> None: ...

class StreamingEncodeRequest(_message.Message):
    __slots__ = ("config", "audio")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    config: EncodeConfig
    audio: bytes
    def __init__(self, config: _Optional[_Union[EncodeConfig, _Mapping]] = ..., audio: _Optional[bytes] = ...) -> None: ...

class StreamingEncodeResponse(_message.Message):
    __slots__ = ("frames", "completed")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    frames: _common_pb2.TokenFrames
    completed: StreamingEncodeCompleted
    def __init__(self, frames: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ..., completed: _Optional[_Union[StreamingEncodeCompleted, _Mapping]] = ...) -> None: ...

class StreamingEncodeCompleted(_message.Message):
    __slots__ = ("num_samples", "num_frames")
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    num_samples: int
    num_frames: int
    def __init__(self, num_samples: _Optional[int] = ..., num_frames: _Optional[int] = ...) -> None: ...

class StreamingDecodeConfig(_message.Message):
    __slots__ = ("format",)
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    format: _common_pb2.AudioFormat
    def __init__(self, format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ...) -> None: ...

class StreamingDecodeRequest(_message.Message):
    __slots__ = ("config", "frames")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    config: StreamingDecodeConfig
    frames: _common_pb2.TokenFrames
    def __init__(self, config: _Optional[_Union[StreamingDecodeConfig, _Mapping]] = ..., frames: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ...) -> None: ...

class StreamingDecodeResponse(_message.Message):
    __slots__ = ("audio", "first_sample", "num_frames")
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    audio: bytes
    first_sample: int
    num_frames: int
    def __init__(self, audio: _Optional[bytes] = ..., first_sample: _Optional[int] = ..., num_frames: _Optional[int] = ...) -> None: ...

class GetTokenizerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTokenizerInfoResponse(_message.Message):
    __slots__ = ("model", "sample_rate_hz", "frame_rate_hz", "frame_samples", "num_codebooks", "codebook_size", "max_streams", "max_audio_ms", "digest", "dtype", "device")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    FRAME_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NUM_CODEBOOKS_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_STREAMS_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    model: str
    sample_rate_hz: int
    frame_rate_hz: float
    frame_samples: int
    num_codebooks: int
    codebook_size: int
    max_streams: int
    max_audio_ms: int
    digest: str
    dtype: str
    device: str
    def __init__(self, model: _Optional[str] = ..., sample_rate_hz: _Optional[int] = ..., frame_rate_hz: _Optional[float] = ..., frame_samples: _Optional[int] = ..., num_codebooks: _Optional[int] = ..., codebook_size: _Optional[int] = ..., max_streams: _Optional[int] = ..., max_audio_ms: _Optional[int] = ..., digest: _Optional[str] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ...) -> None: ...
