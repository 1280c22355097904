"""CSM on CPUs without torch in the frame: the same passes as `Csm`, each one call of C++."""

from __future__ import annotations

import ctypes
from typing import Literal, get_args

import torch
import torch.nn.functional as functional
from torch import Tensor

from services.generator.model.attention import KVBuffers, KVCacheTensors
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.reading import UnreadCsm
from services.generator.model.rows import RmsNorm
from services.generator.model.sampler import SamplingRows
from services.generator.native import library
from services.generator.native.library import BackboneRows, Cache, FrameRows
from services.generator.native.packing import PackedModel
from services.native.interface import Format
from services.native.levels import Level
from services.native.memory import address

WeightFormat = Literal["fp32", "bf16", "int8"]

PREFILL_ROWS = 64
"""Positions of a prefill that go through a layer together: their activations stay in the cache."""


class NativeCsm:
    """What the engine needs of a model (`engine.protocol.Model`), made from a `Csm` on the CPU, or
    from one on disk that is not read yet.

    Weights are packed anew as fp32, bf16 or int8 (a scale an output; activations are quantised row
    by row), and the `Csm` can be let go: only its embeddings are shared. Everything between
    products is fp32, hidden states too; the KV cache is of the `Csm`'s dtype.

    A row's numbers are the same bit for bit whatever the other rows hold, whichever slot it has,
    however a prefill is cut and however many threads there are.

    Raises:
        ValueError: the model is not on the CPU in fp32 or bf16, or `weights`, `threads` or `level`
            is not allowed.
        NativeUnavailable: there is no library and no compiler that makes one.
    """

    def __init__(
        self,
        model: Csm | UnreadCsm,
        weights: WeightFormat = "fp32",
        *,
        threads: int | None = None,
        level: Level | None = None,
    ) -> None:
        if weights not in get_args(WeightFormat):
            raise ValueError(
                f"weights: {weights!r} is not allowed, must be one of {get_args(WeightFormat)}"
            )
        device = model.device if isinstance(model, Csm) else torch.device("cpu")
        if device.type != "cpu" or model.dtype not in (torch.float32, torch.bfloat16):
            raise ValueError(
                f"model: {model.dtype} on {device} is not allowed, must be float32 or "
                "bfloat16 on the CPU"
            )
        count = torch.get_num_threads() if threads is None else threads
        if not 1 <= count <= 1024:
            raise ValueError(f"threads: {count} is not allowed, must be in [1, 1024]")
        self.weights: WeightFormat = weights
        self.threads = count
        self._packed = PackedModel(library.load(level), model, Format[weights.upper()], count)
        self._shell = _shell_of(model.config, model.dtype)

    @property
    def cuts_freely(self) -> bool:
        """Every sum has one order."""
        return True

    @property
    def config(self) -> CsmConfig:
        """Sizes."""
        return self._shell.config

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """What the hidden states are made of: fp32."""
        return torch.float32

    @property
    def nbytes(self) -> int:
        """Bytes of the packed matrices, embeddings not counted."""
        return self._packed.nbytes

    def allocate_cache(self, slots: int, max_positions: int) -> KVCacheTensors:
        """As `Csm.allocate_cache`."""
        return self._shell.allocate_cache(slots, max_positions)

    def prefill(self, frames: Tensor, start: int, slot: int, cache: KVBuffers) -> Tensor:
        """As `Csm.prefill`: int64 [positions, num_codebooks + 1] to the last state, fp32 [width].

        Raises:
            ValueError: the frames do not fit the cache, or their shape or values are wrong.
        """
        self._shell._check_prefill(frames, start, slot, cache)
        frames = frames.contiguous()
        hidden = torch.empty(1, self.config.backbone.width)
        for begin in range(0, len(frames), PREFILL_ROWS):
            rows = frames[begin : begin + PREFILL_ROWS]
            count = len(rows)
            wanted = torch.full((count,), -1)
            if begin + count == len(frames):
                wanted[-1] = 0
            positions = torch.arange(start + begin, start + begin + count)
            self._run(rows, torch.full((count,), slot), positions, wanted, hidden, cache)
        return hidden[0]

    def backbone_step(
        self, codes: Tensor, positions: Tensor, active: Tensor, cache: KVBuffers
    ) -> Tensor:
        """As `Csm.backbone_step`: codes int64 [slots, num_codebooks], to fp32 [slots, width].

        Raises:
            ValueError: an active row's position is outside the cache.
        """
        slots = active.nonzero().flatten()
        hidden = torch.zeros(codes.shape[0], self.config.backbone.width)
        if not len(slots):
            return hidden
        # Fed back, a frame has all its codes and no text.
        frames = functional.pad(codes[slots].clamp(min=0), (0, 1), value=-1)
        self._run(frames, slots, positions[slots], slots, hidden, cache)
        return hidden

    def _run(
        self,
        frames: Tensor,
        slots: Tensor,
        positions: Tensor,
        wanted: Tensor,
        hidden: Tensor,
        cache: KVBuffers,
    ) -> None:
        view = self._view(cache)
        low, high = int(positions.min()), int(positions.max())
        if low < 0 or high >= view.max_positions:
            raise ValueError(
                f"positions: {low} to {high} are not allowed, must be in "
                f"[0, {view.max_positions - 1}]"
            )
        rows = BackboneRows(
            len(slots),
            address(slots, torch.int64),
            address(positions, torch.int64),
            address(frames, torch.int64),
            address(wanted, torch.int64),
            address(hidden, torch.float32),
        )
        native = self._packed.native
        self._packed.call(native.csm_run_backbone, ctypes.byref(rows), ctypes.byref(view))

    def _view(self, cache: KVBuffers) -> Cache:
        keys, values = cache.keys, cache.values
        backbone = self.config.backbone
        layers, slots, kv_heads, max_positions, head_dim = keys.shape
        expected = (backbone.layers, backbone.kv_heads, backbone.head_dim)
        if (layers, kv_heads, head_dim) != expected or values.shape != keys.shape:
            raise ValueError(
                f"cache: shapes {list(keys.shape)} and {list(values.shape)} are not allowed, must "
                f"be [{expected[0]}, slots, {expected[1]}, max_positions, {expected[2]}] both"
            )
        dtype = self._shell.dtype
        return Cache(
            address(keys, dtype),
            address(values, dtype),
            int(dtype == torch.bfloat16),
            slots,
            max_positions,
        )

    def sample_frame(
        self,
        hidden: Tensor,
        sampling: SamplingRows,
        noise: Tensor,
        active: Tensor | None = None,
    ) -> Tensor:
        """As `Csm.sample_frame`, for the rows of `active` (bool [slots]; None: all of them).

        hidden [slots, width], noise fp32 [slots, num_codebooks, audio_vocab_size], to int64
        [slots, num_codebooks]; rows that are not active are zeros.
        """
        config = self.config
        count = hidden.shape[0]
        expected = (count, config.num_codebooks, config.audio_vocab_size)
        if noise.shape != expected or len(sampling) != count:
            raise ValueError(
                f"noise: shape {list(noise.shape)} and {len(sampling)} sampling rows are not "
                f"allowed with {count} states, must be {list(expected)} and {count}"
            )
        codes = torch.zeros(count, config.num_codebooks, dtype=torch.int64)
        slots = torch.arange(count) if active is None else active.nonzero().flatten()
        if not len(slots):
            return codes
        states = hidden.float().contiguous()
        # What is struck out of a row of zeros is what has to be added to its first logit.
        end_bias = sampling.without_end(torch.zeros(count, 1))
        noise = noise.contiguous()
        rows = FrameRows(
            len(slots),
            address(slots, torch.int64),
            address(states, torch.float32),
            address(sampling.temperature, torch.float32),
            address(sampling.depth_temperature, torch.float32),
            address(sampling.top_k, torch.int64),
            address(sampling.top_p, torch.float32),
            address(end_bias, torch.float32),
            address(noise, torch.float32),
            address(codes, torch.int64),
        )
        self._packed.call(self._packed.native.csm_draw_frames, ctypes.byref(rows))
        return codes


def _shell_of(config: CsmConfig, dtype: torch.dtype) -> Csm:
    """A `Csm` of the same config and dtype that weighs nothing: it checks and allocates.

    One norm is real: a stack allocates its cache where its norm is.
    """
    shell = Csm(config, device="meta", dtype=dtype)
    stack = config.backbone
    shell.backbone.norm = RmsNorm(stack.width, stack.norm_eps, device="cpu", dtype=dtype)
    return shell.eval().requires_grad_(False)
