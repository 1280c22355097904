"""The codes of spoken frames, for clients of the WebSocket that ask for them."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from csm import errors
from csm.audio.frames import WIRE_DTYPE
from gateway.backends.backends import Info
from gateway.speaking.events import Audio

FIELD = "codes"


def wants_codes(config: MutableMapping[str, Any]) -> bool:
    """Takes the field `codes`, which gRPC has not, out of a config. Raises `InvalidArgument`."""
    wanted = config.pop(FIELD, None)
    if wanted is not None and not isinstance(wanted, bool):
        raise errors.invalid(f"config.{FIELD}", "must be a boolean")
    return bool(wanted)


class FrameCodes:
    """Which codes come with which chunk."""

    def __init__(self, info: Info) -> None:
        self._info = info
        self._turn_id = ""
        self._told_frames = 0

    def codec(self) -> dict[str, Any]:
        """What the codes are of."""
        tokenizer = self._info.tokenizer
        return {
            "num_codebooks": tokenizer.num_codebooks,
            "codebook_size": tokenizer.codebook_size,
            "frame_ms": self._info.frame_ms,
        }

    def of(self, audio: Audio) -> list[list[int]]:
        """The frames that are decoded by the end of this chunk and were not by the one before:
        [frames][codebooks]."""
        if audio.turn_id != self._turn_id:
            self._turn_id, self._told_frames = audio.turn_id, 0
        first, self._told_frames = self._told_frames, max(self._told_frames, audio.num_frames)
        codes = audio.source.codes(first, self._told_frames)
        frames = np.frombuffer(codes, WIRE_DTYPE).reshape(-1, self._info.tokenizer.num_codebooks)
        return frames.tolist()
