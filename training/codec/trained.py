"""What the stage `codec` trains, and which of it goes by which optimizer."""

from __future__ import annotations

import torch
from torch import nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.random import create
from training.codec.data import LABELS_PER_FRAME
from training.corpus.store import PHONES


class CodecTraining(nn.Module):
    """What is trained: the codec, and readers of phones and pitch that are dropped afterwards."""

    def __init__(self, config: MimiConfig, seed: int) -> None:
        super().__init__()
        self.mimi = create(config, seed=seed).train()
        self.phones = nn.Linear(config.codebook_dim, LABELS_PER_FRAME * len(PHONES))
        # Octaves above 100 Hz and whether there is a voice, at the places of the phones.
        self.pitch = nn.Linear(config.hidden_size, 2 * LABELS_PER_FRAME)
        with torch.no_grad():
            # As drawn, the last convolutions give audio and latents far too large to start from.
            for module, scale in ((self.mimi.decoder, 0.03), (self.mimi.encoder, 0.3)):
                module.layers[-1].get_parameter("weight").mul_(scale)
            for transformer in (self.mimi.encoder_transformer, self.mimi.decoder_transformer):
                for name, parameter in transformer.named_parameters():
                    if "layer_scale" in name:
                        parameter.fill_(config.layer_scale_initial_scale)


def adam_names(mimi: Mimi) -> tuple[str, ...]:
    """Parts of the names of weights that are no matrices inside: heads, and what is one channel
    wide on a side."""
    last = len(mimi.decoder.layers) - 1
    return (
        *("phones.", "pitch.", "upsample.", "input_proj.", "output_proj."),
        *("encoder.layers.0.", f"decoder.layers.{last}."),
    )
