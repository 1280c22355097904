"""The held-out sentences and their teachers' readings; and turns of context for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, Corpus, Utterance, to_float
from training.tokenizer import normalize

SENTENCES = Path(__file__).resolve().parents[1] / "corpus" / "sentences" / "held_out.txt"
# A turn of context is a short one: three turns and the answer must fit a small model's context.
_CONTEXT_S = (1.0, 5.0)


@dataclass(frozen=True, eq=False)
class Item:
    """One sentence, who is to say it, and how its teacher does.

    `sentence` as written, `text` normalised, `audio` float32 [samples] at 24 kHz.
    """

    index: int
    sentence: str
    text: str
    speaker: int
    audio: np.ndarray

    @property
    def seconds(self) -> float:
        """Length of the teacher's reading."""
        return len(self.audio) / SAMPLE_RATE_HZ


@dataclass(frozen=True, eq=False)
class Turn:
    """A turn of context: an utterance and its audio, float32 [samples]."""

    utterance: Utterance
    audio: np.ndarray


def read_sentences(path: Path) -> list[str]:
    """Return the file's lines that are not empty.

    Raises:
        ValueError: there is none.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line]
    if not found:
        raise ValueError(f"{path}: 0 sentences are not allowed, must be at least 1")
    return found


def spread(total: int, count: int | None) -> list[int]:
    """Return `count` of `total` indices, spread over the file, the speakers in equal parts.

    Sentences go by fours, one a speaker, and the file is ordered by kind: so whole fours are
    taken, evenly. None, or as many as there are: all.

    Raises:
        ValueError: `count` is below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"sentences: {count} is not allowed, must be >= 1")
    if count is None or count >= total:
        return list(range(total))
    size = len(SPEAKERS)
    groups, wanted = math.ceil(total / size), math.ceil(count / size)
    starts = [size * (groups * n // wanted) for n in range(wanted)]
    return [i for start in starts for i in range(start, min(start + size, total))][:count]


def load_items(corpus: Path, sentences: Path = SENTENCES, count: int | None = None) -> list[Item]:
    """Return the sentences with the readings of their speakers: sentence i by speaker i mod 4.

    Raises:
        FileNotFoundError: there is no held-out audio, or no such file of sentences.
        ValueError: a sentence's reading is missing; says how many and which.
    """
    lines = read_sentences(sentences)
    spoken = Corpus.open(corpus, "held_out")
    places = {(u.text, u.speaker): n for n, u in enumerate(spoken.utterances)}
    items, missing = [], []
    for index in spread(len(lines), count):
        text, speaker = normalize(lines[index]), index % len(SPEAKERS)
        place = places.get((text, speaker))
        if place is None:
            missing.append(f"{SPEAKERS[speaker]}: {text!r}")
            continue
        audio = to_float(spoken.audio(place))
        items.append(Item(index, lines[index], text, speaker, audio))
    if missing:
        raise ValueError(
            f"{corpus}: {len(missing)} of the sentences are not read by their speakers, such as "
            f"{missing[0]}; make the held-out part of the corpus anew"
        )
    return items


class Contexts:
    """Two turns before a sentence, from a corpus the model was not trained on."""

    def __init__(self, corpus: Corpus) -> None:
        """Take the utterances of `corpus` between 1 and 5 s."""
        self._corpus = corpus
        shortest, longest = (seconds * SAMPLE_RATE_HZ for seconds in _CONTEXT_S)
        self._by_speaker: dict[int, list[int]] = {}
        for number, utterance in enumerate(corpus.utterances):
            if shortest <= utterance.samples <= longest:
                self._by_speaker.setdefault(utterance.speaker, []).append(number)

    def before(self, item: Item) -> list[Turn]:
        """Return a turn of the item's speaker and then one of another's: the item answers it.

        The same for the same item. The other speaker goes round by the item's index.

        Raises:
            ValueError: the corpus has no utterance of the item's speaker, or of no other.
        """
        others = sorted(set(self._by_speaker) - {item.speaker})
        if item.speaker not in self._by_speaker or not others:
            raise ValueError(
                f"speakers: {sorted(self._by_speaker)} have utterances of 1 to 5 s; allowed: at "
                f"least {item.speaker} and another"
            )
        other = others[item.index // len(SPEAKERS) % len(others)]
        random = np.random.default_rng(item.index)
        return [self._turn(random.choice(self._by_speaker[who])) for who in (item.speaker, other)]

    def _turn(self, number: int) -> Turn:
        return Turn(self._corpus.utterances[number], to_float(self._corpus.audio(number)))


def sample_of(corpus: Corpus, clips: int, speakers: Sequence[int]) -> list[int]:
    """Return the numbers of up to `clips` utterances a speaker, evenly spread over the corpus."""
    found: list[int] = []
    for speaker in speakers:
        own = [n for n, u in enumerate(corpus.utterances) if u.speaker == speaker]
        step = max(1, len(own) // clips)
        found += own[::step][:clips]
    return found
