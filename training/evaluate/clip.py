"""What is known of one clip of an evaluation, and of all clips of a part, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.evaluate.dnsmos import Rating
from training.evaluate.quality import Quality
from training.evaluate.silence import Silence
from training.evaluate.words import Errors


@dataclass(frozen=True)
class Clip:
    """One sentence as it sounded: by the teacher, through the codec, or spoken by the voice.

    `heard` is Whisper's text, `errors` its edits; `sphinx_errors` are pocketsphinx's, None where it
    is not installed. `similarities` are to each teacher's mean embedding, in the speakers' order.
    `quality` only of the codec; `ended` (by EOS) and `length_ratio` (to the teacher's reading) only
    of what was generated.
    """

    index: int
    sentence: str
    speaker: int
    audio_s: float
    heard: str
    errors: Errors
    rating: Rating
    similarities: list[float]
    silence: Silence
    sphinx_errors: Errors | None = None
    quality: Quality | None = None
    ended: bool | None = None
    length_ratio: float | None = None

    @property
    def heard_speaker(self) -> int:
        """The speaker whose mean is nearest."""
        return max(range(len(self.similarities)), key=lambda n: self.similarities[n])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Clip:
        """The clip that `asdict` made these values of.

        Raises:
            TypeError, KeyError: the values are those of another version of this program.
        """
        quality, sphinx = values["quality"], values["sphinx_errors"]
        return cls(
            **{
                **values,
                "errors": Errors(**values["errors"]),
                "rating": Rating(**values["rating"]),
                "sphinx_errors": None if sphinx is None else Errors(**sphinx),
                "silence": Silence(**values["silence"]),
                "quality": None if quality is None else Quality(**quality),
            }
        )


@dataclass(frozen=True)
class Part:
    """The result of one part: of which voice (empty where none takes part) and corpus, by their
    digests; its clips, further figures, and what it cost."""

    name: str
    voice: str
    corpus: str
    clips: list[Clip] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0

    def save(self, directory: Path) -> None:
        """Write `<name>.json` whole or not at all."""
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f"{self.name}.new"
        fresh.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        fresh.replace(directory / f"{self.name}.json")

    @classmethod
    def load(cls, directory: Path, name: str) -> Part | None:
        """Return the part that was saved there; None where there is none, or other judges' one."""
        path = directory / f"{name}.json"
        if not path.is_file():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        try:
            values["clips"] = [Clip.from_dict(clip) for clip in values["clips"]]
        except (KeyError, TypeError):
            return None
        return cls(**values)
