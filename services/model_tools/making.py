"""Models of random weights, complete enough to run: weights, codec, tokenizer, defaults."""

from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.decoders import ByteLevel
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing

from services.generator.model import weights
from services.generator.model.config import CsmConfig, TokenIds
from services.generator.model.generation_config import GenerationDefaults
from services.model_tools.parts import TOKENIZER, codec_config, read_json, shipped_voice
from services.tokenizer.codec import weights as codec_weights
from services.tokenizer.codec.config import MimiConfig

_BYTES = 256
_BOS, _EOS = _BYTES, _BYTES + 1


def make(
    shape: str, directory: Path, *, seed: int, dtype: str, tokenizer: Path | None
) -> dict[str, str]:
    """Writes a model directory of random weights; returns what it is in words.

    `shape` is `csm-1b`, `pico` or the path of a config.json; `dtype` torch's name. Raises
    `ValueError` or a ValueError that names what is wrong.
    """
    config = CsmConfig.named(shape)
    codec_sizes = _codec_sizes(shape, config)
    if tokenizer is None and shape == "pico":
        tokenizer = shipped_voice() / TOKENIZER
    if tokenizer is not None and not tokenizer.is_file():
        raise ValueError(f"{tokenizer}: no such file")
    if tokenizer is None:
        config = replace(config, token_ids=_byte_token_ids(config))
    directory.mkdir(parents=True, exist_ok=True)
    model = weights.create(config, seed=seed, dtype=getattr(torch, dtype))
    mimi = codec_weights.create(codec_sizes, seed=seed)
    tensors = codec_weights.state_dict_hf(mimi)
    weights.save(
        model,
        directory,
        tokenizer_json=tokenizer,
        generation_config=GenerationDefaults().to_dict(),
        extra_tensors={f"codec_model.{name}": tensor for name, tensor in tensors.items()},
        codec_config=codec_sizes.to_dict(),
    )
    if tokenizer is None:
        byte_tokenizer().save(str(directory / TOKENIZER))
    count = sum(parameter.numel() for parameter in model.parameters())
    return {
        "shape": shape,
        "parameters": f"{count:,} {dtype}, random, seed {seed}",
        "codec": f"{codec_sizes.num_codebooks} codebooks of {codec_sizes.codebook_size}",
        "tokenizer": str(tokenizer) if tokenizer else "one token a byte",
    }


def _codec_sizes(shape: str, config: CsmConfig) -> MimiConfig:
    if shape == "pico":
        return codec_config(shipped_voice())
    if shape != "csm-1b" and isinstance(read_json(Path(shape)).get("codec_config"), dict):
        file = Path(shape)
        try:
            sizes = MimiConfig.from_dict(read_json(file)["codec_config"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}: codec_config: {error}") from None
    else:
        sizes = MimiConfig.mimi()
    return replace(sizes, num_codebooks=config.num_codebooks, codebook_size=config.codebook_size)


def _byte_token_ids(config: CsmConfig) -> TokenIds:
    if config.text_vocab_size <= _EOS:
        raise ValueError(
            f"text_vocab_size {config.text_vocab_size} is too small for a tokenizer of bytes "
            f"({_EOS + 1} tokens); give --tokenizer"
        )
    others = (config.token_ids.pad_token_id, config.token_ids.audio_token_id,
              config.token_ids.audio_eos_token_id)  # fmt: skip
    kept = (x if x is not None and x < config.text_vocab_size else None for x in others)
    return TokenIds(_BOS, _EOS, *kept)


def byte_tokenizer() -> Tokenizer:
    """One token for each byte of UTF-8, BOS and EOS around: it can spell any text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    vocabulary |= {"<|begin_of_text|>": _BOS, "<|end_of_text|>": _EOS}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = ByteLevel()
    tokenizer.post_processor = TemplateProcessing(
        single="<|begin_of_text|> $A <|end_of_text|>",
        special_tokens=[("<|begin_of_text|>", _BOS), ("<|end_of_text|>", _EOS)],
    )
    return tokenizer
