"""The frames of a turn that were made already, here or elsewhere, and that it goes on behind."""

from __future__ import annotations

import numpy as np

from csm.errors import FieldViolation, TooLong, invalid
from services.generator.engine.engine import Engine
from services.generator.engine.turn import PromptRows
from services.generator.model.prompt import audio_frames
from services.generator.off_loop import off_loop
from services.generator.turns import FlushRequest


class Begun:
    """What a flush brings of its turn; mostly nothing."""

    def __init__(self, codes: np.ndarray | None) -> None:
        """`codes` [F, K]; None: nothing."""
        self._codes = codes

    @classmethod
    def of(cls, flushed: FlushRequest, max_frames: int) -> Begun:
        """Raises `InvalidArgument` where they leave none of the turn's `max_frames`."""
        begun = cls(flushed.begun)
        if len(begun) >= max_frames:
            raise invalid(
                "flush.begun.num_frames",
                f"{len(begun)} is not allowed; the turn's longest audio is {max_frames} frames, of "
                "which one must be left",
            )
        return begun

    def __len__(self) -> int:
        return 0 if self._codes is None else len(self._codes)

    @property
    def frames(self) -> list[np.ndarray]:
        """The frames, [1, K] each."""
        return [] if self._codes is None else list(self._codes[:, None])

    def behind(self, prompt: PromptRows, max_positions: int) -> PromptRows:
        """The prompt with these frames behind it.

        Raises:
            TooLong: they do not fit together.
        """
        if self._codes is None:
            return prompt
        rows = np.concatenate([prompt, audio_frames(self._codes, prompt.shape[1] - 1, end=False)])
        if len(rows) > max_positions:
            raise TooLong(
                FieldViolation(
                    "flush.begun",
                    f"{len(self)} frames behind {len(prompt)} positions; the context has "
                    f"{max_positions}",
                )
            )
        return rows

    async def noise(self, engine: Engine, seed: int) -> object | None:
        """The random numbers' state behind them; None where there are none. Drawn off the loop and
        off the engine: nobody's frames wait for it."""
        if self._codes is None:
            return None
        frames = len(self)
        return await off_loop(lambda: engine.noise_after(seed, frames))
