"""What a Converse call is connected to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from csm.serving.metrics import GatewayMetrics
from gateway.backends.backends import Backends
from gateway.deadline import left_s
from gateway.hearing.encoder import AudioEncoder
from gateway.quotas.turns import Turns
from gateway.settings import GatewaySettings
from gateway.texts import Texts


@dataclass(frozen=True)
class CallPorts:
    """What a Converse call is connected to."""

    backends: Backends
    texts: Texts
    encoder: AudioEncoder
    settings: GatewaySettings
    metrics: GatewayMetrics
    turns: Turns
    """What a turn has to have before it is spoken."""
    look_for: Callable[[str], Awaitable[None]]
    """Looks for a voice of which nothing is known, by name."""
    deadline: float | None
    """A time of the monotonic clock."""

    def remaining_s(self) -> float | None:
        """Seconds until the deadline; None: there is none."""
        return left_s(self.deadline)
