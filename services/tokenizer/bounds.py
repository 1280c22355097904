"""What a codec takes of this machine's memory, known before its weights are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from services.tokenizer.codec import Mimi, MimiConfig
from services.tokenizer.native.select import weights_for
from services.tokenizer.settings import TokenizerSettings
from services.tokenizer.stream import MAX_UNREAD_FRAMES, MAX_WAITING_FRAMES

LARGE_MESSAGES_AT_ONCE = 8
"""Messages of the largest size that arrive at the same moment: those of live audio are small, and
a file, once it is there, is counted as such."""
_FP32_BYTES = 4


def memory_bytes(config: MimiConfig, settings: TokenizerSettings) -> dict[str, int]:
    """Return bytes of the host's memory by what they are for; the codec's own only on CPUs.

    `weights` and `stream states` are there from the start to the end; `loading` is what reading and
    packing take beside them for a moment; the others clients may use.

    Args:
        config: of the codec (`codec.read_config`).
        settings: device, native, dtype and what clients may use are read.
    """
    frame_bytes = config.frame_samples * config.audio_channels * _FP32_BYTES
    queue_bytes = (MAX_WAITING_FRAMES + MAX_UNREAD_FRAMES) * frame_bytes
    clients = {
        "files": settings.max_files_bytes,
        "audio in streams": 2 * settings.max_streams * queue_bytes,
        "messages": LARGE_MESSAGES_AT_ONCE * settings.max_message_bytes,
    }
    if settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available()):
        return clients
    return {**_codec_bytes(config, settings), **clients}


def _codec_bytes(config: MimiConfig, settings: TokenizerSettings) -> dict[str, int]:
    # Sizes alone: nothing is allocated.
    with torch.device("meta"):
        mimi = Mimi(config)
        states = [mimi.encoder_state(1), mimi.decoder_state(1)]
    whole = _module_bytes(mimi)
    held = whole if settings.native == "off" else _packed_bytes(mimi, settings)
    # Read as a whole by torch, then, where it is native, packed from that.
    read = whole + sum(p.numel() * _FP32_BYTES for p in mimi.parameters())
    loading = max(read, whole if settings.native == "off" else whole + held) - held
    return {
        "weights": held,
        "stream states": settings.max_streams * sum(map(_state_bytes, states)),
        "loading": loading,
    }


def _packed_bytes(mimi: Mimi, settings: TokenizerSettings) -> int:
    """What the native library holds, and the codebooks, which it reads where they are."""
    config = mimi.config
    parameters = sum(p.numel() for p in mimi.parameters())
    bf16 = weights_for(parameters, settings.dtype) == "bf16"
    encoder = _module_bytes(mimi.encoder, mimi.encoder_transformer, mimi.downsample)
    decoder = _module_bytes(mimi.decoder, mimi.decoder_transformer)
    # The upsampling is packed as one dense matrix, whatever its groups.
    upsample = 2 * config.resample_stride * config.hidden_size**2 * _FP32_BYTES
    if mimi.upsample is not None:
        decoder += upsample
    books = [mimi.quantizer.semantic.codebooks, mimi.quantizer.acoustic.codebooks]
    # Beside them a coarse copy in bytes, with a few numbers a word, for the search.
    codebooks = sum(map(_tensor_bytes, books)) * 3 // 2
    return encoder + (decoder // 2 if bf16 else decoder) + codebooks


def _module_bytes(*modules: nn.Module | None) -> int:
    return sum(
        _tensor_bytes(tensor)
        for module in modules
        if module is not None
        for tensors in (module.parameters(), module.buffers())
        for tensor in tensors
    )


def _state_bytes(state: Any) -> int:
    """Bytes of all tensors of a state, however deep."""
    if isinstance(state, Tensor):
        return _tensor_bytes(state)
    if dataclasses.is_dataclass(state):
        fields = dataclasses.fields(state)
        return sum(_state_bytes(getattr(state, field.name)) for field in fields)
    if isinstance(state, Iterable) and not isinstance(state, str):
        return sum(map(_state_bytes, state))
    return 0


def _tensor_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
