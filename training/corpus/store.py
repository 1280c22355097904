"""The corpus on disk: raw audio, and a line of JSON for every utterance.

A part of a split is two files: `<split>-<speaker>-<part>.s16`, 24 kHz mono int16 little-endian, the
utterances one after another, and `<...>.jsonl` with one utterance a line; a third, `<...>.done`,
says that both are whole. Raw, so that a crop is a slice of mapped memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLE_RATE_HZ = 24000
SPEAKERS: tuple[str, ...] = ("heart", "michael", "emma", "fable")
"""The teachers' names; the index is the speaker number of the prompt."""
SPLITS = ("train", "validation", "held_out")

# CMU's phone set, with ax for a reduced vowel; the pause comes first.
PHONES: tuple[str, ...] = (
    *("pau", "aa", "ae", "ah", "ao", "aw", "ax", "ay", "b", "ch", "d", "dh", "eh", "er", "ey", "f"),
    *("g", "hh", "ih", "iy", "jh", "k", "l", "m", "n", "ng", "ow", "oy", "p", "r", "s", "sh", "t"),
    *("th", "uh", "uw", "v", "w", "y", "z", "zh"),
)


NO_DIALOGUE = -1


@dataclass(frozen=True)
class Phone:
    """One phone; it starts where the one before it ends, the first at sample 0.

    `start_char` and `end_char` are the characters of the text that its word spans, end exclusive;
    both are -1 where no word is spoken.
    """

    index: int
    end_sample: int
    start_char: int
    end_char: int


@dataclass(frozen=True)
class Utterance:
    """One sentence by one teacher; `text` is what the model's tokenizer makes of the sentence.

    `dialogue` is the number of the dialogue it belongs to, -1 for none, and `turn` its place there,
    from 0.
    """

    text: str
    speaker: int
    offset: int
    samples: int
    phones: tuple[Phone, ...]
    dialogue: int = NO_DIALOGUE
    turn: int = 0


class PartWriter:
    """Writes one part, from its start."""

    def __init__(self, directory: Path, name: str) -> None:
        """Create `<name>.s16` and `<name>.jsonl` in `directory`, or empty them."""
        directory.mkdir(parents=True, exist_ok=True)
        self._audio_file = (directory / f"{name}.s16").open("wb")
        self._lines_file = (directory / f"{name}.jsonl").open("w", encoding="utf-8")
        self._done = directory / f"{name}.done"
        self._done.unlink(missing_ok=True)
        self._samples = 0
        self.count = 0

    def add(
        self,
        text: str,
        speaker: int,
        audio: np.ndarray,
        phones: tuple[Phone, ...],
        *,
        dialogue: int = NO_DIALOGUE,
        turn: int = 0,
    ) -> None:
        """Append one utterance; `audio` is int16 `[samples]`.

        Raises:
            ValueError: the audio is not int16 of one dimension, or is empty.
        """
        if audio.dtype != np.int16 or audio.ndim != 1 or not audio.size:
            raise ValueError(
                f"audio is {audio.dtype} of shape {audio.shape}; allowed: int16 [samples]"
            )
        self._audio_file.write(audio.astype("<i2").tobytes())
        utterance = Utterance(text, speaker, self._samples, len(audio), phones, dialogue, turn)
        self._lines_file.write(_line(utterance))
        self._samples += len(audio)
        self.count += 1

    def close(self, *, whole: bool) -> None:
        """Close the files, and say that they are `whole` where that is so."""
        self._audio_file.close()
        self._lines_file.close()
        if whole:
            self._done.write_text(str(self.count))


def part_names(directory: Path, split: str) -> list[str]:
    """Return the names of the whole parts of `split`, sorted.

    Raises:
        ValueError: the split is unknown.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; allowed: {', '.join(SPLITS)}")
    return sorted(path.stem for path in directory.glob(f"{split}-*.done"))


class Corpus:
    """The utterances of one split, in the order of file names and lines."""

    def __init__(self, parts: list[tuple[np.ndarray, list[Utterance]]]) -> None:
        self.utterances = [u for _, utterances in parts for u in utterances]
        self._sources = [audio for audio, utterances in parts for _ in utterances]

    @classmethod
    def open(cls, directory: Path, split: str, names: Sequence[str] | None = None) -> Corpus:
        """Open the parts of `split`: all, or those of `names`.

        Raises:
            ValueError: the split is unknown.
            FileNotFoundError: there is no part of it.
        """
        parts = []
        for name in part_names(directory, split) if names is None else names:
            path = directory / f"{name}.jsonl"
            utterances = list(_read_lines(path))
            if utterances:
                audio = np.memmap(path.with_suffix(".s16"), dtype="<i2", mode="r")
                parts.append((np.asarray(audio), utterances))
        if not parts:
            raise FileNotFoundError(
                f"{directory}: no whole part of {split}; `python -m training.corpus` makes them"
            )
        return cls(parts)

    def __len__(self) -> int:
        return len(self.utterances)

    def audio(self, index: int) -> np.ndarray:
        """The utterance's audio, int16 `[samples]`, a view of the file."""
        utterance = self.utterances[index]
        return self._sources[index][utterance.offset : utterance.offset + utterance.samples]

    @property
    def seconds(self) -> float:
        """Length of all utterances together."""
        return sum(u.samples for u in self.utterances) / SAMPLE_RATE_HZ


def to_float(audio: np.ndarray) -> np.ndarray:
    """Int16 [samples] as float32 in [-1, 1]."""
    return audio.astype(np.float32) / 32768


def _line(utterance: Utterance) -> str:
    phones = [[p.index, p.end_sample, p.start_char, p.end_char] for p in utterance.phones]
    values = [utterance.text, utterance.speaker, utterance.offset, utterance.samples, phones]
    if utterance.dialogue != NO_DIALOGUE:
        values += [utterance.dialogue, utterance.turn]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def _read_lines(path: Path) -> Iterator[Utterance]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            text, speaker, offset, samples, phones, *place = json.loads(line)
            yield Utterance(
                text, speaker, offset, samples, tuple(Phone(*p) for p in phones), *place
            )
