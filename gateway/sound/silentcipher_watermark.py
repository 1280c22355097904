"""The watermark of the package silentcipher: `watermark=gateway.sound.silentcipher_watermark:make`.

The key is a message of 40 bits, five numbers of 0..255. The package brings torch into the process
that uses it, and fetches its weights from the Hugging Face hub when it is first used. It marks a
whole recording; here it is given blocks, each a whole number of periods of its message, so that the
message goes on from block to block.
"""

import importlib
import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.sound.seams import fade_in, fade_out
from gateway.sound.watermark import Detection

Samples = NDArray[np.float32]

MESSAGE_BYTES = 5
MODEL_TYPE = "44.1k"
MIN_BLOCK_S = 1.0
"""What a turn's first audio waits for, until so much of it is made."""


def make(key: str) -> "SilentCipher":
    """The watermark with that message. Raises `ValueError`, `ImportError`."""
    return SilentCipher(message_of(key), importlib.import_module("silentcipher"))


def message_of(key: str) -> list[int]:
    """The message that a key names; raises `ValueError` without repeating it."""
    parts = key.replace(",", " ").split()
    if not all(part.isdecimal() and int(part) < 256 for part in parts) or (
        len(parts) != MESSAGE_BYTES
    ):
        raise ValueError(f"the key is not allowed; allowed are {MESSAGE_BYTES} numbers of 0..255")
    return [int(part) for part in parts]


class SilentCipher:
    """A `Watermark`."""

    name = "silentcipher"

    def __init__(self, message: list[int], package: Any) -> None:
        """`package` has silentcipher's `get_model`."""
        self._message = message
        self._model = package.get_model(model_type=MODEL_TYPE, device="cpu")
        config = self._model.config
        period_s = config.message_len * config.HOP_LENGTH / self._model.sr
        self._block_s = period_s * math.ceil(MIN_BLOCK_S / period_s)
        # The model notes the length of what it works on in itself.
        self._lock = threading.Lock()

    def stream(self, rate_hz: int) -> "SilentCipherStream":
        """For one turn."""
        return SilentCipherStream(self, max(1, round(self._block_s * rate_hz)), rate_hz)

    def detect(self, samples: Samples, rate_hz: int) -> Detection:
        """Whether samples [N] carry the message."""
        best = 0.0
        for shifted in (False, True):
            with self._lock:
                result = self._model.decode_wav(samples, rate_hz, phase_shift_decoding=shifted)
            found = zip(result["messages"], result["confidences"], strict=True)
            best = max([best, *(float(sure) for told, sure in found if told == self._message)])
            if best:
                break
        return Detection(best > 0, best)

    def mark_of(self, samples: Samples, rate_hz: int) -> Samples:
        """What marks samples [N]: to be added to them."""
        if not samples.any():
            return np.zeros_like(samples)
        with self._lock:
            marked, _ = self._model.encode_wav(
                samples,
                rate_hz,
                self._message,
                message_sdr=self._model.config.message_sdr,
                calc_sdr=False,
            )
        # Its way to its own rate and back may end a sample early or late.
        marked = np.asarray(marked, np.float32)[: len(samples)]
        mark = np.zeros_like(samples)
        mark[: len(marked)] = marked - samples[: len(marked)]
        return mark


class SilentCipherStream:
    """A `WatermarkStream`."""

    def __init__(self, watermark: SilentCipher, block: int, rate_hz: int) -> None:
        self._watermark = watermark
        self._block = block
        self._rate_hz = rate_hz
        self._waiting = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> Samples:
        """The blocks that are complete with these samples."""
        self._waiting = np.concatenate([self._waiting, samples])
        made = []
        while len(self._waiting) >= self._block:
            made.append(self._marked(self._waiting[: self._block]))
            self._waiting = self._waiting[self._block :]
        return np.concatenate(made) if made else np.zeros(0, np.float32)

    def finish(self) -> Samples:
        """The last block, however short."""
        rest, self._waiting = self._waiting, np.zeros(0, np.float32)
        if not len(rest):
            return rest
        whole = np.concatenate([rest, np.zeros(self._block - len(rest), np.float32)])
        return self._marked(whole)[: len(rest)]

    def _marked(self, block: Samples) -> Samples:
        mark = self._watermark.mark_of(block, self._rate_hz)
        # The mark of one block does not go on in the next: no click where they meet.
        return block + fade_out(fade_in(mark, self._rate_hz), self._rate_hz)
