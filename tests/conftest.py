"""What holds for all tests."""

import gc
import os
from collections.abc import Iterator

import pytest

# Before gRPC is loaded: its fork handlers abort the child that a test starts with `preexec_fn`, now
# and then, where other tests have left threads in gRPC. The child replaces itself at once.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# Two gateways at once would want the same port.
os.environ.setdefault("CSM_GATEWAY_HTTP_PORT", "none")

from csm import channel


@pytest.fixture(autouse=True, scope="session")
def connections_of_their_own() -> None:
    """Channels share no connections. By default grpc shares those to one address, so that a channel
    that a test left to a closed server passes its failure to a later server on that port."""
    shared = channel.options

    def options(**given: object) -> list[tuple[str, object]]:
        return [*shared(**given), ("grpc.use_local_subchannel_pool", 1)]  # type: ignore[arg-type]

    channel.options = options


@pytest.fixture(autouse=True)
def heap_thawed() -> Iterator[None]:
    """A service freezes the heap once it has loaded (`csm.serving.heap`), for its process's life.
    In a process that starts hundreds of them, what each left would never be searched again."""
    yield
    gc.unfreeze()
