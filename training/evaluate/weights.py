"""What smaller weights change, on a real voice: `python -m training.evaluate.weights`.

Numbers first: every model is fed the frames that fp32 draws, and its choices are held against
fp32's. Then words: the held-out sentences are spoken by each and heard by Whisper. Prints
JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from torch import Tensor

from services.generator.engine.protocol import Model
from services.generator.loading import DtypeName
from services.generator.model import weights
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingRows
from services.generator.model.sampling import GREEDY
from training.evaluate import english
from training.evaluate.ears import Ears
from training.evaluate.held_out import Item, load_items
from training.evaluate.parts import line_of
from training.evaluate.voice import Line, Voice
from training.evaluate.words import difference, total

REFERENCE: DtypeName = "float32"


class Follower:
    """A model that is fed frames, and asked at each what it would have said."""

    def __init__(self, model: Model) -> None:
        config = model.config
        self._model = model
        self._cache = model.allocate_cache(1, config.backbone.max_positions)
        self._active = torch.ones(1, dtype=torch.bool)
        self._rows = {name: SamplingRows(1) for name in ("greedy", "drawn")}
        self._rows["greedy"].set(0, GREEDY)
        self._noise = Noise(1, config.num_codebooks, config.audio_vocab_size)

    def begin(self, voice: Voice, line: Line) -> None:
        """Read the line's prompt."""
        self._rows["drawn"].set(0, voice.loaded.defaults.sampling)
        self._noise.seed(0, line.seed)
        prompt = torch.from_numpy(voice.prompt(line))
        self.hidden = self._model.prefill(prompt, 0, 0, self._cache)[None]
        self._position = len(prompt)

    def say(self) -> dict[str, Tensor]:
        """Its most likely frame, and the one that it draws with the line's noise."""
        noise = self._noise.fill(self._active)
        return {
            name: self._model.sample_frame(self.hidden, rows, noise, self._active)[0].clone()
            for name, rows in self._rows.items()
        }

    def hear(self, frame: Tensor) -> None:
        """Go on behind `frame`."""
        at = torch.tensor([self._position])
        self.hidden = self._model.backbone_step(frame[None], at, self._active, self._cache)
        self._position += 1


@torch.inference_mode()
def choices(
    reference: Voice, other: Voice, head: Tensor, lines: Sequence[Line]
) -> dict[str, float]:
    """How often both choose alike, and the divergence of codebook 0, read by fp32's `head`."""
    truth, tried = Follower(reference.loaded.model), Follower(other.loaded.model)
    frames = 0
    sums = dict.fromkeys(("first", "frame", "drawn", "kl"), 0.0)
    for line in lines:
        for model in (truth, tried):
            model.begin(reference, line)
        for _ in range(line.max_frames):
            said, guessed = truth.say(), tried.say()
            logits = [(model.hidden.float() @ head.T).log_softmax(-1) for model in (truth, tried)]
            sums["kl"] += float((logits[0].exp() * (logits[0] - logits[1])).sum())
            sums["first"] += float(said["greedy"][0] == guessed["greedy"][0])
            sums["frame"] += float(torch.equal(said["greedy"], guessed["greedy"]))
            sums["drawn"] += float(torch.equal(said["drawn"], guessed["drawn"]))
            frames += 1
            if not said["drawn"].any():
                break
            for model in (truth, tried):
                model.hear(said["drawn"])
    names = {
        "kl": "kl_divergence_first_codebook",
        "first": "same_first_code",
        "frame": "same_frame",
        "drawn": "same_frame_drawn",
    }
    return {"frames": frames} | {names[k]: round(v / frames, 5) for k, v in sums.items()}


def words(voices: dict[str, Voice], lines: Sequence[Line], items: Sequence[Item], ears: Ears
          ) -> dict[str, Any]:  # fmt: skip
    """Word error rates, and each one's distance from fp32's with its interval."""
    errors = {}
    for name, voice in voices.items():
        audios = [voice.decode(one.codes) for one in voice.speak(lines)]
        heard = ears.whisper.transcribe(audios, voice.rate_hz)
        pairs = zip(items, heard, strict=True)
        errors[name] = [english.errors(item.sentence, text) for item, text in pairs]
    return {
        name: {
            "word_error_rate": round(total(found).rate, 4),
            "minus_float32": vars(difference(found, errors[REFERENCE])),
        }
        for name, found in errors.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = [kind for kind in get_args(DtypeName) if kind not in ("auto", REFERENCE)]
    parser.add_argument("--work", type=Path, default=Path("build/pico"))
    parser.add_argument("--voice", type=Path, default=Path("models/pico"))
    parser.add_argument("--dtypes", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--sentences", type=int, help="of the held-out ones; default: all")
    parser.add_argument("--followed", type=int, default=20, help="sentences fed frame by frame")
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    with console.status("measuring"):
        reference = Voice(given.voice, native="required")
        voices = {REFERENCE: reference} | {
            kind: Voice(given.voice, dtype=kind, native="required") for kind in given.dtypes
        }
        head = weights.load(given.voice).lm_head.weight.float()
        items = load_items(given.work / "corpus", count=given.sentences)
        lines = [line_of(reference, item) for item in items]
        followed = lines[:: max(1, len(lines) // given.followed)]
        result = {
            "voice": given.voice.name,
            "choices": {
                kind: choices(reference, voices[kind], head, followed) for kind in given.dtypes
            },
            "words": words(voices, lines, items, Ears(given.work)),
        }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
