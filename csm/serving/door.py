"""What a host opens beside its gRPC server: another way in to the same service."""

from collections.abc import Callable
from typing import Protocol

from csm.errors import ServiceError
from csm.serving.auth.authenticator import Authenticator
from csm.serving.calls.recorder import CallRecorder
from csm.serving.health import State
from csm.serving.tls.server import ServerTls


class Door(Protocol):
    """A listener of its own, with the life of the gRPC server beside it.

    It opens before the service has started and asks `refusal` for every request, so that it says
    itself that the service is still loading, or shutting down.
    """

    async def open(
        self,
        state: Callable[[], State],
        refusal: Callable[[], ServiceError | None],
        recorder: CallRecorder,
        tls: ServerTls | None,
        authenticator: Authenticator | None,
    ) -> None:
        """Listens, in plaintext where `tls` is None; `recorder` makes the records of its calls.
        `authenticator` says who asks and whether they may; None: all may.

        Raises `OSError` that names the address where it cannot.
        """

    def close(self) -> None:
        """Takes no new connections; what is under way goes on."""

    async def stop(self, grace_s: float) -> None:
        """Ends what is still under way after the grace."""
