"""The SDK: `Client` for threads, `AsyncClient` for asyncio; see `csm.client.client`."""

from csm.client.answers import (
    ConversationInfo,
    ConversationTurn,
    Sampling,
    ServerInfo,
    TokenizerInfo,
    Voice,
    VoiceList,
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
)
from csm.client.requests import (
    ContextTurn,
)
from csm.client.retry import (
    RetryPolicy,
)
from csm.client.speech import (
    AsyncSpeech,
    Speech,
)
from csm.client.tokenizer import (
    AsyncTokenizerClient,
    Encoded,
)

__all__ = [
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
    "Encoded",
    "Event",
    "FinishReason",
    "RetryPolicy",
    "Sampling",
    "ServerInfo",
    "Speech",
    "Timing",
    "TokenizerInfo",
    "TurnCompleted",
    "TurnStarted",
    "TurnTruncated",
    "Usage",
    "Voice",
    "VoiceList",
    "Warning",
    "WarningKind",
]
