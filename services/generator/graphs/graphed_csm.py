"""CSM on CUDA, a frame in two launches: the backbone's step, and the 31 depth steps with sampling.

Run kernel by kernel, a frame of csm-1b is some thousands of launches from Python, many times longer
than the device needs for it. Here each of the two is a CUDA graph. One shape for all slots keeps
the promise that the same seed gives the same codes whatever else is in the batch: libraries choose
their kernels, and so their rounding, by shape. With `buckets`, graphs are recorded for a few batch
sizes and lengths of context instead, and a step takes the smallest that holds it: faster where most
of many slots are idle, but other turns may change a code. Free slots are taken from the lowest, so
a batch is the first so many of them, and nothing is gathered or copied to form one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from services.generator.graphs.buckets import SHORTEST_LENGTH, doublings, smallest
from services.generator.graphs.capture import Recorder, Replay
from services.generator.model.attention import KVBuffers, KVCacheTensors
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.sampler import SamplingRows

USUAL_TOP_K = 64
"""Up to here a partial sort finds the threshold; the graph for larger ones sorts every code."""


@dataclass(frozen=True)
class SamplerKind:
    """What a recorded frame can draw by: top_k up to `top_k` (or none), and top_p or not."""

    top_k: int
    top_p: bool


class FixedRows(SamplingRows):
    """The parameters of the first rows, for a recorded frame: what is decided on the host
    elsewhere is decided once, by `kind`."""

    def __init__(self, every: SamplingRows, rows: int, kind: SamplerKind) -> None:
        """A view of the first `rows` of `every`; what is written there is read here."""
        for name in _TENSORS:
            setattr(self, name, getattr(every, name)[:rows])
        self._host = every._host[:rows]
        # Whoever is held, the recorded frame asks each time.
        self._any_held = True
        self.kind = kind

    @property
    def max_top_k(self) -> int:
        return self.kind.top_k

    @property
    def any_top_p(self) -> bool:
        return self.kind.top_p


MAX_SHAPES = 64
_TENSORS = ("temperature", "depth_temperature", "top_k", "top_p", "_held")


class GraphedCsm:
    """What the engine needs of a model (`engine.model.Model`), over a `Csm` on CUDA.

    One cache at a time: graphs hold addresses, so they are recorded when the cache is allocated,
    which takes seconds, and run on that cache alone. Only a way of sampling that nobody asked for
    yet is recorded later: that step takes longer, by tenths of a second or more.

    What it returns is overwritten by the next call. On a CPU the same passes run unrecorded, for
    tests.
    """

    def __init__(self, model: Csm, *, buckets: bool = False, compiled: bool = False) -> None:
        """Wrap `model`; `buckets` as at the head of this file, `compiled` has torch.compile fuse
        what lies between the products."""
        self._model, self._buckets = model, buckets
        if model.device.type == "cuda":
            # cuDNN builds a plan for every length, tens of milliseconds each, and keeps them all.
            torch.backends.cuda.enable_cudnn_sdp(False)
        self._backbone: dict[tuple[int, int], Replay] = {}
        self._frames: dict[tuple[int, SamplerKind], Replay] = {}
        self._compiled = compiled
        if compiled:
            # Heavy, and wanted only here.
            from torch._dynamo import config as dynamo

            # Every batch size is a shape; beyond torch's usual 8 it would stop to compile.
            dynamo.recompile_limit = max(dynamo.recompile_limit, MAX_SHAPES)
            for layer in (*model.backbone.layers, *model.depth.llama.layers):
                layer.compile_parts()

    @property
    def cuts_freely(self) -> bool:
        return self._model.cuts_freely

    @property
    def config(self) -> CsmConfig:
        """Sizes."""
        return self._model.config

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._model.device

    @property
    def dtype(self) -> torch.dtype:
        """What weights, hidden states and cache are made of."""
        return self._model.dtype

    @property
    def recorded(self) -> int:
        """How many graphs there are."""
        return len(self._backbone) + len(self._frames)

    @torch.inference_mode()
    def allocate_cache(self, slots: int, max_positions: int) -> KVCacheTensors:
        """As `Csm.allocate_cache`, and record the graphs that will run on it."""
        config, device = self.config, self.device
        books, width = config.num_codebooks, config.backbone.width
        # What was recorded before goes first, with its memory.
        self._backbone.clear()
        self._frames.clear()
        self._recorder = Recorder(device)
        self._cache = self._model.allocate_cache(slots, max_positions)
        self._codes = torch.zeros(slots, books, dtype=torch.int64, device=device)
        self._positions = torch.zeros(slots, dtype=torch.int64, device=device)
        self._active = torch.zeros(slots, dtype=torch.bool, device=device)
        self._stepped = torch.zeros(slots, width, device=device, dtype=self.dtype)
        self._hidden = torch.zeros_like(self._stepped)
        self._drawn = torch.zeros_like(self._codes)
        shape = (slots, books, config.audio_vocab_size)
        self._noise = torch.ones(shape, device=device)
        self._sampling = SamplingRows(slots, device=device)
        self._rows: tuple[int, ...] = (slots,)
        self._lengths: tuple[int, ...] = (max_positions,)
        if self._buckets:
            self._rows = doublings(1, slots)
            self._lengths = doublings(SHORTEST_LENGTH, max_positions)
        usual = self._kind(0, any_top_p=False)
        # The largest first: the others find room in the pool that it leaves.
        for rows in reversed(self._rows):
            self._frame_of(rows, usual)
            for length in reversed(self._lengths):
                self._backbone_of(rows, length)
        if self._compiled:
            self._compile_prefill()
        return self._cache

    def _compile_prefill(self) -> None:
        """Prefill in the shapes that torch.compile tells apart, one position and several: in the
        middle of a conversation all others would wait for the compiler."""
        for count in (2, 1):
            frames = torch.zeros(count, self.config.num_codebooks + 1, dtype=torch.int64)
            self._model.prefill(frames, 0, 0, self._cache)
        for buffer in (self._cache.keys, self._cache.values):
            buffer[:, 0].zero_()

    def prefill(self, frames: Tensor, start: int, slot: int, cache: KVBuffers) -> Tensor:
        """As `Csm.prefill`, kernel by kernel: one launch does the work of many positions."""
        return self._model.prefill(frames, start, slot, cache)

    def backbone_step(
        self, codes: Tensor, positions: Tensor, active: Tensor, cache: KVBuffers
    ) -> Tensor:
        """As `Csm.backbone_step`; positions and active on the host.

        Raises:
            ValueError: the cache is not the one that was allocated last.
        """
        self._check(cache)
        slots = active.nonzero().flatten()
        if not len(slots):
            return self._stepped
        rows = smallest(self._rows, int(slots[-1]) + 1)
        length = smallest(self._lengths, int(positions[slots].max()) + 1)
        self._codes.copy_(codes, non_blocking=True)
        self._positions.copy_(positions, non_blocking=True)
        self._active.copy_(active, non_blocking=True)
        self._backbone_of(rows, length)()
        return self._stepped

    def sample_frame(
        self, hidden: Tensor, sampling: SamplingRows, noise: Tensor, active: Tensor | None = None
    ) -> Tensor:
        """As `Csm.sample_frame`; active on the host. Rows not active mean nothing."""
        drawn = active.nonzero().flatten() if active is not None else torch.arange(len(hidden))
        if not len(drawn):
            return self._drawn
        rows = smallest(self._rows, int(drawn[-1]) + 1)
        self._hidden.copy_(hidden, non_blocking=True)
        self._noise[:rows].copy_(noise[:rows], non_blocking=True)
        for name in _TENSORS:
            getattr(self._sampling, name).copy_(getattr(sampling, name), non_blocking=True)
        self._frame_of(rows, self._kind(sampling.max_top_k, sampling.any_top_p))()
        return self._drawn

    def _kind(self, max_top_k: int, any_top_p: bool) -> SamplerKind:
        size = self.config.codebook_size
        usual = min(USUAL_TOP_K, size)
        return SamplerKind(usual if max_top_k <= usual else size, any_top_p)

    def _check(self, cache: KVBuffers) -> None:
        if cache.keys.data_ptr() != self._cache.keys.data_ptr():
            raise ValueError("cache: this one is not allowed, must be the one allocated last")

    def _backbone_of(self, rows: int, length: int) -> Replay:
        if (rows, length) not in self._backbone:
            keys, values = (x[:, :rows, :, :length] for x in (self._cache.keys, self._cache.values))
            cache = KVCacheTensors(keys, values)

            def work() -> None:
                self._stepped[:rows] = self._model.backbone_step(
                    self._codes[:rows],
                    self._positions[:rows],
                    self._active[:rows],
                    cache,
                    fixed_shapes=True,
                )

            self._backbone[rows, length] = self._recorder.record(work)
        return self._backbone[rows, length]

    def _frame_of(self, rows: int, kind: SamplerKind) -> Replay:
        if (rows, kind) not in self._frames:
            sampling = FixedRows(self._sampling, rows, kind)

            def work() -> None:
                self._drawn[:rows] = self._model.sample_frame(
                    self._hidden[:rows], sampling, self._noise[:rows]
                )

            self._frames[rows, kind] = self._recorder.record(work)
        return self._frames[rows, kind]
