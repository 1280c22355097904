from csm.v1 import common_pb2 as _common_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TextMarkup(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_MARKUP_UNSPECIFIED: _ClassVar[TextMarkup]
    TEXT_MARKUP_STRIP: _ClassVar[TextMarkup]
    TEXT_MARKUP_OBEY: _ClassVar[TextMarkup]
    TEXT_MARKUP_OFF: _ClassVar[TextMarkup]

class VoiceSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VOICE_SOURCE_UNSPECIFIED: _ClassVar[VoiceSource]
    VOICE_SOURCE_MODEL: _ClassVar[VoiceSource]
    VOICE_SOURCE_OPERATOR: _ClassVar[VoiceSource]
    VOICE_SOURCE_CREATED: _ClassVar[VoiceSource]
TEXT_MARKUP_UNSPECIFIED: TextMarkup
TEXT_MARKUP_STRIP: TextMarkup
TEXT_MARKUP_OBEY: TextMarkup
TEXT_MARKUP_OFF: TextMarkup
VOICE_SOURCE_UNSPECIFIED: VoiceSource
VOICE_SOURCE_MODEL: VoiceSource
VOICE_SOURCE_OPERATOR: VoiceSource
VOICE_SOURCE_CREATED: VoiceSource

class ContextTurn(_message.Message):
    __slots__ = ("speaker", "text", "audio_file", "frames")
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FILE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    speaker: int
    text: str
    audio_file: bytes
    frames: _common_pb2.TokenFrames
    def __init__(self, speaker: _Optional[int] = ..., text: _Optional[str] = ..., audio_file: _Optional[bytes] = ..., frames: _Optional[_Union[_common_pb2.TokenFrames, _Mapping]] = ...) -> None: ...

class TextOptions(_message.Message):
    __slots__ = ("normalize", "language", "markup", "lexicon", "newline_pause_ms", "paragraph_pause_ms")
    NORMALIZE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    MARKUP_FIELD_NUMBER: _ClassVar[int]
    LEXICON_FIELD_NUMBER: _ClassVar[int]
    NEWLINE_PAUSE_MS_FIELD_NUMBER: _ClassVar[int]
    PARAGRAPH_PAUSE_MS_FIELD_NUMBER: _ClassVar[int]
    normalize: bool
    language: str
    markup: TextMarkup
    lexicon: _containers.RepeatedCompositeFieldContainer[LexiconEntry]
    newline_pause_ms: int
    paragraph_pause_ms: int
    def __init__(self, normalize: bool = ..., language: _Optional[str] = ..., markup: _Optional[_Union[TextMarkup, str]] = ..., lexicon: _Optional[_Iterable[_Union[LexiconEntry, _Mapping]]] = ..., newline_pause_ms: _Optional[int] = ..., paragraph_pause_ms: _Optional[int] = ...) -> None: ...

class SoundOptions(_message.Message):
    __slots__ = ("speed", "even_loudness", "max_leading_silence_ms", "max_trailing_silence_ms")
    SPEED_FIELD_NUMBER: _ClassVar[int]
    EVEN_LOUDNESS_FIELD_NUMBER: _ClassVar[int]
    MAX_LEADING_SILENCE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_TRAILING_SILENCE_MS_FIELD_NUMBER: _ClassVar[int]
    speed: float
    even_loudness: bool
    max_leading_silence_ms: int
    max_trailing_silence_ms: int
    def __init__(self, speed: _Optional[float] = ..., even_loudness: bool = ..., max_leading_silence_ms: _Optional[int] = ..., max_trailing_silence_ms: _Optional[int] = ...) -> None: ...

class WordTime(_message.Message):
    __slots__ = ("first_char", "end_char", "start_ms", "end_ms", "word")
    FIRST_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    first_char: int
    end_char: int
    start_ms: int
    end_ms: int
    word: str
    def __init__(self, first_char: _Optional[int] = ..., end_char: _Optional[int] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., word: _Optional[str] = ...) -> None: ...

class LexiconEntry(_message.Message):
    __slots__ = ("word", "spelling")
    WORD_FIELD_NUMBER: _ClassVar[int]
    SPELLING_FIELD_NUMBER: _ClassVar[int]
    word: str
    spelling: str
    def __init__(self, word: _Optional[str] = ..., spelling: _Optional[str] = ...) -> None: ...

class SynthesizeRequest(_message.Message):
    __slots__ = ("text", "voice", "conversation_id", "context", "speaker", "sampling", "max_audio_ms", "format", "max_lead_ms", "text_options", "sound_options", "word_times")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_LEAD_MS_FIELD_NUMBER: _ClassVar[int]
    TEXT_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SOUND_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    WORD_TIMES_FIELD_NUMBER: _ClassVar[int]
    text: str
    voice: str
    conversation_id: str
    context: _containers.RepeatedCompositeFieldContainer[ContextTurn]
    speaker: int
    sampling: _common_pb2.Sampling
    max_audio_ms: int
    format: _common_pb2.AudioFormat
    max_lead_ms: int
    text_options: TextOptions
    sound_options: SoundOptions
    word_times: bool
    def __init__(self, text: _Optional[str] = ..., voice: _Optional[str] = ..., conversation_id: _Optional[str] = ..., context: _Optional[_Iterable[_Union[ContextTurn, _Mapping]]] = ..., speaker: _Optional[int] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., max_audio_ms: _Optional[int] = ..., format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., max_lead_ms: _Optional[int] = ..., text_options: _Optional[_Union[TextOptions, _Mapping]] = ..., sound_options: _Optional[_Union[SoundOptions, _Mapping]] = ..., word_times: bool = ...) -> None: ...

class SpeechAudio(_message.Message):
    __slots__ = ("turn_id", "audio", "first_sample", "text_chars", "words")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_CHARS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    audio: bytes
    first_sample: int
    text_chars: int
    words: _containers.RepeatedCompositeFieldContainer[WordTime]
    def __init__(self, turn_id: _Optional[str] = ..., audio: _Optional[bytes] = ..., first_sample: _Optional[int] = ..., text_chars: _Optional[int] = ..., words: _Optional[_Iterable[_Union[WordTime, _Mapping]]] = ...) -> None: ...

class SpeechTurnStarted(_message.Message):
    __slots__ = ("turn_id", "format", "seed")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    format: _common_pb2.AudioFormat
    seed: int
    def __init__(self, turn_id: _Optional[str] = ..., format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., seed: _Optional[int] = ...) -> None: ...

class SpeechTurnCompleted(_message.Message):
    __slots__ = ("turn_id", "finish_reason", "usage", "timing", "kept_audio_ms", "heard", "error", "warnings")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    KEPT_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    finish_reason: _common_pb2.FinishReason
    usage: _common_pb2.Usage
    timing: _common_pb2.Timing
    kept_audio_ms: int
    heard: bool
    error: _status_pb2.Status
    warnings: _containers.RepeatedCompositeFieldContainer[_common_pb2.Warning]
    def __init__(self, turn_id: _Optional[str] = ..., finish_reason: _Optional[_Union[_common_pb2.FinishReason, str]] = ..., usage: _Optional[_Union[_common_pb2.Usage, _Mapping]] = ..., timing: _Optional[_Union[_common_pb2.Timing, _Mapping]] = ..., kept_audio_ms: _Optional[int] = ..., heard: bool = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[_common_pb2.Warning, _Mapping]]] = ...) -> None: ...

