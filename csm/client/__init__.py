"""The SDK: `Client` for threads, `AsyncClient` for asyncio; see `csm.client.client`.

`__all__` is the one list of what `csm` and `csm.client` export, the errors among it.
"""

from csm.client.answers import (
    ConversationInfo,
    ConversationTurn,
    Sampling,
    ServerInfo,
    TokenizerInfo,
)
from csm.client.client import (
    AsyncClient,
    Client,
)
from csm.client.conversation import (
    AsyncConversation,
    Conversation,
)
from csm.client.formats import AudioFormat
from csm.client.messages import (
    AudioChunk,
    ConversationStarted,
    Event,
    FinishReason,
    Timing,
    TurnCompleted,
    TurnStarted,
    TurnTruncated,
    Usage,
    Warning,
    WarningKind,
    WordTime,
)
from csm.client.requests import (
    ContextTurn,
)
from csm.client.retry import (
    RetryPolicy,
)
from csm.client.sound import (
    SoundOptions,
)
from csm.client.speech import (
    AsyncSpeech,
    Speech,
)
from csm.client.text import (
    PreparedSentence,
    PreparedText,
    TextOptions,
)
from csm.client.tokenizer import (
    AsyncTokenizerClient,
    Encoded,
    TokenizerClient,
)
from csm.client.voices import (
    RecordingReport,
    Voice,
    VoiceConsent,
    VoiceDetails,
    VoiceList,
)
from csm.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    LimitReached,
    NotFound,
    PermissionDenied,
    QueueFull,
    QuotaExceeded,
    RetryableError,
    ServiceError,
    Unauthenticated,
    Unavailable,
    UpstreamError,
)

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "AsyncConversation",
    "AsyncSpeech",
    "AsyncTokenizerClient",
    "AudioChunk",
    "AudioFormat",
    "Client",
    "ContextTurn",
    "Conversation",
    "ConversationInfo",
    "ConversationStarted",
    "ConversationTurn",
    "DeadlineExceeded",
    "Encoded",
    "Event",
    "FailedPrecondition",
    "FieldViolation",
    "FinishReason",
    "Internal",
    "InvalidArgument",
    "LimitReached",
    "NotFound",
    "PermissionDenied",
    "PreparedSentence",
    "PreparedText",
    "QueueFull",
    "QuotaExceeded",
    "RecordingReport",
    "RetryPolicy",
    "RetryableError",
    "Sampling",
    "ServerInfo",
    "ServiceError",
    "SoundOptions",
    "Speech",
    "TextOptions",
    "Timing",
    "TokenizerClient",
    "TokenizerInfo",
    "TurnCompleted",
    "TurnStarted",
    "TurnTruncated",
    "Unauthenticated",
    "Unavailable",
    "UpstreamError",
    "Usage",
    "Voice",
    "VoiceConsent",
    "VoiceDetails",
    "VoiceList",
    "Warning",
    "WarningKind",
    "WordTime",
]
