"""A voice under test: its codec, its model, and the engine that serves it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from services.generator import loading
from services.generator.engine.engine import Engine
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady
from services.generator.engine.runner import Runner
from services.generator.engine.turn import TurnRequest
from services.generator.loading import DtypeName
from services.generator.model.prompt import PromptSegment, prompt_frames
from services.generator.native.select import NativeMode
from services.tokenizer import codec

# Turns that run at once; more cost memory, and on two cores gain nothing.
_SLOTS = 8
_PREFILL_CHUNK = 256


@dataclass(frozen=True)
class Line:
    """One turn to speak: `text` in its spoken form, after the segments of `context`."""

    speaker: int
    text: str
    max_frames: int
    seed: int
    context: tuple[PromptSegment, ...] = ()


@dataclass(frozen=True)
class Spoken:
    """What came of a line: codes uint16 [frames, codebooks], and whether it ended by itself."""

    codes: np.ndarray
    ended: bool


class Voice:
    """A model directory, loaded in float32 by default: what is measured is the voice, not a short
    cut.

    The model runs natively where it can, as in the service; the codec by torch.
    """

    def __init__(
        self,
        directory: Path,
        *,
        device: Literal["cpu", "cuda"] = "cpu",
        dtype: DtypeName = "float32",
        native: NativeMode = "auto",
    ) -> None:
        """Load the voice; the codec is always in float32.

        Raises:
            FailedPrecondition, CodecWeightsError: what is wrong with which file.
        """
        self.directory = directory
        self.loaded = loading.load(directory, device=device, dtype=dtype, native=native)
        self.mimi = codec.load(directory, device=device)
        self.num_codebooks = self.loaded.model.config.num_codebooks
        self.rate_hz = self.mimi.config.sampling_rate_hz
        self.frame_samples = self.mimi.config.frame_samples

    @cached_property
    def digest(self) -> str:
        """What the figures of a voice are known by: a hash of all its files."""
        total = hashlib.blake2b(digest_size=8)
        for path in self._files():
            # A card is written from the figures, so it must not change what they belong to.
            if path.suffix != ".md":
                total.update(path.name.encode() + path.read_bytes())
        return total.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Of all files of the directory."""
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.iterdir() if path.is_file())

    @torch.inference_mode()
    def encode(self, audio: np.ndarray) -> np.ndarray:
        """Mono float32 [samples] to codes, uint16 [frames, codebooks]."""
        codes = self.mimi.encode(torch.from_numpy(audio.astype(np.float32))[None, None])
        return codes[0, : self.num_codebooks].T.cpu().numpy().astype(np.uint16)

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes [frames, codebooks] to float32 [frames * frame_samples]; none is a frame of 0."""
        if not len(codes):
            return np.zeros(self.frame_samples, np.float32)
        rows = torch.from_numpy(codes.astype(np.int64).T.copy())[None]
        return self.mimi.decode(rows)[0, 0].cpu().numpy().clip(-1, 1)

    def positions(self, line: Line) -> int:
        """Return how many positions of the context the line's prompt and its speech may take."""
        return len(self.prompt(line)) + line.max_frames - 1

    @property
    def max_positions(self) -> int:
        """Positions of a context."""
        return self.loaded.model.config.backbone.max_positions

    def speak(self, lines: Sequence[Line], done: Callable[[], None] | None = None) -> list[Spoken]:
        """Speak all lines through the engine, several at once; `done` is called after each.

        Sampling is the voice's own (`generation_config.json`). A line's codes depend on its prompt
        and seed alone.

        Raises:
            ValueError: a prompt does not fit the context.
            RuntimeError: the engine failed at a line.
        """
        return asyncio.run(self._speak(lines, done or (lambda: None)))

    def prompt(self, line: Line) -> np.ndarray:
        """Return the rows that a line is prompted with."""
        segments = [*line.context, PromptSegment(line.speaker, line.text)]
        size = self.mimi.config.codebook_size
        return prompt_frames(
            segments, self.loaded.tokenizer, self.num_codebooks, codebook_size=size
        )

    async def _speak(self, lines: Sequence[Line], done: Callable[[], None]) -> list[Spoken]:
        runner = Runner(self.loaded.model, _SLOTS, self.max_positions, _PREFILL_CHUNK)
        engine = Engine(runner, max_queue=len(lines))
        engine.start()
        try:
            turns = [self._turn(engine, number, line) for number, line in enumerate(lines)]
            for turn in asyncio.as_completed(turns):
                await turn
                done()
            return [turn.result() for turn in turns]
        finally:
            await engine.stop()

    def _turn(self, engine: Engine, number: int, line: Line) -> asyncio.Future[Spoken]:
        future: asyncio.Future[Spoken] = asyncio.get_running_loop().create_future()
        frames: list[np.ndarray] = []
        key = str(number)

        def hear(event: Event) -> None:
            if isinstance(event, FrameReady):
                frames.append(event.codes)
            elif isinstance(event, Finished) and not future.done():
                engine.release(key)
                if event.error is not None or event.reason is FinishReason.ERROR:
                    future.set_exception(RuntimeError(f"line {number} failed: {event.error}"))
                    return
                codes = np.array(frames, np.uint16).reshape(-1, self.num_codebooks)
                future.set_result(Spoken(codes, event.reason is FinishReason.EOS))

        sampling = self.loaded.defaults.sampling
        engine.submit(
            TurnRequest(key, key, self.prompt(line), sampling, line.seed, line.max_frames), hear
        )
        return future
