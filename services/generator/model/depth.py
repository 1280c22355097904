"""The depth decoder: from one hidden state of the backbone to the rest of a frame.

Position 0 is the backbone's hidden state, position i + 1 the embedding of code i; the hidden state
at position i, through head i - 1, gives code i. The last code is not fed (Sesame's `models.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from services.generator.model.attention import KVBuffers
from services.generator.model.llama import Llama
from services.generator.model.llama_config import LlamaConfig
from services.generator.model.rows import Linear, linear


class DepthDecoder(nn.Module):
    """A small Llama over the codebooks of one frame, with a head of its own for each but the first.

    `heads` is [num_codebooks - 1, vocab, width]: transposed against the files of both layouts, so
    that a head is read row by row. The code embeddings are the backbone's and are passed in.
    """

    def __init__(
        self,
        config: LlamaConfig,
        *,
        backbone_width: int,
        num_codebooks: int,
        vocab_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_codebooks, self.vocab_size = num_codebooks, vocab_size
        self.projection = Linear(backbone_width, config.width, device=device, dtype=dtype)
        self.llama = Llama(config, device=device, dtype=dtype)
        shape = (num_codebooks - 1, vocab_size, config.width)
        self.heads = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

    def logits(self, hidden: Tensor, codes: Tensor, table: Tensor) -> Tensor:
        """Return the logits of codebooks 1 onwards, given the true codes before each.

        Differentiable; frames are independent of each other.

        Args:
            hidden: [frames, backbone width], the backbone's state each frame grows from.
            codes: int64 [frames, num_codebooks]; the last column is not read.
            table: the code embeddings [num_codebooks * vocab, backbone width].

        Returns:
            [frames, num_codebooks - 1, vocab]
        """
        offsets = torch.arange(self.num_codebooks - 1, device=codes.device) * self.vocab_size
        embedded = nn.functional.embedding(codes[:, :-1] + offsets, table)
        states = self.llama(self.projection(torch.cat((hidden[:, None], embedded), dim=1)))
        heads = self.heads.unbind(0)
        return torch.stack(
            [linear(states[:, index + 1], head) for index, head in enumerate(heads)], dim=1
        )

    def complete(
        self,
        hidden: Tensor,
        first_codes: Tensor,
        table: Tensor,
        cache: KVBuffers,
        draw: Callable[[int, Tensor], Tensor],
    ) -> Tensor:
        """Draw the rest of each row's frame, num_codebooks - 1 passes in fixed shapes.

        Args:
            hidden: [slots, backbone width].
            first_codes: int64 [slots], codebook 0.
            table: the code embeddings [num_codebooks * vocab, backbone width].
            cache: of num_codebooks positions for as many slots; what it held is overwritten.
            draw: called with the codebook's index and logits [slots, vocab], returns int64 [slots].

        Returns:
            int64 [slots, num_codebooks], `first_codes` first.
        """
        codes = [first_codes]
        inputs = torch.stack((hidden, nn.functional.embedding(first_codes, table)), dim=1)
        start = 0
        for index in range(1, self.num_codebooks):
            states = self.llama.uniform_step(self.projection(inputs), start, cache)
            codes.append(draw(index, linear(states[:, -1], self.heads[index - 1])))
            start = index + 1
            if start < self.num_codebooks:
                offset = index * self.vocab_size
                inputs = nn.functional.embedding(codes[-1] + offset, table)[:, None]
        return torch.stack(codes, dim=1)
