"""Split residual vector quantization: latents to codes and back.

Two residual quantizers read the same latents: the first codebooks (semantic) and the others
(acoustic); their outputs add up (Moshi, arXiv 2410.00037, section 3.3; moshi `quantization/`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.linear import linear

# Kyutai and Hugging Face keep a codebook as a running sum and a usage count.
_USAGE_FLOOR = 1e-5


class ResidualQuantizer(nn.Module):
    """`num_codebooks` codebooks, each quantizing what the ones before it left over.

    `embed_sum` `[codebooks, codebook_size, codebook_dim]` and `cluster_usage`
    `[codebooks, codebook_size]` are what checkpoints hold; `codebooks` is their quotient. Whoever
    changes the first two calls `refresh`.
    """

    embed_sum: Tensor
    cluster_usage: Tensor
    codebooks: Tensor
    half_norms: Tensor

    def __init__(self, config: MimiConfig, num_codebooks: int) -> None:
        super().__init__()
        size, dim = config.codebook_size, config.codebook_dim
        self.num_codebooks, self.codebook_size = num_codebooks, size
        self.input_proj: nn.Linear | None = None
        self.output_proj: nn.Linear | None = None
        if dim != config.hidden_size:
            self.input_proj = nn.Linear(config.hidden_size, dim, bias=False)
            self.output_proj = nn.Linear(dim, config.hidden_size, bias=False)
        self.register_buffer("embed_sum", torch.zeros(num_codebooks, size, dim))
        self.register_buffer("cluster_usage", torch.ones(num_codebooks, size))
        self.register_buffer("codebooks", torch.zeros(num_codebooks, size, dim), persistent=False)
        self.register_buffer("half_norms", torch.zeros(num_codebooks, size), persistent=False)
        self.register_load_state_dict_post_hook(lambda module, _: module.refresh())

    @torch.no_grad()
    def refresh(self) -> None:
        """Work the codebooks out again from `embed_sum` and `cluster_usage`."""
        usage = self.cluster_usage.clamp(min=_USAGE_FLOOR)
        self.codebooks = self.embed_sum / usage[..., None]
        self.half_norms = self.codebooks.square().sum(-1) / 2

    @torch.no_grad()
    def set_codebooks(self, codebooks: Tensor) -> None:
        """Take `codebooks` `[codebooks, codebook_size, codebook_dim]` as they are, usage one."""
        self.embed_sum.copy_(codebooks)
        self.cluster_usage.fill_(1.0)
        self.refresh()

    def project(self, latents: Tensor) -> Tensor:
        """`[rows, frames, hidden_size]` to the codebooks' space `[rows, frames, codebook_dim]`."""
        return latents if self.input_proj is None else linear(latents, self.input_proj.weight)

    def encode(self, latents: Tensor) -> Tensor:
        """`[rows, frames, hidden_size]` to codes, int64 `[rows, codebooks, frames]`."""
        residual = self.project(latents)
        codes = []
        for codebook, half_norms in zip(self.codebooks, self.half_norms, strict=True):
            # The nearest is where |r - c|^2 / 2 is smallest; |r|^2 is the same for all.
            code = torch.argmax(linear(residual, codebook, -half_norms), dim=-1)
            codes.append(code)
            residual = residual - F.embedding(code, codebook)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[rows, k, frames]`, k up to `num_codebooks`, to `[rows, frames, hidden_size]`."""
        rows, count, frames = codes.shape
        first = torch.arange(count, device=codes.device)[:, None] * self.codebook_size
        index = (codes + first).transpose(1, 2).reshape(rows * frames, count)
        total = F.embedding_bag(index, self.codebooks.flatten(0, 1), mode="sum")
        total = total.view(rows, frames, -1)
        return total if self.output_proj is None else linear(total, self.output_proj.weight)


class SplitQuantizer(nn.Module):
    """The semantic and the acoustic quantizer side by side."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.num_semantic = config.num_semantic_codebooks
        self.semantic = ResidualQuantizer(config, self.num_semantic)
        self.acoustic = ResidualQuantizer(config, config.num_acoustic_codebooks)

    def encode(self, latents: Tensor) -> Tensor:
        """`[rows, frames, hidden_size]` to codes, int64 `[rows, codebooks, frames]`."""
        latents = latents.to(self.semantic.codebooks.dtype)
        return torch.cat([self.semantic.encode(latents), self.acoustic.encode(latents)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[rows, k, frames]` to `[rows, frames, hidden_size]`; fewer codebooks, coarser."""
        latents = self.semantic.decode(codes[:, : self.num_semantic])
        if codes.shape[1] > self.num_semantic:
            latents = latents + self.acoustic.decode(codes[:, self.num_semantic :])
        return latents
