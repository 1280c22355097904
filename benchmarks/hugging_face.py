"""transformers' CSM on the very tensors of ours: the oracle of tests, the peer of benchmarks."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModel, CsmForConditionalGeneration
from transformers import CsmConfig as HfConfig
from transformers.models.csm.modeling_csm import CsmRotaryEmbedding

from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm


def codec_config(config: CsmConfig) -> dict[str, object]:
    """Return a tiny Mimi for transformers, of the config's codebooks: 12.5 frames a second."""
    return {
        "model_type": "mimi",
        "hidden_size": 16,
        "num_filters": 2,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 24,
        "codebook_size": config.codebook_size,
        "codebook_dim": 8,
        "vector_quantization_hidden_dimension": 8,
        "upsample_groups": 16,
        "num_quantizers": config.num_codebooks,
        "num_semantic_quantizers": 1,
    }


def oracle(model: Csm) -> CsmForConditionalGeneration:
    """Return transformers' model whose parameters are views of ours: no second copy."""
    values = model.config.to_dict(codec_config(model.config))
    config: Any = HfConfig.from_dict({key: values[key] for key in values if key != "architectures"})
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        theirs = CsmForConditionalGeneration(config)
    # What is computed, not loaded, and the codec, were left on the meta device.
    torch.manual_seed(0)
    theirs.codec_model = AutoModel.from_config(config.codec_config)
    for name, buffer in theirs.codec_model.named_buffers():
        if name.endswith("embed_sum"):
            buffer.normal_()
    theirs.backbone_model.rotary_emb = CsmRotaryEmbedding(config)
    theirs.depth_decoder.model.rotary_emb = CsmRotaryEmbedding(config.depth_decoder_config)
    offsets = torch.arange(config.num_codebooks) * config.vocab_size
    theirs.backbone_model.embed_tokens.audio_tokens_offsets = offsets
    missing, unexpected = theirs.load_state_dict(
        weights.state_dict_hf(model), strict=False, assign=True
    )
    if unexpected or any(not name.startswith("codec_model.") for name in missing):
        raise AssertionError(f"missing {missing}, unexpected {unexpected}")
    return theirs.eval()
