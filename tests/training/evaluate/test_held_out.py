from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training.corpus.store import SPEAKERS, Corpus
from training.evaluate.held_out import (
    Contexts,
    Item,
    load_items,
    read_sentences,
    sample_of,
    spread,
)
from training.evaluate.parts import line_of
from training.tokenizer import normalize


def test_each_sentence_is_its_speakers_own_reading(work: Path) -> None:
    items = load_items(work / "corpus", work / "held_out.txt")
    corpus = Corpus.open(work / "corpus", "held_out")
    assert [item.speaker for item in items] == [0, 1, 2, 3]
    for item in items:
        (place,) = [
            n
            for n, u in enumerate(corpus.utterances)
            if (u.text, u.speaker) == (normalize(item.sentence), item.speaker)
        ]
        assert np.array_equal(item.audio, corpus.audio(place).astype(np.float32) / 32768)
        assert item.seconds == pytest.approx(1.2)


def test_the_voice_is_given_words_as_by_the_gateway() -> None:
    sentence = "He ran the race in 52 minutes."
    item = Item(3, sentence, normalize(sentence), 1, np.zeros(48_000, np.float32))
    line = line_of(SimpleNamespace(frame_samples=1920), item, seed=4)  # type: ignore[arg-type]
    assert line.text == "he ran the race in fifty two minutes."
    assert (line.speaker, line.seed) == (1, 7)
    assert line.max_frames > 25


def test_a_sentence_nobody_reads_is_named(work: Path) -> None:
    path = work / "held_out.txt"
    path.write_text(path.read_text() + "Nobody read this.\n")
    with pytest.raises(ValueError, match=r"1 of the sentences .* heart: 'nobody read this.'"):
        load_items(work / "corpus", path)


def test_a_file_without_sentences_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="0 sentences"):
        read_sentences(tmp_path / "x.txt")


@pytest.mark.parametrize("count", [4, 20, 40, 100])
def test_fewer_sentences_are_spread_over_file_and_speakers(count: int) -> None:
    chosen = spread(200, count)
    assert len(set(chosen)) == count
    assert chosen == sorted(chosen)
    assert set(Counter(i % len(SPEAKERS) for i in chosen).values()) == {count // len(SPEAKERS)}
    # As many of each tenth of the file as of any other, to within a group of four.
    tenths = Counter(i // 20 for i in chosen)
    assert max(tenths.values()) - min(tenths[n] for n in range(10)) <= 4


def test_as_many_as_there_are_is_all() -> None:
    assert spread(10, None) == spread(10, 10) == spread(10, 99) == list(range(10))
    assert spread(10, 5) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="sentences: 0"):
        spread(10, 0)


def test_context_is_the_speaker_asked_for_and_then_another(work: Path) -> None:
    contexts = Contexts(Corpus.open(work / "corpus", "validation"))
    items = load_items(work / "corpus", work / "held_out.txt")
    for item in items:
        turns = contexts.before(item)
        assert turns[0].utterance.speaker == item.speaker != turns[1].utterance.speaker
        again = contexts.before(item)
        assert [t.utterance for t in again] == [t.utterance for t in turns]
        for turn in turns:
            assert len(turn.audio) == turn.utterance.samples


def test_context_needs_two_speakers(work: Path) -> None:
    for name in SPEAKERS[1:]:
        (work / "corpus" / f"validation-{name}-000.done").unlink()
    contexts = Contexts(Corpus.open(work / "corpus", "validation"))
    with pytest.raises(ValueError, match=r"speakers: \[0\] have utterances"):
        contexts.before(load_items(work / "corpus", work / "held_out.txt")[0])


def test_clips_to_train_on_are_spread_over_every_speaker(work: Path) -> None:
    corpus = Corpus.open(work / "corpus", "train")
    chosen = sample_of(corpus, 3, range(len(SPEAKERS)))
    assert Counter(corpus.utterances[n].speaker for n in chosen) == dict.fromkeys(range(4), 3)
    assert len(set(chosen)) == 12
    assert len(sample_of(corpus, 400, range(len(SPEAKERS)))) == len(corpus)
