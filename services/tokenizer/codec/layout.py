"""How checkpoints name and lay out the codec's tensors: Hugging Face's way and Kyutai's.

Ours follows Hugging Face's names; what differs is kept the way a step wants it: convolution
weights in window order, transposed convolutions as plain ones, q, k and v in one matrix, the
codebooks of a quantizer in one tensor. Names of both from transformers
`convert_mimi_checkpoint_to_pytorch.py` and moshi `models/loaders.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.conv import CausalConv1d, CausalConvTranspose1d
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.quantizer import ResidualQuantizer
from services.tokenizer.codec.transformer import Attention, LayerScale

_QUANTIZER_NAMES = {
    "quantizer.semantic": "quantizer.semantic_residual_vector_quantizer",
    "quantizer.acoustic": "quantizer.acoustic_residual_vector_quantizer",
}
# Hugging Face -> Kyutai, in this order; q, k and v are merged apart from these.
_KYUTAI_NAMES = (
    (r"^((?:en|de)coder)\.layers\.", r"\1.model."),
    (r"_transformer\.layers\.", "_transformer.transformer.layers."),
    (r"\.mlp\.fc([12])\.", r".linear\1."),
    (r"\.o_proj\.", ".out_proj."),
    (r"\.input_layernorm\.", ".norm1."),
    (r"\.post_attention_layernorm\.", ".norm2."),
    (r"\.self_attn_layer_scale\.", ".layer_scale_1."),
    (r"\.mlp_layer_scale\.", ".layer_scale_2."),
    (r"^quantizer\.semantic_residual_vector_quantizer\.layers\.", "quantizer.rvq_first.vq.layers."),
    (r"^quantizer\.acoustic_residual_vector_quantizer\.layers\.", "quantizer.rvq_rest.vq.layers."),
    (r"^quantizer\.semantic_residual_vector_quantizer\.", "quantizer.rvq_first."),
    (r"^quantizer\.acoustic_residual_vector_quantizer\.", "quantizer.rvq_rest."),
    (r"\.codebook\.embed_sum$", "._codebook.embedding_sum"),
    (r"\.codebook\.initialized$", "._codebook._initialized"),
    (r"\.codebook\.", "._codebook."),
)


@torch.no_grad()
def state_dict_hf(mimi: Mimi) -> dict[str, Tensor]:
    """The weights under the names and shapes of a Hugging Face `MimiModel` checkpoint.

    A CSM model directory holds the same with `codec_model.` in front of each name.
    """
    tensors: dict[str, Tensor] = {}
    for path, module in mimi.named_modules():
        for name, tensor in _export(path, module):
            tensors[name] = tensor.detach().clone().contiguous()
    return tensors


@torch.no_grad()
def load_hf(mimi: Mimi, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors`, named and shaped as `state_dict_hf` gives them, into `mimi`."""
    for path, module in mimi.named_modules():
        _import(path, module, tensors)


@torch.no_grad()
def state_dict_kyutai(mimi: Mimi) -> dict[str, Tensor]:
    """The weights under the names and shapes of Kyutai's original single file.

    Raises:
        ValueError: the config has what Kyutai's layout cannot express.
    """
    check_kyutai(mimi.config)
    tensors = state_dict_hf(mimi)
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if ".q_proj." in name:
            parts = [tensors[name.replace(".q_proj.", f".{x}_proj.")] for x in "qkv"]
            parts[:2] = [_interleave(p, mimi.config.head_dim) for p in parts[:2]]
            merged = name.replace(".q_proj.weight", ".in_proj_weight")
            renamed[kyutai_name(merged, mimi)] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            renamed[kyutai_name(name, mimi)] = tensor
    return renamed


