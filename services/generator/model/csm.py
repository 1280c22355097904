"""CSM: text and audio frames in, the next frame out.

A backbone transformer reads one position a frame (text token or audio frame) and predicts the next
frame's codebook 0; the depth decoder makes the frame's other codes from the backbone's last hidden
state (Sesame's `models.py`; `CsmForConditionalGeneration` in transformers).
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from services.generator.model.attention import KVBuffers, KVCacheTensors
from services.generator.model.config import CsmConfig
from services.generator.model.depth import DepthDecoder
from services.generator.model.llama import Llama
from services.generator.model.rows import Linear
from services.generator.model.sampler import SamplingRows, sample


class Csm(nn.Module):
    """The whole model. Weights are uninitialised: `weights.load` or `weights.create` make one.

    No method switches gradients off: serving wraps its calls in `torch.inference_mode`.
    A frame is int64 [num_codebooks + 1]: the codes, then a text id; -1 means "not there".
    """

    def __init__(
        self,
        config: CsmConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        width = config.backbone.width
        table_rows = config.num_codebooks * config.audio_vocab_size

        def table(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, width, device=device, dtype=dtype))

        self.text_embeddings = table(config.text_vocab_size)
        self.audio_embeddings = table(table_rows)
        self.backbone = Llama(config.backbone, device=device, dtype=dtype)
        self.lm_head = Linear(width, config.audio_vocab_size, device=device, dtype=dtype)
        self.depth = DepthDecoder(
            config.depth,
            backbone_width=width,
            num_codebooks=config.num_codebooks,
            vocab_size=config.audio_vocab_size,
            device=device,
            dtype=dtype,
        )
        self._depth_caches: dict[tuple[int, torch.device, torch.dtype], KVCacheTensors] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.text_embeddings.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights, the hidden states and the caches are made of."""
        return self.text_embeddings.dtype

    @property
    def cuts_freely(self) -> bool:
        """Products of torch are rounded by the number of rows: a prefill's cuts can be seen."""
        return False

    def allocate_cache(self, slots: int, max_positions: int) -> KVCacheTensors:
        """Return the backbone's zeroed cache, [layers, slots, kv_heads, max_positions, head_dim].

        Raises:
            ValueError: `slots` is below 1, or `max_positions` beyond the config's.
        """
        return self.backbone.allocate_cache(slots, max_positions)

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Sum each frame's embeddings: int64 [..., num_codebooks + 1] to [..., width].

        Raises:
            ValueError: the last dimension is not num_codebooks + 1.
        """
        books = self.config.num_codebooks
        if frames.shape[-1] != books + 1:
            raise ValueError(
                f"frames: shape {list(frames.shape)} is not allowed, the last dimension must be "
                f"num_codebooks + 1 = {books + 1}"
            )
        flat = frames.reshape(-1, books + 1)
        codes, text = flat[:, :books], flat[:, books]
        present = codes >= 0
        audio = functional.embedding_bag(
            codes.clamp(min=0) + self._offsets(codes.device),
            self.audio_embeddings,
            mode="sum",
            per_sample_weights=present.to(self.dtype),
        )
        words = functional.embedding(text.clamp(min=0), self.text_embeddings)
        total = audio + words * (text >= 0).to(self.dtype)[:, None]
        return total.view(*frames.shape[:-1], -1)

    def _offsets(self, device: torch.device) -> Tensor:
        return torch.arange(self.config.num_codebooks, device=device) * self.config.audio_vocab_size

    def hidden_states(self, frames: Tensor) -> Tensor:
        """Return the backbone's states over whole sequences, for training; differentiable.

        frames int64 [batch, positions, num_codebooks + 1] to [batch, positions, width], after the
        final norm. The state at a position predicts the frame at the next one.
        """
        return self.backbone(self.embed_frames(frames))

    def depth_logits(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Return the logits of codebooks 1 onwards, given the codes before each; differentiable.

        hidden [frames, width], codes int64 [frames, num_codebooks] to
        [frames, num_codebooks - 1, audio_vocab_size]. Codebook 0's logits are `lm_head(hidden)`.
        """
        return self.depth.logits(hidden, codes, self.audio_embeddings)

    def prefill(self, frames: Tensor, start: int, slot: int, cache: KVBuffers) -> Tensor:
        """Read frames into one slot and return the last one's state.

        Args:
            frames: int64 [positions, num_codebooks + 1], at least one; -1 where a column is absent.
                Best on the host: they are checked there.
            start: the first position to write; those before it must hold the slot's past.
            slot: the cache row.
            cache: written at `start` to `start + positions - 1` of that row, nowhere else.

        Returns:
            [width], after the final norm.

        Raises:
            ValueError: the frames do not fit the cache, or their shape or values are wrong.
        """
        self._check_prefill(frames, start, slot, cache)
        frames = frames.to(self.device, non_blocking=True)
        return self.backbone.prefill(self.embed_frames(frames), start, slot, cache)[-1]

    def _check_prefill(self, frames: Tensor, start: int, slot: int, cache: KVBuffers) -> None:
        config = self.config
        slots, max_positions = cache.keys.shape[1], cache.keys.shape[3]
        if frames.ndim != 2 or not len(frames):
            raise ValueError(
                f"frames: shape {list(frames.shape)} is not allowed, must be "
                f"[positions >= 1, {config.num_codebooks + 1}]"
            )
        if not 0 <= slot < slots:
            raise ValueError(f"slot: {slot} is not allowed, must be in [0, {slots - 1}]")
        if start < 0 or start + len(frames) > max_positions:
            raise ValueError(
                f"start: {start} is not allowed with {len(frames)} frames, must be in "
                f"[0, {max_positions - len(frames)}]"
            )
        for name, values, size in (
            ("codes", frames[:, :-1], config.audio_vocab_size),
            ("text ids", frames[:, -1], config.text_vocab_size),
        ):
            low, high = int(values.min()), int(values.max())
            if low < -1 or high >= size:
                raise ValueError(
                    f"frames: {name} between {low} and {high} are not allowed, must be -1 (absent) "
                    f"or in [0, {size - 1}]"
                )

    def backbone_step(
        self,
        codes: Tensor,
        positions: Tensor,
        active: Tensor,
        cache: KVBuffers,
        *,
        fixed_shapes: bool = False,
    ) -> Tensor:
        """Advance every active slot by the frame it has just made.

        A row's result is the same bit for bit whatever the other rows hold and whichever slot it
        has, for one number of slots. Of inactive rows nothing in the cache changes; their output
        means nothing.

        Args:
            codes: int64 [slots, num_codebooks], the previous frames.
            positions: int64 [slots], the position to write, below the cache's for active rows.
            active: bool [slots]; like `positions` on the host or where the model is.
            fixed_shapes: compute the inactive rows too and never look at values on the host, as a
                recorded graph must. CUDA does so anyway.

        Returns:
            [slots, width], after the final norm.
        """
        positions = positions.to(self.device, non_blocking=True)
        active = active.to(self.device, non_blocking=True)
        safe = codes.clamp(0, self.config.audio_vocab_size - 1) + self._offsets(codes.device)
        embedded = functional.embedding_bag(safe, self.audio_embeddings, mode="sum")
        return self.backbone.step(embedded, positions, active, cache, fixed_shapes=fixed_shapes)

    def sample_frame(
        self,
        hidden: Tensor,
        sampling: SamplingRows,
        noise: Tensor,
        active: Tensor | None = None,
    ) -> Tensor:
        """Draw one frame a row: codebook 0 from `lm_head`, the others by the depth decoder.

        Rows do not influence each other. Codes the codec does not have are never drawn; a row whose
        codes are all 0 has ended.

        Args:
            hidden: [slots, width] from `prefill` or `backbone_step`.
            sampling: the rows' parameters.
            noise: fp32 [slots, num_codebooks, audio_vocab_size], Exp(1) draws (`noise`).
            active: bool [slots], whose frames are wanted; all are drawn, in one fixed shape.

        Returns:
            int64 [slots, num_codebooks]
        """
        head = sampling.without_end(self.lm_head(hidden))
        first = self._draw(0, head, sampling, noise)
        return self.complete_frame(hidden, first, sampling, noise)

    def complete_frame(
        self, hidden: Tensor, first: Tensor, sampling: SamplingRows, noise: Tensor
    ) -> Tensor:
        """Draw the other codes of frames whose codebook 0, int64 [slots], is known.

        Everything else as in `sample_frame`; the first of `noise` is not looked at.
        """

        def draw(index: int, logits: Tensor) -> Tensor:
            return self._draw(index, logits, sampling, noise)

        cache = self._depth_cache(hidden.shape[0])
        return self.depth.complete(hidden, first, self.audio_embeddings, cache, draw)

    def _draw(self, index: int, logits: Tensor, sampling: SamplingRows, noise: Tensor) -> Tensor:
        heat = sampling.depth_temperature if index else sampling.temperature
        return sample(logits, heat, sampling, noise[:, index], self.config.codebook_size)

    def _depth_cache(self, slots: int) -> KVCacheTensors:
        key = (slots, self.device, self.dtype)
        if key not in self._depth_caches:
            self._depth_caches[key] = self.depth.llama.allocate_cache(
                slots, self.config.num_codebooks
            )
        return self._depth_caches[key]
