"""A stream's place among those that the engine takes in, from its first sentence to its last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from csm import errors
from csm.serving.metrics import GeneratorMetrics
from services.generator.engine.admission import (
    DrainingError,
    OwnerBusyError,
    QueueFullError,
    Reservation,
)
from services.generator.engine.engine import Engine
from services.generator.engine.events import Sink
from services.generator.engine.turn import TurnRequest


class Place:
    """The reservation of one stream; the engine's refusals become the call's."""

    def __init__(
        self, engine: Engine, owner: str, conversation_id: str, metrics: GeneratorMetrics
    ) -> None:
        self._engine, self._owner, self._metrics = engine, owner, metrics
        self._conversation_id = conversation_id
        self._reservation: Reservation | None = None

    def take(self) -> None:
        """Takes a place where there is none yet.

        Raises:
            QueueFull, Unavailable, FailedPrecondition: it is refused.
        """
        if self._reservation is None:
            with self._refusals():
                self._reservation = self._engine.reserve(self._owner)

    def submit(self, request: TurnRequest, sink: Sink) -> None:
        """Has the engine run a turn in this place. Raises as `take`."""
        with self._refusals():
            self._engine.submit(request, sink, self._reservation)

    def give_back(self) -> None:
        """Nothing follows the turn under way. Idempotent."""
        if self._reservation is not None:
            self._engine.give_back(self._reservation)
            self._reservation = None

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except QueueFullError as refusal:
            self._metrics.rejected.labels("queue_full").inc()
            raise errors.QueueFull(f"the generator is full: {refusal}") from None
        except DrainingError:
            self._metrics.rejected.labels("draining").inc()
            raise errors.Unavailable("the service is shutting down") from None
        except OwnerBusyError:
            self._metrics.rejected.labels("busy").inc()
            raise errors.FailedPrecondition(
                f"config.conversation_id: {self._conversation_id!r} has a turn under way "
                "in another call; one turn at a time"
            ) from None