class SpeechTurnTruncated(_message.Message):
    __slots__ = ("turn_id", "kept_audio_ms", "kept_text")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    KEPT_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    KEPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    kept_audio_ms: int
    kept_text: str
    def __init__(self, turn_id: _Optional[str] = ..., kept_audio_ms: _Optional[int] = ..., kept_text: _Optional[str] = ...) -> None: ...

class SynthesizeResponse(_message.Message):
    __slots__ = ("started", "audio", "completed")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    started: SpeechTurnStarted
    audio: SpeechAudio
    completed: SpeechTurnCompleted
    def __init__(self, started: _Optional[_Union[SpeechTurnStarted, _Mapping]] = ..., audio: _Optional[_Union[SpeechAudio, _Mapping]] = ..., completed: _Optional[_Union[SpeechTurnCompleted, _Mapping]] = ...) -> None: ...

class ConverseConfig(_message.Message):
    __slots__ = ("conversation_id", "voice", "sampling", "max_audio_ms", "output_format", "input_format", "max_lead_ms", "heard_speaker", "text_options", "sound_options", "word_times")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    INPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_LEAD_MS_FIELD_NUMBER: _ClassVar[int]
    HEARD_SPEAKER_FIELD_NUMBER: _ClassVar[int]
    TEXT_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SOUND_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    WORD_TIMES_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    voice: str
    sampling: _common_pb2.Sampling
    max_audio_ms: int
    output_format: _common_pb2.AudioFormat
    input_format: _common_pb2.AudioFormat
    max_lead_ms: int
    heard_speaker: int
    text_options: TextOptions
    sound_options: SoundOptions
    word_times: bool
    def __init__(self, conversation_id: _Optional[str] = ..., voice: _Optional[str] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., max_audio_ms: _Optional[int] = ..., output_format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., input_format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., max_lead_ms: _Optional[int] = ..., heard_speaker: _Optional[int] = ..., text_options: _Optional[_Union[TextOptions, _Mapping]] = ..., sound_options: _Optional[_Union[SoundOptions, _Mapping]] = ..., word_times: bool = ...) -> None: ...

