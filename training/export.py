"""The stage `export`: what was trained, as a model directory in Hugging Face's CSM layout.

`training.json` beside it says what it was made of, `voices.json` who speaks, `NOTICE` after whom.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from services.generator.model import weights
from services.generator.model.csm import Csm
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.weights import state_dict_hf
from training import provenance
from training.arguments import parser
from training.codec.polish import polished_codec
from training.corpus.teachers.origin import write_origins
from training.language_model.run import trained_model
from training.language_model.sampling import SAMPLING
from training.tokenizer import build_tokenizer

# A turn of the longest sentence trained on (14 s), and a little more.
_MOST_FRAMES = 190


def export(codec: Mimi, model: Csm, directory: Path) -> Path:
    """Write `directory`: `config.json`, `generation_config.json`, `tokenizer.json`, and in fp16
    `lm.safetensors`, `enc.safetensors` and `dec.safetensors` with their index. Files beside them
    (`MODEL_CARD.md`) are left alone.

    Raises:
        ValueError: codec and model do not belong together.
    """
    for name in ("num_codebooks", "codebook_size"):
        ours, theirs = getattr(model.config, name), getattr(codec.config, name)
        if ours != theirs:
            raise ValueError(
                f"{name} is {ours} in the language model; allowed: the codec's {theirs}"
            )
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer.json"
        build_tokenizer().save(str(tokenizer), pretty=False)
        weights.save(
            _exported(model),
            directory,
            tokenizer_json=tokenizer,
            generation_config=_generation_config(model),
            extra_tensors=_codec_tensors(codec),
            codec_config=codec.config.to_dict(),
            shard_of=shard_of,
        )
    return directory


def _exported(model: Csm) -> Csm:
    """A copy in fp16, of bfloat16's precision, whose depth decoder never finds a code that no audio
    has the likeliest.

    That precision packs to 18.8 MB instead of 22.5 in a repository's history; pico's losses on
    validation sentences moved by less than 0.002 nats.

    The rows of the heads for the codes that no audio has are hardly trained, and Muon moves them
    all the same. Our sampler leaves them out; transformers' does not. A row that is the mean of the
    real codes' rows has the mean of their logits, which is no more than the largest.
    """
    model = copy.deepcopy(model).bfloat16().half()
    size = model.config.codebook_size
    heads = model.depth.heads
    with torch.no_grad():
        heads[:, size:] = heads[:, :size].float().mean(dim=1, keepdim=True)
    return model


def shard_of(name: str) -> str:
    """The file of a tensor: what is trained further alone can be replaced alone, which keeps the
    history of a repository small. Short names: every tensor in the index repeats one.
    """
    if not name.startswith("codec_model."):
        return "lm.safetensors"
    decodes = name.startswith(("codec_model.decoder", "codec_model.upsample"))
    return "dec.safetensors" if decodes else "enc.safetensors"


def _codec_tensors(codec: Mimi) -> dict[str, Tensor]:
    """The codec's tensors in fp16; codebooks as vectors used once each, not as running sums.

    A sum and its count rounded apart would give another vector than the one trained with.
    """
    codec = copy.deepcopy(codec)
    for part in (codec.quantizer.semantic, codec.quantizer.acoustic):
        part.set_codebooks(part.codebooks.clone())
    return {
        f"codec_model.{name}": tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state_dict_hf(codec).items()
    }


def _generation_config(model: Csm) -> dict[str, object]:
    ids = model.config.token_ids
    return {
        "bos_token_id": ids.bos_token_id,
        "eos_token_id": ids.eos_token_id,
        "pad_token_id": ids.pad_token_id,
        "do_sample": True,
        "temperature": SAMPLING.temperature,
        "top_k": SAMPLING.top_k,
        "depth_decoder_do_sample": True,
        "depth_decoder_temperature": SAMPLING.depth_temperature,
        "depth_decoder_top_k": SAMPLING.top_k,
        "max_new_tokens": _MOST_FRAMES,
    }


def main() -> None:
    arguments = parser("export", "Write what was trained as a model directory.")
    arguments.add_argument("--out", type=Path, default=Path("models/pico"), help="model directory")
    given = arguments.parse_args()
    torch.set_grad_enabled(False)
    export(polished_codec(given.work), trained_model(given.work), given.out)
    provenance.write(given.work, given.out)
    write_origins(given.out)
    size_mb = sum(f.stat().st_size for f in given.out.iterdir()) / 1e6
    print(f"{given.out}: {size_mb:.1f} MB")


if __name__ == "__main__":
    main()
