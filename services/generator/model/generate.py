"""One turn from one prompt, without an engine: for tests, training and examples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from services.generator.model.csm import Csm
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingParams, SamplingRows


@torch.inference_mode()
def generate(
    model: Csm,
    prompt_frames: Tensor | np.ndarray,
    sampling: SamplingParams,
    max_frames: int,
    seed: int = 0,
) -> Tensor:
    """Generate a turn's codes until its EOS frame or `max_frames`.

    Args:
        model: the model.
        prompt_frames: int64 [positions, num_codebooks + 1] (see `prompt`).
        sampling: how codes are drawn.
        max_frames: at most so many frames, cut to what the context leaves.
        seed: of the random draws; the same seed gives the same codes.

    Returns:
        int64 [frames, num_codebooks], without the EOS frame.

    Raises:
        ValueError: `max_frames` is below 1, or the prompt is empty, malformed or too long.
    """
    if max_frames < 1:
        raise ValueError(f"max_frames: {max_frames} is not allowed, must be >= 1")
    config = model.config
    frames = torch.as_tensor(prompt_frames)
    length, limit = len(frames), config.backbone.max_positions
    if length > limit:
        raise ValueError(f"prompt_frames: {length} frames are not allowed, must be <= {limit}")
    # The last frame made is not read back, so it needs no position.
    max_frames = min(max_frames, limit - length + 1)
    cache = model.allocate_cache(1, min(length + max_frames, limit))
    rows = SamplingRows(1, device=model.device)
    rows.set(0, sampling)
    noise = Noise(1, config.num_codebooks, config.audio_vocab_size, device=model.device)
    noise.seed(0, seed)
    active = torch.ones(1, dtype=torch.bool, device=model.device)

    hidden = model.prefill(frames, 0, 0, cache)[None]
    made: list[Tensor] = []
    while True:
        codes = model.sample_frame(hidden, rows, noise.fill(active))
        if not codes.any():
            break
        made.append(codes[0])
        if len(made) == max_frames:
            break
        position = torch.tensor([length + len(made) - 1], device=model.device)
        hidden = model.backbone_step(codes, position, active, cache)
    if not made:
        return torch.empty(0, config.num_codebooks, dtype=torch.int64, device=model.device)
    return torch.stack(made)
