"""What holds for all tests."""

import functools
import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Before gRPC is loaded: its fork handlers abort the child that a test starts with `preexec_fn`, now
# and then, where other tests have left threads in gRPC. The child replaces itself at once.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# Two gateways at once would want the same port.
os.environ.setdefault("CSM_GATEWAY_HTTP_PORT", "none")

import grpc

from csm import channel


@pytest.fixture(autouse=True, scope="session")
def connections_of_their_own() -> None:
    """Channels share no connections, those that a test opens by itself no more than ours. By
    default grpc shares those to one address, so that a channel that a test left to a closed server
    passes its failure, "connection refused", to a later server on that port."""
    own = ("grpc.use_local_subchannel_pool", 1)
    shared = channel.options

    def options(**given: object) -> list[tuple[str, object]]:
        return [*shared(**given), own]  # type: ignore[arg-type]

    channel.options = options
    modules: tuple[Any, ...] = (grpc, grpc.aio)
    for module in modules:
        for name in ("insecure_channel", "secure_channel"):
            setattr(module, name, _with(getattr(module, name), own))


def _with(opened: Callable[..., Any], option: tuple[str, object]) -> Callable[..., Any]:
    @functools.wraps(opened)
    def open_channel(*places: Any, options: Any = None, **rest: Any) -> Any:
        return opened(*places, options=[*(options or ()), option], **rest)

    return open_channel


@pytest.fixture(autouse=True)
def heap_thawed() -> Iterator[None]:
    """A service freezes the heap once it has loaded (`csm.serving.process.heap`), for its
    process's life. In a process that starts hundreds of them, what each left would never be
    searched again."""
    yield
    gc.unfreeze()