class ConverseHeardAudio(_message.Message):
    __slots__ = ("audio",)
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    audio: bytes
    def __init__(self, audio: _Optional[bytes] = ...) -> None: ...

class ConverseText(_message.Message):
    __slots__ = ("text", "voice")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    text: str
    voice: str
    def __init__(self, text: _Optional[str] = ..., voice: _Optional[str] = ...) -> None: ...

class ConverseResume(_message.Message):
    __slots__ = ("turn_id", "heard_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    heard_ms: int
    def __init__(self, turn_id: _Optional[str] = ..., heard_ms: _Optional[int] = ...) -> None: ...

class ConverseFlush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConverseEndOfTurn(_message.Message):
    __slots__ = ("heard_text",)
    HEARD_TEXT_FIELD_NUMBER: _ClassVar[int]
    heard_text: str
    def __init__(self, heard_text: _Optional[str] = ...) -> None: ...

class ConverseCancel(_message.Message):
    __slots__ = ("turn_id", "heard_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    heard_ms: int
    def __init__(self, turn_id: _Optional[str] = ..., heard_ms: _Optional[int] = ...) -> None: ...

class ConverseRequest(_message.Message):
    __slots__ = ("config", "heard_audio", "text", "end_of_turn", "cancel", "flush", "resume")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    HEARD_AUDIO_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    END_OF_TURN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    config: ConverseConfig
    heard_audio: ConverseHeardAudio
    text: ConverseText
    end_of_turn: ConverseEndOfTurn
    cancel: ConverseCancel
    flush: ConverseFlush
    resume: ConverseResume
    def __init__(self, config: _Optional[_Union[ConverseConfig, _Mapping]] = ..., heard_audio: _Optional[_Union[ConverseHeardAudio, _Mapping]] = ..., text: _Optional[_Union[ConverseText, _Mapping]] = ..., end_of_turn: _Optional[_Union[ConverseEndOfTurn, _Mapping]] = ..., cancel: _Optional[_Union[ConverseCancel, _Mapping]] = ..., flush: _Optional[_Union[ConverseFlush, _Mapping]] = ..., resume: _Optional[_Union[ConverseResume, _Mapping]] = ...) -> None: ...

class ConverseStarted(_message.Message):
    __slots__ = ("conversation_id", "output_format", "num_turns", "voice")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    NUM_TURNS_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    output_format: _common_pb2.AudioFormat
    num_turns: int
    voice: str
    def __init__(self, conversation_id: _Optional[str] = ..., output_format: _Optional[_Union[_common_pb2.AudioFormat, _Mapping]] = ..., num_turns: _Optional[int] = ..., voice: _Optional[str] = ...) -> None: ...

class ConverseResponse(_message.Message):
    __slots__ = ("started", "turn_started", "audio", "turn_completed", "turn_truncated")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    TURN_STARTED_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    TURN_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    TURN_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    started: ConverseStarted
    turn_started: SpeechTurnStarted
    audio: SpeechAudio
    turn_completed: SpeechTurnCompleted
    turn_truncated: SpeechTurnTruncated
    def __init__(self, started: _Optional[_Union[ConverseStarted, _Mapping]] = ..., turn_started: _Optional[_Union[SpeechTurnStarted, _Mapping]] = ..., audio: _Optional[_Union[SpeechAudio, _Mapping]] = ..., turn_completed: _Optional[_Union[SpeechTurnCompleted, _Mapping]] = ..., turn_truncated: _Optional[_Union[SpeechTurnTruncated, _Mapping]] = ...) -> None: ...

class PrepareTextRequest(_message.Message):
    __slots__ = ("text", "voice", "text_options")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    TEXT_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    voice: str
    text_options: TextOptions
    def __init__(self, text: _Optional[str] = ..., voice: _Optional[str] = ..., text_options: _Optional[_Union[TextOptions, _Mapping]] = ...) -> None: ...

class PreparedSentence(_message.Message):
    __slots__ = ("text", "spoken_form", "first_char", "end_char", "positions", "expected_ms", "pause_before_ms")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SPOKEN_FORM_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    text: str
    spoken_form: str
    first_char: int
    end_char: int
    positions: int
    expected_ms: int
    pause_before_ms: int
    def __init__(self, text: _Optional[str] = ..., spoken_form: _Optional[str] = ..., first_char: _Optional[int] = ..., end_char: _Optional[int] = ..., positions: _Optional[int] = ..., expected_ms: _Optional[int] = ..., pause_before_ms: _Optional[int] = ...) -> None: ...

class PrepareTextResponse(_message.Message):
    __slots__ = ("spoken_form", "sentences", "warnings", "expected_ms")
    SPOKEN_FORM_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MS_FIELD_NUMBER: _ClassVar[int]
    spoken_form: str
    sentences: _containers.RepeatedCompositeFieldContainer[PreparedSentence]
    warnings: _containers.RepeatedCompositeFieldContainer[_common_pb2.Warning]
    expected_ms: int
    def __init__(self, spoken_form: _Optional[str] = ..., sentences: _Optional[_Iterable[_Union[PreparedSentence, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_common_pb2.Warning, _Mapping]]] = ..., expected_ms: _Optional[int] = ...) -> None: ...

class ListVoicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "name_contains", "language")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAME_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    name_contains: str
    language: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., name_contains: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class Voice(_message.Message):
    __slots__ = ("name", "speaker", "prompt_segments", "description", "language", "aliases", "sampling", "source", "updated_unix_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    PROMPT_SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    UPDATED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    speaker: int
    prompt_segments: int
    description: str
    language: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    sampling: _common_pb2.Sampling
    source: VoiceSource
    updated_unix_s: int
    def __init__(self, name: _Optional[str] = ..., speaker: _Optional[int] = ..., prompt_segments: _Optional[int] = ..., description: _Optional[str] = ..., language: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., source: _Optional[_Union[VoiceSource, str]] = ..., updated_unix_s: _Optional[int] = ...) -> None: ...

class ListVoicesResponse(_message.Message):
    __slots__ = ("voices", "default_voice", "next_page_token", "num_voices")
    VOICES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VOICE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUM_VOICES_FIELD_NUMBER: _ClassVar[int]
    voices: _containers.RepeatedCompositeFieldContainer[Voice]
    default_voice: str
    next_page_token: str
    num_voices: int
    def __init__(self, voices: _Optional[_Iterable[_Union[Voice, _Mapping]]] = ..., default_voice: _Optional[str] = ..., next_page_token: _Optional[str] = ..., num_voices: _Optional[int] = ...) -> None: ...

class GetVoiceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RecordingReport(_message.Message):
    __slots__ = ("audio_ms", "loudness_lufs", "peak_dbfs", "noise_dbfs", "warnings", "text")
    AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    LOUDNESS_LUFS_FIELD_NUMBER: _ClassVar[int]
    PEAK_DBFS_FIELD_NUMBER: _ClassVar[int]
    NOISE_DBFS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    audio_ms: int
    loudness_lufs: float
    peak_dbfs: float
    noise_dbfs: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    text: str
    def __init__(self, audio_ms: _Optional[int] = ..., loudness_lufs: _Optional[float] = ..., peak_dbfs: _Optional[float] = ..., noise_dbfs: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., text: _Optional[str] = ...) -> None: ...

class VoiceConsent(_message.Message):
    __slots__ = ("statement", "given_by")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    GIVEN_BY_FIELD_NUMBER: _ClassVar[int]
    statement: str
    given_by: str
    def __init__(self, statement: _Optional[str] = ..., given_by: _Optional[str] = ...) -> None: ...

class GetVoiceResponse(_message.Message):
    __slots__ = ("voice", "recordings", "consent")
    VOICE_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    voice: Voice
    recordings: _containers.RepeatedCompositeFieldContainer[RecordingReport]
    consent: VoiceConsent
    def __init__(self, voice: _Optional[_Union[Voice, _Mapping]] = ..., recordings: _Optional[_Iterable[_Union[RecordingReport, _Mapping]]] = ..., consent: _Optional[_Union[VoiceConsent, _Mapping]] = ...) -> None: ...

class CreateVoiceConfig(_message.Message):
    __slots__ = ("name", "speaker", "description", "language", "sampling", "consent", "lexicon", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    LEXICON_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    speaker: int
    description: str
    language: str
    sampling: _common_pb2.Sampling
    consent: VoiceConsent
    lexicon: _containers.RepeatedCompositeFieldContainer[LexiconEntry]
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., speaker: _Optional[int] = ..., description: _Optional[str] = ..., language: _Optional[str] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., consent: _Optional[_Union[VoiceConsent, _Mapping]] = ..., lexicon: _Optional[_Iterable[_Union[LexiconEntry, _Mapping]]] = ..., validate_only: bool = ...) -> None: ...

class CreateVoiceRecording(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class CreateVoiceRequest(_message.Message):
    __slots__ = ("config", "recording", "audio")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    config: CreateVoiceConfig
    recording: CreateVoiceRecording
    audio: bytes
    def __init__(self, config: _Optional[_Union[CreateVoiceConfig, _Mapping]] = ..., recording: _Optional[_Union[CreateVoiceRecording, _Mapping]] = ..., audio: _Optional[bytes] = ...) -> None: ...

class CreateVoiceResponse(_message.Message):
    __slots__ = ("voice", "recordings")
    VOICE_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    voice: Voice
    recordings: _containers.RepeatedCompositeFieldContainer[RecordingReport]
    def __init__(self, voice: _Optional[_Union[Voice, _Mapping]] = ..., recordings: _Optional[_Iterable[_Union[RecordingReport, _Mapping]]] = ...) -> None: ...

class UpdateVoiceRequest(_message.Message):
    __slots__ = ("name", "description", "language", "sampling", "consent", "lexicon")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    LEXICON_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    language: str
    sampling: _common_pb2.Sampling
    consent: VoiceConsent
    lexicon: LexiconUpdate
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., language: _Optional[str] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., consent: _Optional[_Union[VoiceConsent, _Mapping]] = ..., lexicon: _Optional[_Union[LexiconUpdate, _Mapping]] = ...) -> None: ...

class LexiconUpdate(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LexiconEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[LexiconEntry, _Mapping]]] = ...) -> None: ...

