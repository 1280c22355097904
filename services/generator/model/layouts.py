"""The two ways a CSM's tensors are named and laid out in files, mapped onto our own.

Ours differs from both: q, k, v and gate, up are stored in one matrix each, and the depth heads are
transposed. An `Entry` is a view into one of our parameters, shaped so that a file's tensor can be
copied straight into it; a view of the same parameters serves reading, writing and tests alike.

Names: `convert_csm.py` in transformers gives the correspondence; Sesame's are torchtune's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from services.generator.model.csm import Csm
from services.generator.model.llama import Layer, Llama


class Layout(Enum):
    """Whose names a file uses."""

    HUGGING_FACE = "Hugging Face"
    SESAME = "Sesame"


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its shape there, and where it lives in the model.

    `view` has as many elements as `shape`, in the same order when both are flattened.
    """

    shape: tuple[int, ...]
    view: Tensor

    def read(self) -> Tensor:
        """Return the tensor as the file has it; shares the model's memory where it can."""
        return self.view.detach().reshape(self.shape)

    def write(self, tensor: Tensor) -> None:
        """Copy the file's tensor into the model, converting dtype and device."""
        self.view.copy_(tensor.view(self.view.shape))


def detect(names: Iterable[str]) -> Layout | None:
    """Return the layout whose text embedding is among the names, None where neither is."""
    present = set(names)
    if "embed_text_tokens.weight" in present:
        return Layout.HUGGING_FACE
    if "text_embeddings.weight" in present:
        return Layout.SESAME
    return None


def entries(model: Csm, layout: Layout) -> dict[str, Entry]:
    """Return every tensor of the layout, each mapped onto the model.

    The code embeddings appear under both of their Hugging Face names; see `aliases`.
    """
    return _hugging_face(model) if layout is Layout.HUGGING_FACE else _sesame(model)


def aliases(layout: Layout) -> dict[str, str]:
    """Return the names whose tensor is the same as another's: either may be missing from a file."""
    if layout is Layout.SESAME:
        return {}
    return {BACKBONE_TABLE: DEPTH_TABLE}


BACKBONE_TABLE = "backbone_model.embed_tokens.embed_audio_tokens.weight"
DEPTH_TABLE = "depth_decoder.model.embed_tokens.weight"


def is_ignorable(name: str) -> bool:
    """Whether a file's tensor is none of the model's: the codec's, or a table that is computed."""
    computed = ("inv_freq", "audio_tokens_offsets", "rope.theta", "rope.cache", "causal_mask")
    return name.startswith("codec_model.") or name.endswith(computed)


def part(name: str) -> str:
    """Return which part of the model a file's tensor belongs to, for counting parameters."""
    if name == "text_embeddings.weight" or name == "embed_text_tokens.weight":
        return "text embeddings"
    if name in ("audio_embeddings.weight", BACKBONE_TABLE, DEPTH_TABLE):
        return "audio embeddings"
    if name.startswith(("backbone.", "backbone_model.")):
        return "backbone"
    if name.startswith(("decoder.", "depth_decoder.model.layers.", "depth_decoder.model.norm.")):
        return "depth decoder"
    return "heads and projection"


def _whole(parameter: Tensor) -> Entry:
    return Entry(tuple(parameter.shape), parameter)


def _hugging_face(model: Csm) -> dict[str, Entry]:
    result = {
        "embed_text_tokens.weight": _whole(model.text_embeddings),
        BACKBONE_TABLE: _whole(model.audio_embeddings),
        DEPTH_TABLE: _whole(model.audio_embeddings),
        "lm_head.weight": _whole(model.lm_head.weight),
        "depth_decoder.model.inputs_embeds_projector.weight": _whole(model.depth.projection.weight),
        "depth_decoder.codebooks_head.weight": _whole(model.depth.heads.transpose(1, 2)),
    }
    for prefix, stack in (
        ("backbone_model", model.backbone),
        ("depth_decoder.model", model.depth.llama),
    ):
        result[f"{prefix}.norm.weight"] = _whole(stack.norm.weight)
        for index, layer in enumerate(stack.layers):
            q, k, v = _split_qkv(layer)
            gate, up = layer.gate_up.weight.chunk(2)
            tensors = {
                "self_attn.q_proj": q,
                "self_attn.k_proj": k,
                "self_attn.v_proj": v,
                "self_attn.o_proj": layer.attention_out.weight,
                "mlp.gate_proj": gate,
                "mlp.up_proj": up,
                "mlp.down_proj": layer.down.weight,
                "input_layernorm": layer.attention_norm.weight,
                "post_attention_layernorm": layer.mlp_norm.weight,
            }
            for name, tensor in tensors.items():
                result[f"{prefix}.layers.{index}.{name}.weight"] = _whole(tensor)
    return result


def _sesame(model: Csm) -> dict[str, Entry]:
    result = {
        "text_embeddings.weight": _whole(model.text_embeddings),
        "audio_embeddings.weight": _whole(model.audio_embeddings),
        "codebook0_head.weight": _whole(model.lm_head.weight),
        "projection.weight": _whole(model.depth.projection.weight),
        "audio_head": _whole(model.depth.heads.transpose(1, 2)),
    }
    stacks: tuple[tuple[str, Llama], ...] = (
        ("backbone", model.backbone),
        ("decoder", model.depth.llama),
    )
    for prefix, stack in stacks:
        result[f"{prefix}.norm.scale"] = _whole(stack.norm.weight)
        for index, layer in enumerate(stack.layers):
            q, k, v = _split_qkv(layer)
            gate, up = layer.gate_up.weight.chunk(2)
            tensors = {
                "attn.q_proj.weight": _interleaved(q, layer.head_dim),
                "attn.k_proj.weight": _interleaved(k, layer.head_dim),
                "attn.v_proj.weight": _whole(v),
                "attn.output_proj.weight": _whole(layer.attention_out.weight),
                "mlp.w1.weight": _whole(gate),
                "mlp.w2.weight": _whole(layer.down.weight),
                "mlp.w3.weight": _whole(up),
                "sa_norm.scale": _whole(layer.attention_norm.weight),
                "mlp_norm.scale": _whole(layer.mlp_norm.weight),
            }
            for name, entry in tensors.items():
                result[f"{prefix}.layers.{index}.{name}"] = entry
    return result


def _split_qkv(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    q_rows, kv_rows = layer.heads * layer.head_dim, layer.kv_heads * layer.head_dim
    q, k, v = layer.qkv.weight.split((q_rows, kv_rows, kv_rows))
    return q, k, v


def _interleaved(projection: Tensor, head_dim: int) -> Entry:
    """Map Sesame's RoPE pairing onto ours: rows 2i and 2i + 1 of a head are our rows i and
    i + head_dim / 2. The view is 4-D, [heads, head_dim / 2, 2, width]."""
    rows, width = projection.shape
    view = projection.view(rows // head_dim, 2, head_dim // 2, width).transpose(1, 2)
    return Entry((rows, width), view)
