"""How much of everything one tenant, or one principal, may have."""

from dataclasses import dataclass, replace

from csm.serving.metrics.tenants import QUOTAS

OF_TENANTS = ("voices", "bytes")
"""What is kept belongs to the tenant, whichever principal made it."""
MAX_AMOUNT = 1 << 50


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """The amounts; 0: no bound."""

    streams: int = 0
    """Synthesize turns under way and Converse calls open, at once."""
    requests_per_minute: int = 0
    characters_per_day: int = 0
    """Of texts to be spoken, as they were given."""
    audio_seconds_per_day: int = 0
    """Sent."""
    voices: int = 0
    """Created ones, kept."""
    bytes: int = 0
    """Of conversations and created voices, kept."""

    def of(self, quota: str) -> int:
        """The amount of one of `QUOTAS`."""
        return int(getattr(self, quota))

    def with_(self, amounts: dict[str, int]) -> "QuotaLimits":
        """These, but for the amounts that are given by name."""
        return replace(self, **amounts)

    def __bool__(self) -> bool:
        return any(self.of(quota) for quota in QUOTAS)


NO_LIMITS = QuotaLimits()
