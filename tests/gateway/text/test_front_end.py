"""Texts through the whole front end: as people write them, to what is read aloud."""

import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.text.characters import Characters
from gateway.text.fit import Room
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits
from gateway.text.options import TextRules
from gateway.text.sentence import Sentence
from gateway.text.voicing import Voicing

DATA = Path(__file__).parent / "data"
LIMITS = Limits(200)


def rows(name: str) -> list[tuple[str, str]]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    found = [line.partition("\t") for line in lines if "\t" in line and not line.startswith("# ")]
    found += [line.partition("\t") for line in lines if line.startswith("# A title")]
    return [(text, wanted) for text, _, wanted in found]


def unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\u200b", "\u200b")


def words(text: str) -> list[str]:
    """As the table compares: lower case, without punctuation and hyphens."""
    return re.sub(r"[^\w\s']|_", " ", text.replace("\u2019", "'").lower()).split()


def spoken(
    parts: Sequence[str], rules: TextRules | None = None, limits: Limits = LIMITS
) -> tuple[list[Sentence], FrontEnd]:
    front_end = FrontEnd(rules or TextRules(), Voicing.alone(Lexicon({}), limits))
    found = [sentence for part in parts for sentence in front_end.feed(part)]
    return found + front_end.finish(), front_end


@pytest.mark.parametrize(("text", "wanted"), rows("text.tsv"))
def test_what_people_write_is_read_as_they_mean_it(text: str, wanted: str) -> None:
    sentences, _ = spoken([unescaped(text)])
    heard = words(" ".join(sentence.text for sentence in sentences))
    alternatives = [words(alternative) for alternative in wanted.split("||")]
    quoted = [word.strip("'") for word in heard]
    assert heard in alternatives or quoted in alternatives


@pytest.mark.parametrize(("text", "_"), rows("text.tsv"))
def test_the_spoken_form_is_the_same_however_the_text_arrives(text: str, _: str) -> None:
    text = unescaped(text)
    whole, _front_end = spoken([text])
    by_character, _front_end = spoken(list(text))
    assert by_character == whole
    cuts = random.Random(text)
    at = sorted(cuts.randrange(len(text) + 1) for _ in range(3))
    parts = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    assert spoken(parts)[0] == whole


@pytest.mark.parametrize(("text", "_"), rows("text.tsv"))
def test_sentences_say_where_in_the_text_they_are(text: str, _: str) -> None:
    text = unescaped(text)
    end = 0
    for sentence in spoken([text])[0]:
        assert end <= sentence.first_char < sentence.end_char <= len(text)
        assert text[sentence.first_char : sentence.end_char] == sentence.written
        for first, last in zip(sentence.spoken.firsts, sentence.spoken.ends, strict=True):
            assert sentence.first_char <= first <= last <= sentence.end_char
        assert sentence.written_until(len(sentence.spoken)) == sentence.written
        assert sentence.written.startswith(sentence.written_until(len(sentence.spoken) // 2))
        end = sentence.end_char


def test_a_sentence_of_large_numbers_is_cut_where_it_does_not_fit() -> None:
    text = "Take " + ", ".join(["331,893,745"] * 12) + " and 5."
    sentences, _ = spoken([text], limits=Limits(4096, Room(512, 80.0)))
    assert len(sentences) > 1
    assert all(Room(512, 80.0).holds(sentence.text) for sentence in sentences)
    assert " ".join(s.text for s in sentences).count("seven hundred forty five") == 12
    assert [s.first_char for s in sentences] == sorted({s.first_char for s in sentences})
    assert sentences[-1].end_char == len(text)
    # Cut behind a number, never in it.
    assert all(s.text.endswith(",") for s in sentences[:-1])


def test_what_a_model_cannot_read_is_told_with_its_place() -> None:
    limits = Limits(200, None, Characters("abcdefghijklmnopqrstuvwxyz'"))
    text = "It costs 5 рублей, naïve Straße. 你好。"
    sentences, front_end = spoken([text], limits=limits)
    assert [s.written for s in sentences] == ["It costs 5 рублей, naïve Straße."]
    told = [(w.kind, text[w.first_char : w.end_char]) for w in front_end.warnings()]
    assert told == [("UNSPEAKABLE", "рублей"), ("UNSPEAKABLE", "你好。")]


def test_warnings_have_a_bound() -> None:
    limits = Limits(200, None, Characters("abc"))
    _, front_end = spoken(["你好 a. " * 1000], limits=limits)
    told = front_end.warnings()
    assert len(told) == 64
    assert "more of the kind" in told[-1].description


def test_spelled_and_protected_words_survive_the_rules() -> None:
    text = '<say-as interpret-as="characters">A1</say-as> is not 1.'
    sentences, _ = spoken([text])
    assert words(sentences[0].text) == ["a", "1", "is", "not", "one"]
    lexicon = Lexicon({"GIF": "jif 5"})
    front_end = FrontEnd(TextRules(), Voicing.alone(lexicon, LIMITS))
    (sentence,) = front_end.feed("A GIF of 5.") + front_end.finish()
    assert sentence.text == "A jif 5 of five."


def test_another_language_is_left_as_it_is() -> None:
    sentences, _ = spoken(["Es kostet 5 €. Gut."], TextRules(language="de"))
    assert [s.text for s in sentences] == ["Es kostet 5 €.", "Gut."]


@pytest.mark.parametrize(
    "text",
    [
        "word " * 20_000, "7" * 100_000, "a" * 100_000, "e" + "\u0301" * 99_999,
        "\u202e" * 100_000, "<b>" * 10_000, "<" * 100_000, "1/" * 50_000, "&amp;" * 20_000,
        "$1." * 33_333, "a.b@" * 25_000, "[pause 1s]" * 10_000, "- 1\n" * 8_000,
    ],
    ids=lambda text: repr(text[:6]),
)  # fmt: skip
def test_a_hostile_text_takes_bounded_time(text: str) -> None:
    began = time.process_time()
    sentences, front_end = spoken([text], limits=Limits(200, Room(512, 80.0)))
    assert time.process_time() - began < 15
    assert sum(len(s.written) for s in sentences) <= len(text)
    assert len(front_end.warnings()) <= 64