class UpdateVoiceResponse(_message.Message):
    __slots__ = ("voice",)
    VOICE_FIELD_NUMBER: _ClassVar[int]
    voice: Voice
    def __init__(self, voice: _Optional[_Union[Voice, _Mapping]] = ...) -> None: ...

class DeleteVoiceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteVoiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetConversationRequest(_message.Message):
    __slots__ = ("conversation_id",)
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    def __init__(self, conversation_id: _Optional[str] = ...) -> None: ...

class ConversationTurn(_message.Message):
    __slots__ = ("turn_id", "speaker", "text", "heard", "audio_ms", "unfinished")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    speaker: int
    text: str
    heard: bool
    audio_ms: int
    unfinished: bool
    def __init__(self, turn_id: _Optional[str] = ..., speaker: _Optional[int] = ..., text: _Optional[str] = ..., heard: bool = ..., audio_ms: _Optional[int] = ..., unfinished: bool = ...) -> None: ...

class GetConversationResponse(_message.Message):
    __slots__ = ("conversation_id", "voice", "turns")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    voice: str
    turns: _containers.RepeatedCompositeFieldContainer[ConversationTurn]
    def __init__(self, conversation_id: _Optional[str] = ..., voice: _Optional[str] = ..., turns: _Optional[_Iterable[_Union[ConversationTurn, _Mapping]]] = ...) -> None: ...

