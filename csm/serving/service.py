"""What a host needs of the service that it runs."""

from collections.abc import Callable
from typing import Protocol

import grpc


class Service(Protocol):
    """What a host needs of a service.

    It may have more. `async prepare()`: what it can look at without others, before anything loads,
    so that what is wrong with it is told at once. `ready() -> bool`: whether what it leans on
    answers; `waits_for() -> str`: who does not. `memory_bytes() -> Mapping[str, int]`: what its
    settings cost by part, asked before `start`; `weights` and `cache` are certain, the others what
    clients may use. `door: Door | None`: another way in. `access: Access`: what its RPCs need of a
    caller, `admin` if not in it.
    """

    name: str
    """Full name, e.g. `csm.v1.TokenizerService`."""

    async def start(self) -> None:
        """Loads and warms up; the host is not ready before it returns."""

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer to the server; once more where a new server takes the port."""

    def alive(self) -> bool:
        """Whether the worker thread still beats."""

    async def drain(self, finish_s: float) -> None:
        """Lets live streams finish for `finish_s`; the rest gets its terminal SHUTDOWN."""

    async def stop(self) -> None:
        """Ends the worker and frees what is held."""


def leans_on(service: object) -> str:
    """What a service that is not ready waits for, by its `waits_for() -> str`, if it tells."""
    tells: Callable[[], str] | None = getattr(service, "waits_for", None)
    return (tells() if tells is not None else "") or "what it leans on"
