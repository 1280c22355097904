"""Why a turn ended: one enumeration for the client and the services."""

from enum import StrEnum


class FinishReason(StrEnum):
    """Why a turn ended; the names are those of `csm.v1.FinishReason`, the values the labels of the
    metrics."""

    EOS = "eos"
    MAX_DURATION = "max_duration"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    SHUTDOWN = "shutdown"
    ERROR = "error"
    UNKNOWN = "unknown"
    """A reason that this side is too old to know. Never sent."""
