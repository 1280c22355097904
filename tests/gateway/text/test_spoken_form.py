"""The spoken form: two tables of texts, the origin of what is said, languages, hostile texts."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import random
import time
from pathlib import Path

import pytest

from gateway.text.lexicon import Lexicon
from gateway.text.mapped import MappedText
from gateway.text.spoken import spoken_form, spoken_words

_DATA = Path(__file__).parent / "data"
_MARKUP = (
    "# A title",
    "- one\\n- two\\n- three",
    "1. First thing\\n2. Second thing\\n3. Third thing",
    "See [the docs](http://a.b/c).",
    "![a cat](cat.png) Look.",
    '<speak>Hello <break time="500ms"/> you</speak>',
    "<b>Hello</b> you &amp; me.",
    "**Bold**, _soft_ and `code`.",
    "Hi 👍 there 🎉.",
    "👍",
)
"""Rows whose markup is taken out before the spoken form is asked for."""


def _rows(name: str) -> list[tuple[str, str]]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    rows = [line.partition("\t") for line in lines if "\t" in line and line[:6] != "# text"]
    return [(written, said) for written, _, said in rows if written not in _MARKUP]


def _words(text: str) -> list[str]:
    """As the tables compare: lower case, no marks, hyphens as spaces."""
    plain = "".join(c if c.isalnum() else " " if c != "'" else "" for c in text.lower())
    return plain.split()


@pytest.mark.parametrize(("written", "said"), [*_rows("text.tsv"), *_rows("spoken_more.tsv")])
def test_reads_what_is_written(written: str, said: str) -> None:
    text = written.replace("\\n", "\n").replace("\\u200b", "\u200b")
    assert _words(spoken_words(text)) in [_words(one) for one in said.split("||")]


@pytest.mark.parametrize(("written", "said"), _rows("spoken_more.tsv"))
def test_what_is_in_words_stays_as_it_is(written: str, said: str) -> None:
    once = spoken_words(written)
    assert spoken_words(once) == once


def test_marks_and_case_of_a_sentence_stay() -> None:
    for text in (
        "Well, I said: no; never! Did you (really) hear it?",
        'She said "yes", and he didn\'t.',
        "He lives in McMurdo. It's cold there.",
        "Ah... never mind.",
    ):
        assert spoken_words(text) == text
    assert spoken_words("Paid $5 on May 5, 2024.") == (
        "Paid five dollars on May fifth, twenty twenty four."
    )
    assert spoken_words("He lives on Main St. She left at 5 p.m. They met Dr. Lee.") == (
        "He lives on Main Street. She left at five P M. They met Doctor Lee."
    )


def test_each_word_knows_where_it_comes_from() -> None:
    written = "Dr. Lee paid $3.50 for 10 km."
    text = spoken_form(MappedText.of(written, first_char=100))
    assert text.text == "Doctor Lee paid three dollars and fifty cents for ten kilometers."
    for word, source in (
        ("Doctor", "Dr."),
        ("Lee", "Lee"),
        ("three dollars and fifty cents", "$3.50"),
        ("for", "for"),
        ("ten kilometers", "10 km"),
        (".", "."),
    ):
        at = text.text.rindex(word)
        first, end = text.span(at, at + len(word))
        assert written[first - 100 : end - 100] == source


def test_origins_are_in_order_whatever_the_text() -> None:
    rng = random.Random(3)
    pieces = [written for written, _ in _rows("spoken_more.tsv")]
    for _ in range(60):
        written = " ".join(rng.sample(pieces, 3))[: rng.randrange(10, 200)]
        text = spoken_form(MappedText.of(written))
        assert len(text.firsts) == len(text.ends) == len(text.text)
        assert list(text.firsts) == sorted(text.firsts)
        assert all(
            0 <= first < end <= len(written)
            for first, end in zip(text.firsts, text.ends, strict=True)
        )


def test_a_text_with_mistakes_is_read_too() -> None:
    rng = random.Random(5)
    odd = (
        "0123456789.,:;-–—/'\"()<>$€£%#@&*+=~^_|!? \n\tabcxyzABCIVXsmkg°²½×±π①Ⅳ٣\u0301\u200b\u202e’"
    )
    rows = [written for written, _ in _rows("spoken_more.tsv")]
    for _ in range(600):
        chars = list(rng.choice(rows) + " " + rng.choice(rows))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(chars))
            chars[at : at + rng.randrange(3)] = rng.choice(odd)
        written = "".join(chars)
        text = spoken_form(MappedText.of(written))
        assert list(text.firsts) == sorted(text.firsts), written
        assert not any(char.isdecimal() for char in text.text), (written, text.text)


def test_no_digit_and_no_control_character_is_left() -> None:
    odd = [
        f"{a}{b}5{a} 1{b}{a}{b}"
        for a in "$€%#@/-.,:'\"([°²½–×^_*~x"
        for b in "$€%#@/-.,:'\")]°³¼—÷k+=|M"
    ]
    odd += ["".join(chr(code) for code in range(start, start + 40)) for start in range(0, 9000, 40)]
    for text in odd:
        said = spoken_words(text)
        assert not any(char.isdecimal() for char in said), (text, said)
        assert all(char.isprintable() or char not in "\x00\x1b\u202e\u200b" for char in said)


def test_another_language_is_left_alone() -> None:
    text = "Es kostet 3,50 €  am\n29.11.2026 um 5 Uhr."
    assert spoken_form(MappedText.of(text), "de").text == text.replace("  ", " ").replace("\n", " ")
    assert spoken_form(MappedText.of("5 km"), "en-GB").text == "five kilometers"
    assert spoken_form(MappedText.of("5 km"), "en_US").text == "five kilometers"


def test_what_a_lexicon_puts_in_is_not_touched() -> None:
    lexicon = Lexicon({"SQL": "sequel", "kg": "K 9 & co.", "Dr. No": "Dr. Nöh"})
    text = spoken_form(lexicon.apply(MappedText.of("5 kg of SQL, Dr. No.")))
    assert text.text == "five K 9 & co. of sequel, Dr. Nöh."


@pytest.mark.parametrize(
    "piece",
    [
        *"7aA\u0301\u202e./\\- $#'\"½²",
        "1,",
        "1.",
        "1-",
        "1 ",
        "1/",
        "1:",
        "123 ",
        "A.",
        "AB ",
        "a1",
        "a.",
        "a-",
        "a/",
        "a@",
        "a_",
        " /",
        "$1",
        '1"',
        "IV ",
        "May 5 ",
        "-=",
        "\U000f0041",
        "1984 ",
        "Feb. ",
        "Dr. ",
        "St. ",
        "5 km ",
        "https://",
        "7,777",
        "NASA ",
        "...!",
        "#a",
        "+1 ",
        "f(n-1",
        "x² - ",
        "1x",
        '1" x ',
        "1.30pm-",
        "[1,2",
        "1.5/",
        ". ",
        "ab7-",
        "x_{i}",
        "\\sum_{i}^",
        "$a_n",
    ],
    ids=lambda piece: f"{piece!a}",
)
def test_a_hostile_text_takes_linear_time(piece: str) -> None:
    small, large = ("a " + piece * (size // len(piece)) for size in (1_000, 8_000))
    # The shortest of two: a search for garbage in the tests' whole heap takes as long as all of it.
    seconds = tuple(min(_spent(text) for _ in range(2)) for text in (small, large))
    # Eight times the text; what is quadratic takes 64 times the time.
    assert seconds[1] < 0.03 + 20 * seconds[0], seconds
    assert seconds[1] < 2


@pytest.mark.parametrize(
    "char", ["7", "a", "\u0301", "\u202e", ".", "/"], ids=lambda char: f"{char!a}"
)
def test_a_long_run_of_one_character_takes_little_time(char: str) -> None:
    # About 0.4 s for the digits, which become half a million characters; with room for a machine
    # that has much else to do.
    assert _spent(char * 100_000) < 2


def _spent(text: str) -> float:
    start = time.process_time()
    spoken_words(text)
    return time.process_time() - start


def test_a_sentence_takes_few_milliseconds() -> None:
    text = (
        "Dr. Brown paid $42.50 on May 12, 2024 at 10:30 a.m.; 15% of 1,234 people (or so) came to "
        "5 Main St., and nobody knew what the U.S. would say about it."
    )
    assert len(text) > 145
    spoken_words(text)
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.005, f"{best * 1e3:.2f} ms"


def _seconds(text: str) -> float:
    return sum(_spent(text) for _ in range(10)) / 10
