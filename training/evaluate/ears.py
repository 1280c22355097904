"""Who listens to the clips: Whisper, DNSMOS, the speakers' likeness, and where clips are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from csm.audio.files import read_audio, write_audio
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, Corpus, to_float
from training.evaluate import english, recogniser, resemblance, silence
from training.evaluate.clip import Clip
from training.evaluate.dnsmos import Dnsmos, Rating
from training.evaluate.held_out import Item, sample_of
from training.evaluate.recogniser import Recogniser
from training.evaluate.resemblance import Resemblance
from training.evaluate.whisper import Whisper
from training.evaluate.words import count_errors, words_of

# Of each teacher, for the mean of its voice; none of them is judged.
_MEAN_CLIPS = 40
# A batch takes a minute or two: a stop loses no more.
_BATCH = 10


class Ears:
    """Turns audio into clips, and remembers what it heard in `<work>/evaluate/`."""

    def __init__(self, work: Path, *, jobs: int = 1, threads: int = 1) -> None:
        """Nothing is opened yet; `jobs` of pocketsphinx at once, `threads` for each other judge."""
        self._corpus = work / "corpus"
        self._place = work / "evaluate"
        self._jobs, self._threads = jobs, threads

    @cached_property
    def whisper(self) -> Whisper:
        """With the texts of former runs.

        Raises:
            ValueError: a package is missing.
        """
        return Whisper(
            self._place / "whisper",
            cache=self._place / "heard.json",
            threads=self._threads,
        )

    @cached_property
    def dnsmos(self) -> Dnsmos:
        """With the ratings of former runs.

        Raises:
            ValueError: a package is missing.
        """
        return Dnsmos(cache=self._place / "ratings.json", threads=self._threads)

    @cached_property
    def recogniser(self) -> Recogniser | None:
        """Pocketsphinx with the transcripts of former runs; None where it is not installed.

        Raises:
            ValueError: `jobs` is below 1.
        """
        if not recogniser.available():
            return None
        return Recogniser(self._place / "transcripts.json", self._jobs)

    @cached_property
    def corpus_digest(self) -> str:
        """What the teachers' readings are known by: a hash of the lines of the held-out parts."""
        total = hashlib.blake2b(digest_size=8)
        for path in sorted(self._corpus.glob("held_out-*.jsonl")):
            total.update(path.name.encode() + path.read_bytes())
        return total.hexdigest()

    @cached_property
    def resemblance(self) -> Resemblance:
        """The teachers' means over validation clips, made once, then read from a file.

        Raises:
            FileNotFoundError: there is no validation audio.
            ValueError: a package is missing, or a speaker has no validation audio.
        """
        path = self._place / f"means-{self.corpus_digest}.npy"
        if path.is_file():
            return Resemblance(np.load(path))
        corpus = Corpus.open(self._corpus, "validation")
        chosen = sample_of(corpus, _MEAN_CLIPS, range(len(SPEAKERS)))
        rows = [resemblance.embed(to_float(corpus.audio(n)), SAMPLE_RATE_HZ) for n in chosen]
        found = Resemblance.fit(np.array(rows), [corpus.utterances[n].speaker for n in chosen])
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            np.save(file, found.means)
        fresh.replace(path)
        return found

    def listen(
        self,
        part: str,
        items: Sequence[Item],
        audios: Sequence[np.ndarray],
        done: Callable[[int], None] | None = None,
    ) -> list[Clip]:
        """Return the clips of a part, and keep the audio; `done` hears of each batch's size.

        `audios` are mono float32 [samples] at 24 kHz, one an item.
        """
        clips = []
        # In batches, so that a stop loses little (verdicts are kept) and a bar moves.
        size = _BATCH * self._jobs
        for first in range(0, len(items), size):
            batch = items[first : first + size]
            sounds = audios[first : first + size]
            texts = self.whisper.transcribe(sounds, SAMPLE_RATE_HZ)
            ratings = self.dnsmos.rate(sounds, SAMPLE_RATE_HZ)
            sphinx = self.recogniser and self.recogniser.transcribe(sounds, SAMPLE_RATE_HZ)
            for n, (item, audio) in enumerate(zip(batch, sounds, strict=True)):
                path = self.path(part, item.index)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, audio, SAMPLE_RATE_HZ)
                other = sphinx[n] if sphinx else None
                clips.append(self._clip(item, audio, texts[n], ratings[n], other))
            if done:
                done(len(batch))
        return clips

    def path(self, part: str, index: int) -> Path:
        """Where a clip's audio is kept."""
        return self._place / "audio" / part / f"{index:03d}.wav"

    def audio(self, part: str, index: int) -> np.ndarray:
        """A clip's audio, float32 [samples] at 24 kHz. Raises `AudioError` where there is none."""
        return read_audio(self.path(part, index), max_seconds=None)[0]

    def _clip(
        self, item: Item, audio: np.ndarray, text: str, rating: Rating, sphinx: str | None
    ) -> Clip:
        embedding = resemblance.embed(audio, SAMPLE_RATE_HZ)
        return Clip(
            index=item.index,
            sentence=item.sentence,
            speaker=item.speaker,
            audio_s=len(audio) / SAMPLE_RATE_HZ,
            heard=text,
            errors=english.errors(item.sentence, text),
            rating=rating,
            similarities=self.resemblance.similarities(embedding),
            silence=silence.measure(audio, SAMPLE_RATE_HZ),
            sphinx_errors=(
                None if sphinx is None else count_errors(words_of(item.text), words_of(sphinx))
            ),
        )


def with_length(clip: Clip, item: Item, ended: bool) -> Clip:
    """The clip of a generated turn, with how it ended and its length beside the teacher's."""
    return replace(clip, ended=ended, length_ratio=clip.audio_s / item.seconds)
