"""The further parts: dialogues, short answers, written forms, rare words."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from training.corpus.build import Part
from training.corpus.further import plan_further
from training.corpus.sentences.exclusion import measured
from training.corpus.sentences.sentence import words
from training.corpus.store import SPEAKERS
from training.tokenizer import normalize

pytestmark = pytest.mark.skipif(
    not Path("/usr/share/dict/scowl/english-words.50").exists(), reason="needs Debian's scowl"
)


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    return plan_further(0)


def test_names_are_their_own_and_of_the_training_split(parts: list[Part]) -> None:
    names = [part.name for part in parts]
    assert len(set(names)) == len(names)
    for part in parts:
        split, speaker, kind, number = part.name.split("-")
        assert (split, speaker, len(number)) == ("train", part.speaker, 3)
        assert kind in ("dialogues", "short", "forms", "rare")
        assert 0 < len(part.texts) <= 400


def test_the_first_speaker_says_most_of_it(parts: list[Part]) -> None:
    counts = Counter[str]()
    for part in parts:
        counts[part.speaker] += len(part.texts)
    assert 3000 <= counts.total() <= 7000
    for name in SPEAKERS[1:]:
        assert counts[name] / counts.total() == pytest.approx(0.11, abs=0.02)


def test_every_text_is_what_the_model_reads_and_none_is_measured(parts: list[Part]) -> None:
    for part in parts:
        for text in part.texts:
            assert normalize(text) == text
            assert not measured().leaks(words(text)), text


def test_two_speakers_share_a_dialogue_in_turn(parts: list[Part]) -> None:
    said: dict[int, dict[int, str]] = defaultdict(dict)
    for part in parts:
        assert len(part.places) in (0, len(part.texts))
        for dialogue, turn in part.places:
            said[dialogue][turn] = part.speaker
    assert len(said) > 400
    for turns in said.values():
        assert sorted(turns) == list(range(len(turns)))
        assert 2 <= len(turns) <= 4
        cast = [turns[place] for place in range(len(turns))]
        assert "heart" in cast[:2]
        assert cast[0] != cast[1]
        assert cast[2:] == cast[:-2]
    openers = Counter(turns[0] for turns in said.values())
    assert set(openers) == set(SPEAKERS)


def test_the_same_seed_plans_the_same(parts: list[Part]) -> None:
    assert plan_further(0) == parts


def test_a_small_corpus_has_a_share_of_every_kind(parts: list[Part]) -> None:
    few = plan_further(0, 1 / 155)
    assert {part.name for part in few} <= {part.name for part in parts}
    for kind in ("dialogues", "short", "forms", "rare"):
        whole, some = (
            sum(len(p.texts) for p in found if f"-{kind}-" in p.name) for found in (parts, few)
        )
        assert 0 < some <= whole / 155 + 4 * len(SPEAKERS)
    assert {part.speaker for part in few} == set(SPEAKERS)


@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share: .* is not allowed, must be in \(0, 1\]"):
        plan_further(0, share)
