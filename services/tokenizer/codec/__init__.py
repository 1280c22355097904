"""Mimi, the codec: audio to frames of codes and back, at once or as it arrives."""

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.layout import state_dict_hf, state_dict_kyutai
from services.tokenizer.codec.mimi import DecoderState, EncoderState, Mimi
from services.tokenizer.codec.random import create
from services.tokenizer.codec.weights import CodecWeightsError, load, read_config

__all__ = [
    "CodecWeightsError",
    "DecoderState",
    "EncoderState",
    "Mimi",
    "MimiConfig",
    "create",
    "load",
    "read_config",
    "state_dict_hf",
    "state_dict_kyutai",
]
