"""The teachers themselves, where what they are made of is installed."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from training.corpus.build import SHARES, plan, speak_part, teacher
from training.corpus.store import PHONES, SPEAKERS, Corpus
from training.corpus.teachers.speech import Speech, TeacherError, prepare

TEXTS = ["hello there.", "he said no, twice, at ten."]
needs_hibari = pytest.mark.skipif(
    not all(find_spec(name) for name in ("hibari", "onnx", "onnxruntime")),
    reason="hibari-tts, onnx and onnxruntime are of the extra teachers",
)


def check_hello(speech: Speech | TeacherError, last: str) -> None:
    assert isinstance(speech, Speech)
    # What the teacher timed is the whole of its audio.
    assert speech.phones[-1].end_s == pytest.approx(len(speech.audio) / speech.rate_hz, abs=0.03)
    audio, phones = prepare(TEXTS[0], speech)
    assert 0.5 < len(audio) / 24000 < 2.0
    names = [PHONES[p.index] for p in phones if p.index]
    assert (names[0], names[-1]) == ("hh", last)
    assert {TEXTS[0][p.start_char : p.end_char] for p in phones if p.index} == {"hello", "there"}
    # It speaks where its phones are: the middle of "hello" is louder than the lead.
    lead, spoken = audio[:1500].astype(float), audio[5000:12000].astype(float)
    assert np.abs(spoken).mean() > 10 * np.abs(lead).mean()


@needs_hibari
def test_hibari_speaks_and_says_when(tmp_path: Path) -> None:
    first, second = teacher("heart", tmp_path).speak(TEXTS)
    check_hello(first, "r")
    assert isinstance(second, Speech)
    (again,) = teacher("heart", tmp_path).speak(TEXTS[1:])
    assert isinstance(again, Speech)
    np.testing.assert_array_equal(again.audio, second.audio)


@needs_hibari
def test_what_a_teacher_cannot_say_stands_in_its_place(tmp_path: Path) -> None:
    nothing, long, something = teacher("heart", tmp_path).speak(["", "a " * 400, TEXTS[0]])
    assert isinstance(nothing, TeacherError)
    assert isinstance(long, TeacherError)
    assert isinstance(something, Speech)


@pytest.mark.slow
@needs_hibari
@pytest.mark.parametrize(("speaker", "last"), [("michael", "r"), ("emma", "eh"), ("fable", "eh")])
def test_kokoro_speaks_and_says_when(
    speaker: str, last: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.getbasetemp() / "teachers"
    (speech,) = teacher(speaker, directory).speak(TEXTS[:1])
    check_hello(speech, last)


@needs_hibari
def test_a_part_is_spoken_once(tmp_path: Path) -> None:
    teachers = tmp_path / "teachers"
    part = next(
        p for p in plan("validation", ["Hello there.", "Hello there!"], 0) if p.speaker == "heart"
    )
    assert speak_part(tmp_path, part, teachers) == (2, 0)
    written = (tmp_path / f"{part.name}.s16").stat().st_mtime_ns
    assert speak_part(tmp_path, part, teachers) == (2, 0)
    assert (tmp_path / f"{part.name}.s16").stat().st_mtime_ns == written
    assert [u.text for u in Corpus.open(tmp_path, "validation").utterances] == list(part.texts)


def test_the_training_sentences_are_shared_out(tmp_path: Path) -> None:
    assert sum(SHARES.values()) == 100
    sentences = ["".join(chr(97 + int(d)) for d in f"{n:04d}") + " it is." for n in range(1000)]
    counts = dict.fromkeys(SPEAKERS, 0)
    for part in plan("train", sentences, 0):
        counts[part.speaker] += len(part.texts)
    total = sum(counts.values())
    for name, count in counts.items():
        assert count / total == pytest.approx(SHARES[name] / 100, abs=0.01)


def test_every_sentence_of_the_training_has_one_speaker() -> None:
    sentences = [f"Sentence number {'x' * n}." for n in range(1, 30)]
    parts = plan("train", [*sentences, sentences[0]], 0)
    texts = [text for part in parts for text in part.texts]
    assert len(texts) == len(set(texts)) == len(sentences)
    assert {part.speaker for part in parts} == set(SPEAKERS)
    assert plan("train", sentences, 0) == plan("train", sentences, 0)


def test_a_validation_sentence_has_all_of_them() -> None:
    parts = plan("validation", ["One.", "Two.", "!!!"], 0)
    assert [p.texts for p in parts] == [("one.", "two.")] * len(SPEAKERS)


def test_held_out_sentences_go_round() -> None:
    parts = plan("held_out", ["One.", "Two.", "Three.", "Four.", "Five."], 0)
    assert [p.texts for p in parts] == [("one.", "five."), ("two.",), ("three.",), ("four.",)]
    assert [p.speaker for p in parts] == list(SPEAKERS)


def test_an_unknown_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match="speaker is 'bob'; allowed: heart, michael, emma, fable"):
        teacher("bob", Path("nowhere"))
