"""What quotas refuse, and what they hold."""

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from csm.errors import rpc_error_details
from gateway.quotas.in_process import InProcessQuotas
from tests.gateway.fakes import Stack


async def refused(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    """The status that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def quota_of(error: grpc.RpcError) -> str:
    """The subject of a QuotaFailure."""
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error  # type: ignore[attr-defined]
    (failure,) = [
        d for d in rpc_error_details(error) if isinstance(d, error_details_pb2.QuotaFailure)
    ]
    return str(failure.violations[0].subject)


def streams_of(served: Stack) -> dict[str, int]:
    """How many streams are counted, by key."""
    store = served.service._speech.quotas._store
    assert isinstance(store, InProcessQuotas)
    return store.streams()
