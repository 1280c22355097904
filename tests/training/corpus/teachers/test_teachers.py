"""The teachers themselves, where they are installed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from training.corpus.build import plan, speak_part, teacher
from training.corpus.store import PHONES, SPEAKERS, Corpus
from training.corpus.teachers.speech import prepare

TEXTS = ["hello there.", 'he said "no", twice, at 10.']
FESTIVAL_VOICE = Path("/usr/share/festival/voices/us/cmu_us_slt_arctic_hts")


def installed(speaker: str) -> bool:
    if speaker == "slt":
        return shutil.which("festival") is not None and FESTIVAL_VOICE.exists()
    return shutil.which("flite") is not None


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_teacher_speaks_and_says_when(speaker: str) -> None:
    if not installed(speaker):
        pytest.skip(f"the teacher {speaker} is not installed")
    speeches = list(teacher(speaker).speak(TEXTS))
    assert len(speeches) == len(TEXTS)
    audio, phones = prepare(TEXTS[0], speeches[0])
    assert 0.5 < len(audio) / 24000 < 2.0
    names = [PHONES[p.index] for p in phones if p.index]
    assert names[0] == "hh"
    assert names[-1] == "r"
    assert {TEXTS[0][p.start_char : p.end_char] for p in phones if p.index} == {"hello", "there"}
    # It speaks where its phones are: the middle of "hello" is louder than the lead.
    lead, spoken = audio[:1500].astype(float), audio[5000:12000].astype(float)
    assert np.abs(spoken).mean() > 10 * np.abs(lead).mean()


def test_a_part_is_spoken_once(tmp_path: Path) -> None:
    if not installed("kal"):
        pytest.skip("the teacher kal is not installed")
    part = next(
        p for p in plan("validation", ["Hello there.", "Hello there!"], 0) if p.speaker == "kal"
    )
    assert speak_part(tmp_path, part) == (2, 0)
    written = (tmp_path / f"{part.name}.s16").stat().st_mtime_ns
    assert speak_part(tmp_path, part) == (2, 0)
    assert (tmp_path / f"{part.name}.s16").stat().st_mtime_ns == written
    assert [u.text for u in Corpus.open(tmp_path, "validation").utterances] == list(part.texts)


def test_every_sentence_of_the_training_has_one_speaker() -> None:
    sentences = [f"Sentence number {'x' * n}." for n in range(1, 30)]
    parts = plan("train", [*sentences, sentences[0]], 0)
    texts = [text for part in parts for text in part.texts]
    assert len(texts) == len(set(texts)) == len(sentences)
    assert {part.speaker for part in parts} == set(SPEAKERS)
    assert plan("train", sentences, 0) == plan("train", sentences, 0)


def test_every_other_sentence_has_all_of_them() -> None:
    parts = plan("held_out", ["One.", "Two.", "!!!"], 0)
    assert [p.texts for p in parts] == [("one.", "two.")] * len(SPEAKERS)


def test_an_unknown_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match="speaker is 'bob'; allowed: slt, rms, awb, kal"):
        teacher("bob")
