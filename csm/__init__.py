"""csm: the client of the CSM server, and what it shares with the services. Never imports torch.

    from csm import Client

The names below come from `csm.client` and `csm.errors` when they are first asked for, so that who
needs a part of the package (a service, `csm --help`) does not load the client.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csm.client import (
        AsyncClient,
        AsyncConversation,
        AsyncSpeech,
        AsyncTokenizerClient,
        AudioChunk,
        AudioFormat,
        Client,
        ContextTurn,
        Conversation,
        ConversationInfo,
        ConversationStarted,
        ConversationTurn,
        Encoded,
        Event,
        FinishReason,
        RetryPolicy,
        Sampling,
        ServerInfo,
        Speech,
        Timing,
        TokenizerInfo,
        TurnCompleted,
        TurnStarted,
        TurnTruncated,
        Usage,
        Voice,
        VoiceList,
        Warning,
        WarningKind,
    )
    from csm.errors import (
        DeadlineExceeded,
        FailedPrecondition,
        FieldViolation,
        Internal,
        InvalidArgument,
        NotFound,
        QueueFull,
        RetryableError,
        ServiceError,
        Unavailable,
        UpstreamError,
    )

try:
    __version__ = version("csm-server")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

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
    "DeadlineExceeded",
    "Encoded",
    "Event",
    "FailedPrecondition",
    "FieldViolation",
    "FinishReason",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "QueueFull",
    "RetryPolicy",
    "RetryableError",
    "Sampling",
    "ServerInfo",
    "ServiceError",
    "Speech",
    "Timing",
    "TokenizerInfo",
    "TurnCompleted",
    "TurnStarted",
    "TurnTruncated",
    "Unavailable",
    "UpstreamError",
    "Usage",
    "Voice",
    "VoiceList",
    "Warning",
    "WarningKind",
    "__version__",
]

_ERRORS = {
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "QueueFull",
    "RetryableError",
    "ServiceError",
    "Unavailable",
    "UpstreamError",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("csm.errors" if name in _ERRORS else "csm.client"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
