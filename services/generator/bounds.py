"""What a model takes of this machine's memory, known before any of it is read."""

from __future__ import annotations

import torch

from services.generator.loading import torch_dtype
from services.generator.model.config import CsmConfig
from services.generator.model.hub import ModelDescription
from services.generator.model.llama_config import LlamaConfig
from services.generator.settings import GeneratorSettings

_FP32_BYTES = 4


def memory_bytes(description: ModelDescription, settings: GeneratorSettings) -> dict[str, int]:
    """Return bytes of the host's memory by what they are for; empty where the model is on CUDA.

    `weights` and `KV cache` are there from the start to the end; `loading` is what reading and
    packing a part of the model take beside them for a moment.

    Args:
        description: of the model directory (`hub.describe`).
        settings: device, dtype, native, slots and positions are read.
    """
    cuda = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    if cuda:
        return {}
    config = description.config
    dtype = torch_dtype(settings.dtype, "cpu", description.parameters)
    parts = description.parameters_by_part
    tables = parts.get("text embeddings", 0) + parts.get("audio embeddings", 0)
    packed = 1 if settings.dtype == "int8" else dtype.itemsize
    weights = tables * dtype.itemsize + (description.parameters - tables) * packed
    positions = settings.max_positions or config.backbone.max_positions
    cache = settings.slots * positions * _position_elements(config.backbone) * dtype.itemsize
    # As a whole by torch, tensor by tensor; layer by layer where it is packed. The cache is made
    # when all is loaded.
    loading = 0 if settings.native == "off" else _largest_part_bytes(config, dtype.itemsize)
    return {"weights": weights, "KV cache": cache, "loading": max(0, loading - cache)}


def _position_elements(stack: LlamaConfig) -> int:
    """Numbers that one position of one slot takes in the cache: keys and values of all layers."""
    return 2 * stack.layers * stack.kv_heads * stack.head_dim


def _largest_part_bytes(config: CsmConfig, itemsize: int) -> int:
    """A layer, or all heads of the depth decoder, as it is read, and one matrix of it in fp32."""
    stack = config.backbone
    gate_up = 2 * stack.ffn_width * stack.width
    attention = (2 * stack.heads + 2 * stack.kv_heads) * stack.head_dim * stack.width
    layer = attention + gate_up + stack.ffn_width * stack.width
    head = config.audio_vocab_size * config.depth.width
    heads = (config.num_codebooks - 1) * head
    return max(layer * itemsize + gate_up * _FP32_BYTES, heads * itemsize + head * _FP32_BYTES)
