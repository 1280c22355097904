"""A piece of device work recorded once and replayed with one launch."""

from __future__ import annotations

from collections.abc import Callable

import torch

Replay = Callable[[], None]

_WARM_UP_RUNS = 2


class Recorder:
    """Records graphs that share one pool of memory: they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
            # One for all: every stream that multiplies keeps a workspace of cuBLAS for good.
            self._stream = torch.cuda.Stream(device)

    def record(self, work: Callable[[], None]) -> Replay:
        """Return what does `work` again.

        `work` reads and writes tensors that stay where they are, in fixed shapes, and never looks
        at their values on the host. On a CPU there is nothing to record: it is run as it is, so
        that all around it can be tested there.
        """
        if self._device.type != "cuda":
            return work
        # Libraries allocate and tune in their first calls, which a graph must not hold.
        stream = self._stream
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                work()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Thread local: the codec may share the process and the device.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        ):
            work()
        return graph.replay
