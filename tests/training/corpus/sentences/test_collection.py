"""The collection: mixed as asked, the same by seed, free of what is measured."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from training.corpus.sentences import __main__ as command
from training.corpus.sentences import collection, coverage, prose
from training.corpus.sentences.collection import collect, collect_sentences
from training.corpus.sentences.coverage import Coverage, Vocabulary
from training.corpus.sentences.exclusion import held_out, measured, validation
from training.corpus.sentences.prose import MissingSourceError
from training.corpus.sentences.sentence import Sentence, is_plain, words
from training.tokenizer import CHARACTERS, normalize

_SHARES = {"fortunes": 0.5, "own": 0.4, "pairs": 0.1}
_FILES = {
    "/usr/share/games/fortunes/fortunes",
    "/usr/share/dict/scowl/english-words.35",
    "/usr/share/wordnet/data.noun",
    "/usr/share/dictd/gcide.dict.dz",
    "/usr/share/dictd/jargon.dict.dz",
    "/usr/share/games/endless-sky/data",
    "/usr/bin/bible",
}
needs_texts = pytest.mark.skipif(
    not all(Path(name).exists() for name in _FILES), reason="Debian's text packages are missing"
)


@pytest.mark.slow
@needs_texts
def test_the_whole_collection() -> None:
    sentences = collect_sentences(3000, 4)
    assert len(sentences) == 3000
    sequences = [words(sentence.text) for sentence in sentences]
    assert len(set(sequences)) == 3000
    assert not any(measured().leaks(sequence) for sequence in sequences)
    assert all(1 <= len(sequence) <= 25 for sequence in sequences)
    for sentence in sentences[:1000]:
        assert set(normalize(sentence.text)) <= set(CHARACTERS + " "), sentence
    counts = Counter(sentence.source.partition("-")[0] for sentence in sentences)
    assert counts["own"] >= 700
    assert counts["pairs"] == 120
    assert set(prose.SOURCES) <= {sentence.source for sentence in sentences}


@needs_texts
def test_the_same_seed_collects_the_same() -> None:
    first = collect_sentences(300, 1, _SHARES)
    assert first == collect_sentences(300, 1, _SHARES)
    assert first != collect_sentences(300, 2, _SHARES)
    counts = Counter(sentence.source.partition("-")[0] for sentence in first)
    assert counts == {"fortunes": 150, "own": 120, "pairs": 30}


def test_what_is_measured_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    leaking = [Sentence("fortunes", text.upper()) for text in (*held_out()[:5], *validation())]
    leaking += [Sentence("fortunes", f"Yes, {text}") for text in held_out() if len(text) > 60]
    clean = [Sentence("fortunes", f"A {word} thing.") for word in ("red", "new", "good")]
    monkeypatch.setattr(prose, "read", lambda source: [*leaking, *clean])
    assert set(collect_sentences(3, 0, {"fortunes": 1.0})) == set(clean)
    with pytest.raises(ValueError, match=r"count: 4 .* must be at most 3"):
        collect_sentences(4, 0, {"fortunes": 1.0})


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="count: 0 is not allowed"):
        collect(0, 0)
    with pytest.raises(ValueError, match=r"shares: news=0\.5 is not allowed"):
        collect_sentences(5, 0, {"news": 0.5})
    with pytest.raises(ValueError, match="shares: own=2 is not allowed"):
        collect_sentences(5, 0, {"own": 2})
    with pytest.raises(ValueError, match="source: 'news' is not allowed"):
        prose.read("news")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prose, "_WORDNET", tmp_path)
    with pytest.raises(MissingSourceError, match="apt-get install wordnet-base"):
        prose.read("wordnet-examples")
    monkeypatch.setattr(coverage, "_SCOWL", tmp_path)
    with pytest.raises(MissingSourceError, match="apt-get install scowl"):
        coverage.common_words()


def test_every_missing_word_is_covered() -> None:
    levels = {
        word: 10 if word < "m" else 35
        for word in ["apple", "fig", "lime", "melon", "olive", "plum", "yam"]
    }
    vocabulary = Vocabulary("test", levels, {word: word.title() for word in levels}, ("{0} {1}!",))
    unheard = Coverage(vocabulary, [Sentence("x", "Figs and a fig.")])
    assert "fig" not in unheard.missing
    candidates = [Sentence("x", text) for text in ("No fruit.", "A ripe melon, yes.", "A fig.")]
    taken = list(unheard.covering(candidates))
    assert [sentence.text for sentence in taken] == ["A ripe melon, yes."]
    unheard.hear(taken[0])
    lists = [sentence.text for sentence in unheard.lists(random.Random(0))]
    assert len(lists) == 3
    assert set(words(lists[0])) == {"apple", "lime"}
    assert {"olive", "plum", "yam"} <= {word for text in lists for word in words(text)}


@needs_texts
def test_sources_are_decent_prose() -> None:
    for source in ("endless-sky", "jargon"):
        fit = [sentence for sentence in prose.read(source) if is_plain(sentence.text)]
        assert len(fit) > 4000, source
        assert all(sentence.source == source for sentence in fit)
        assert not any("_" in sentence.text or "  " in sentence.text for sentence in fit)


def test_command_writes_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Sentence("own-talk", "Hello 42 friends."), Sentence("bible", "And it was so.")]
    monkeypatch.setattr(command, "collect_sentences", lambda count, seed: found)
    out = tmp_path / "deep" / "sentences.tsv"
    assert command.main(["--count", "2", "--out", str(out)]) == 0
    assert out.read_text() == "own-talk\tHello 42 friends.\nbible\tAnd it was so.\n"
    told = capsys.readouterr().err
    assert "own-talk" in told
    assert "8 different words" in told

    def fail(count: int, seed: int) -> list[Sentence]:
        raise MissingSourceError("/x: no such file; `apt-get install scowl` brings it")

    monkeypatch.setattr(command, "collect_sentences", fail)
    assert command.main(["--count", "2", "--out", str(out)]) == 2
    assert "apt-get install scowl" in capsys.readouterr().err
    assert collection.OWN in collection.SHARES


def test_no_half_of_a_pair_is_a_held_out_sentence() -> None:
    source = sorted(collection._SPOKEN)[0]
    texts = ("See you soon.", "Seven green lamps.", "An old rope.")
    own = [Sentence(source, text) for text in texts]
    pairs = list(islice(collection._pairs(own, random.Random(0)), 20))
    assert len(pairs) == 20
    assert not any("See you soon" in pair.text for pair in pairs)