class DeleteConversationRequest(_message.Message):
    __slots__ = ("conversation_id",)
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    def __init__(self, conversation_id: _Optional[str] = ...) -> None: ...

class DeleteConversationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "model", "sample_rate_hz", "frame_rate_hz", "num_codebooks", "max_positions", "default_voice", "max_text_chars", "sampling", "slots", "digest", "dtype", "device", "watermark")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    NUM_CODEBOOKS_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VOICE_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_CHARS_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    version: str
    model: str
    sample_rate_hz: int
    frame_rate_hz: float
    num_codebooks: int
    max_positions: int
    default_voice: str
    max_text_chars: int
    sampling: _common_pb2.Sampling
    slots: int
    digest: str
    dtype: str
    device: str
    watermark: str
    def __init__(self, version: _Optional[str] = ..., model: _Optional[str] = ..., sample_rate_hz: _Optional[int] = ..., frame_rate_hz: _Optional[float] = ..., num_codebooks: _Optional[int] = ..., max_positions: _Optional[int] = ..., default_voice: _Optional[str] = ..., max_text_chars: _Optional[int] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., slots: _Optional[int] = ..., digest: _Optional[str] = ..., dtype: _Optional[str] = ..., device: _Optional[str] = ..., watermark: _Optional[str] = ...) -> None: ...
