"""Who listens to the clips: the recogniser, the speaker classifier, and where clips are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from csm.audio import read_audio, write_audio
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
        """Nothing is opened yet; `jobs` recognisers run at once.

        Raises:
            ValueError: the recogniser is not installed, or `jobs` is below 1.
        """
        self._corpus = work / "corpus"
        self._place = work / "evaluate"
        self.recogniser = Recogniser(self._place / "transcripts.json", jobs)
        self._classifier: SpeakerClassifier | None = None

    @property
    def classifier(self) -> SpeakerClassifier:
        """Trained on the teachers at the first use, then read from `speaker.npz`.

        Raises:
            FileNotFoundError: there is no training audio.
            ValueError: it holds fewer than two speakers.
        """
        path = self._place / "speaker.npz"
        if self._classifier is None and path.is_file():
            with np.load(path) as arrays:
                self._classifier = SpeakerClassifier(arrays["means"], arrays["precision"])
        if self._classifier is None:
            self._classifier = self._trained()
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                fitted = self._classifier
                np.savez(file, means=fitted.means, precision=fitted.precision)
        return self._classifier

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
        size = 25 * self.recogniser.jobs
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
