"""A second way in lives and ends with its host's server."""

import asyncio
from collections.abc import Callable

import pytest

from csm import errors
from csm.serving.auth.authenticator import Authenticator
from csm.serving.calls.recorder import CallRecorder
from csm.serving.health import State
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.serving.tls.server import ServerTls
from tests.csm.serving.running import FakeService


class FakeDoor:
    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.fails = False

    async def open(
        self,
        state: Callable[[], State],
        refusal: Callable[[], errors.ServiceError | None],
        recorder: CallRecorder,
        tls: ServerTls | None,
        authenticator: Authenticator | None,
    ) -> None:
        if self.fails:
            raise OSError("cannot listen")
        self.state, self.refusal = state, refusal
        self.events.append("open")

    def close(self) -> None:
        self.events.append("close")

    async def stop(self, grace_s: float) -> None:
        self.events.append("stop")


def host_with_door() -> tuple[Host, FakeService, FakeDoor]:
    service = FakeService()
    service.door = door = FakeDoor(service.events)  # type: ignore[attr-defined]
    return Host(service, ServiceSettings(drain_finish_s=0.1), Metrics()), service, door


async def test_it_opens_before_the_service_has_loaded_and_says_so_itself() -> None:
    host, service, door = host_with_door()
    starting = asyncio.create_task(host.start())
    while "open" not in service.events:
        await asyncio.sleep(0.01)
    assert not door.state().ready
    assert isinstance(door.refusal(), errors.Unavailable)
    service.loaded.set()
    await starting
    assert door.state().ready
    assert door.refusal() is None
    await host.stop()
    assert isinstance(door.refusal(), errors.Unavailable)
    order = [e for e in service.events if e in ("open", "close", "drain", "stop")]
    assert order[:2] == ["open", "close"]
    assert order[-1] == "stop"


async def test_one_that_cannot_listen_keeps_the_host_from_starting() -> None:
    host, service, door = host_with_door()
    door.fails = True
    service.loaded.set()
    with pytest.raises(OSError, match="cannot listen"):
        await host.start()