@torch.no_grad()
def kyutai_to_hf(mimi: Mimi, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Kyutai's tensors under Hugging Face's names; `mimi` gives the structure.

    The flags `initialized` stay away: they say nothing about the function.
    """
    config = mimi.config
    query_size = config.num_attention_heads * config.head_dim
    kv_size = config.num_key_value_heads * config.head_dim
    renamed: dict[str, Tensor] = {}
    for path, module in mimi.named_modules():
        for name, _ in _export(path, module):
            if name.endswith(".initialized"):
                continue
            if ".q_proj." in name:
                merged_name = name.replace(".q_proj.weight", ".in_proj_weight")
                merged = tensors[kyutai_name(merged_name, mimi)]
                query, key, value = merged.split([query_size, kv_size, kv_size])
                renamed[name] = _halve(query, config.head_dim)
                renamed[name.replace(".q_proj.", ".k_proj.")] = _halve(key, config.head_dim)
                renamed[name.replace(".q_proj.", ".v_proj.")] = value
            elif ".k_proj." not in name and ".v_proj." not in name:
                renamed[name] = tensors[kyutai_name(name, mimi)]
    return renamed


def check_kyutai(config: MimiConfig) -> None:
    """Refuse a config that Kyutai's layout cannot express.

    Raises:
        ValueError: names the field, its value and what is allowed.
    """
    if config.attention_bias:
        raise ValueError("attention_bias is True; allowed in Kyutai's layout: False")
    if config.head_dim * config.num_attention_heads != config.hidden_size:
        raise ValueError(
            f"head_dim is {config.head_dim}; allowed in Kyutai's layout: hidden_size / "
            f"num_attention_heads ({config.hidden_size} / {config.num_attention_heads})"
        )
    if config.codebook_dim == config.hidden_size:
        raise ValueError(
            f"codebook_dim is {config.codebook_dim}; allowed in Kyutai's layout: anything but "
            f"hidden_size ({config.hidden_size}), for it always projects"
        )


def kyutai_name(name: str, mimi: Mimi) -> str:
    """Kyutai's name for a tensor of a Hugging Face checkpoint (`in_proj_weight` for q, k, v)."""
    if ".conv." in name:
        path = name.rpartition(".conv.")[0]
        transposed = isinstance(mimi.get_submodule(path), CausalConvTranspose1d)
        wrapped = "convtr.convtr" if transposed else "conv.conv"
        if path in ("downsample", "upsample"):
            wrapped += "." + wrapped.partition(".")[0]
        name = name.replace(".conv.", f".{wrapped}.")
    for pattern, replacement in _KYUTAI_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _export(path: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    if isinstance(module, CausalConvTranspose1d):
        groups, phases = module.groups, module.upsampling
        taps = module.weight.view(groups, phases, -1, 2, module.in_channels // groups)
        taps = taps.flip(3).permute(0, 4, 2, 3, 1)
        yield f"{path}.conv.weight", taps.reshape(module.in_channels, -1, 2 * phases)
    elif isinstance(module, CausalConv1d):
        yield f"{path}.conv.weight", module.weight.transpose(1, 2)
    elif isinstance(module, Attention):
        yield f"{path}.o_proj.weight", module.o_proj.weight
        if module.o_proj.bias is not None:
            yield f"{path}.o_proj.bias", module.o_proj.bias
        for kind in ("weight", "bias"):
            fused = getattr(module.qkv_proj, kind)
            if fused is not None:
                for letter, part in zip("qkv", _split_qkv(module, fused), strict=True):
                    yield f"{path}.{letter}_proj.{kind}", part
    elif isinstance(module, LayerScale):
        yield f"{path}.scale", module.scale
    elif isinstance(module, nn.LayerNorm):
        yield f"{path}.weight", module.weight
        yield f"{path}.bias", module.bias
    elif isinstance(module, nn.Linear) and ".mlp." in path:
        yield f"{path}.weight", module.weight
    elif isinstance(module, ResidualQuantizer):
        path = _QUANTIZER_NAMES[path]
        for name in ("input_proj", "output_proj"):
            projection = getattr(module, name)
            if projection is not None:
                yield f"{path}.{name}.weight", projection.weight[..., None]
        for index in range(module.num_codebooks):
            book = f"{path}.layers.{index}.codebook"
            yield f"{book}.cluster_usage", module.cluster_usage[index]
            yield f"{book}.embed_sum", module.embed_sum[index]
            yield f"{book}.initialized", module.embed_sum.new_ones(1)
    if isinstance(module, CausalConv1d) and module.bias is not None:
        yield f"{path}.conv.bias", module.bias


def _import(path: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    if isinstance(module, CausalConvTranspose1d):
        groups, phases = module.groups, module.upsampling
        taps = tensors[f"{path}.conv.weight"]
        taps = taps.view(groups, module.in_channels // groups, -1, 2, phases)
        taps = taps.permute(0, 4, 2, 3, 1).flip(3)
        module.weight.copy_(taps.reshape(module.weight.shape))
    elif isinstance(module, CausalConv1d):
        module.weight.copy_(tensors[f"{path}.conv.weight"].transpose(1, 2))
    elif isinstance(module, ResidualQuantizer):
        path = _QUANTIZER_NAMES[path]
        if module.input_proj is not None and module.output_proj is not None:
            module.input_proj.weight.copy_(tensors[f"{path}.input_proj.weight"][..., 0])
            module.output_proj.weight.copy_(tensors[f"{path}.output_proj.weight"][..., 0])
        for index in range(module.num_codebooks):
            book = f"{path}.layers.{index}.codebook"
            module.cluster_usage[index].copy_(tensors[f"{book}.cluster_usage"])
            module.embed_sum[index].copy_(tensors[f"{book}.embed_sum"])
        module.refresh()
    elif isinstance(module, Attention | LayerScale | nn.LayerNorm | nn.Linear):
        # Their exports are views of what they hold.
        for name, target in _export(path, module):
            target.copy_(tensors[name])
    if isinstance(module, CausalConv1d) and module.bias is not None:
        module.bias.copy_(tensors[f"{path}.conv.bias"])


def _split_qkv(module: Attention, fused: Tensor) -> tuple[Tensor, ...]:
    query_size = module.num_heads * module.head_dim
    kv_size = module.num_kv_heads * module.head_dim
    return fused.split([query_size, kv_size, kv_size])


def _halve(weight: Tensor, head_dim: int) -> Tensor:
    """Rows of each head from RoPE pairs (2 i, 2 i + 1) to pairs (i, i + head_dim / 2)."""
    return weight.view(-1, head_dim // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _interleave(weight: Tensor, head_dim: int) -> Tensor:
    """The inverse of `_halve`."""
    return weight.view(-1, 2, head_dim // 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
