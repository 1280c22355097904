"""What a warning about a turn is about: one enumeration for the client and the gateway."""

from enum import StrEnum


class WarningKind(StrEnum):
    """What a warning is about; the names are those of `csm.v1.WarningKind`."""

    UNSPEAKABLE = "unspeakable"
    """Not spoken: nothing in it that the model can say."""
    TOO_LONG = "too_long"
    """Not spoken: longer than the model's context."""
    CUT = "cut"
    """Its speech reached the longest audio allowed before it ended."""
    IGNORED = "ignored"
    """A voice or a setting that was named and is not used."""
    RECORDING = "recording"
    """A recording was read differently from what it says, or makes a bad prompt."""
    ENDED_EARLY = "ended_early"
    """Speech ended far too early for its text."""
    HISTORY_NOT_SAVED = "history_not_saved"
    """The store of conversations did not take what was said: it is heard, but not remembered."""
    UNKNOWN = "unknown"
    """A kind that this side is too old to know. Never sent."""
