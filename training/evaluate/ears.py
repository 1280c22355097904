"""Who listens to the clips: the recogniser, the speaker classifier, and where clips are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from csm.audio.files import read_audio, write_audio
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, Corpus
from training.evaluate import silence
from training.evaluate.clip import Clip
from training.evaluate.held_out import Item, sample_of, to_float
from training.evaluate.recogniser import Recogniser
from training.evaluate.speaker import SpeakerClassifier, features
from training.evaluate.words import count_errors, words_of

# Clips a speaker: 80 numbers are estimated from 1,600 clips.
_TRAINING_CLIPS = 400


class Ears:
    """Turns audio into clips, and remembers what it heard in `<work>/evaluate/`."""

    def __init__(self, work: Path, *, jobs: int = 1) -> None:
        """Nothing is opened yet; `jobs` recognisers run at once."""
        self._corpus = work / "corpus"
        self._place = work / "evaluate"
        self._jobs = jobs

    @cached_property
    def recogniser(self) -> Recogniser:
        """With the transcripts of former runs.

        Raises:
            ValueError: the recogniser is not installed, or `jobs` is below 1.
        """
        return Recogniser(self._place / "transcripts.json", self._jobs)

    @cached_property
    def corpus_digest(self) -> str:
        """What the teachers' readings are known by: a hash of the lines of the held-out parts."""
        total = hashlib.blake2b(digest_size=8)
        for path in sorted(self._corpus.glob("held_out-*.jsonl")):
            total.update(path.name.encode() + path.read_bytes())
        return total.hexdigest()

    @cached_property
    def classifier(self) -> SpeakerClassifier:
        """Trained on the teachers at the first use, then read from `speaker-<corpus>.npz`.

        Raises:
            FileNotFoundError: there is no training audio.
            ValueError: it holds fewer than two speakers.
        """
        path = self._place / f"speaker-{self.corpus_digest}.npz"
        if path.is_file():
            with np.load(path) as arrays:
                return SpeakerClassifier(arrays["means"], arrays["precision"])
        fitted = self._trained()
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            np.savez(file, means=fitted.means, precision=fitted.precision)
        fresh.replace(path)
        return fitted

    def _trained(self) -> SpeakerClassifier:
        corpus = Corpus.open(self._corpus, "train")
        chosen = sample_of(corpus, _TRAINING_CLIPS, range(len(SPEAKERS)))
        rows = [features(to_float(corpus.audio(n)), SAMPLE_RATE_HZ) for n in chosen]
        return SpeakerClassifier.fit(np.array(rows), [corpus.utterances[n].speaker for n in chosen])

    def classifier_accuracy(self) -> float:
        """Return the share of the validation utterances whose teacher the classifier names."""
        corpus = Corpus.open(self._corpus, "validation")
        right = [
            self.classifier.hear(to_float(corpus.audio(n)), SAMPLE_RATE_HZ) == utterance.speaker
            for n, utterance in enumerate(corpus.utterances)
        ]
        return float(np.mean(right))

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
        # In batches, so that a stop loses little (transcripts are kept) and a bar moves.
        size = 25 * self._jobs
        for first in range(0, len(items), size):
            batch = items[first : first + size]
            sounds = audios[first : first + size]
            texts = self.recogniser.transcribe(sounds, SAMPLE_RATE_HZ)
            for item, audio, text in zip(batch, sounds, texts, strict=True):
                path = self.path(part, item.index)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, audio, SAMPLE_RATE_HZ)
                clips.append(self._clip(item, audio, text))
            if done:
                done(len(batch))
        return clips

    def path(self, part: str, index: int) -> Path:
        """Where a clip's audio is kept."""
        return self._place / "audio" / part / f"{index:03d}.wav"

    def audio(self, part: str, index: int) -> np.ndarray:
        """A clip's audio, float32 [samples] at 24 kHz. Raises `AudioError` where there is none."""
        return read_audio(self.path(part, index), max_seconds=None)[0]

    def _clip(self, item: Item, audio: np.ndarray, text: str) -> Clip:
        return Clip(
            index=item.index,
            sentence=item.sentence,
            speaker=item.speaker,
            audio_s=len(audio) / SAMPLE_RATE_HZ,
            heard=text,
            errors=count_errors(words_of(item.text), words_of(text)),
            heard_speaker=self.classifier.hear(audio, SAMPLE_RATE_HZ),
            silence=silence.measure(audio, SAMPLE_RATE_HZ),
        )


def with_length(clip: Clip, item: Item, ended: bool) -> Clip:
    """The clip of a generated turn, with how it ended and its length beside the teacher's."""
    return replace(clip, ended=ended, length_ratio=clip.audio_s / item.seconds)
