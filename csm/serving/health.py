"""Health of one service: liveness under "", readiness under its full name.

Liveness says that the loop answers and that the worker thread still beats; a full queue never
fails it. Readiness says loaded, warmed and not draining. Protocol: grpc.health.v1.
"""

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The health servicer of a host, and the two facts that it tells."""

    def __init__(self, service_name: str) -> None:
        self.service_name = service_name
        self.servicer = HealthServicer()
        self._alive = True

    async def begin(self) -> None:
        """Alive, not yet ready."""
        await self.servicer.set("", _SERVING)
        await self.servicer.set(self.service_name, _NOT_SERVING)

    async def set_ready(self, ready: bool = True) -> None:
        """Loaded and warmed; False: what it leans on is gone for now."""
        await self.servicer.set(self.service_name, _SERVING if ready else _NOT_SERVING)

    async def set_alive(self, alive: bool) -> None:
        """The worker's heartbeat: liveness follows it."""
        if alive != self._alive:
            self._alive = alive
            await self.servicer.set("", _SERVING if alive else _NOT_SERVING)

    async def set_draining(self) -> None:
        """Takes no more calls; stays alive until what runs is done."""
        await self.servicer.set(self.service_name, _NOT_SERVING)
