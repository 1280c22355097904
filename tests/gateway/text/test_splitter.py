"""Where sentences end, and that it does not matter how the text arrives."""

# ruff: noqa: RUF001 (punctuation of many scripts)

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.sentences import SentenceSplitter, clean, speakable


def split(text: str, max_chars: int = 200) -> list[str]:
    splitter = SentenceSplitter(max_chars)
    return [s.text for s in splitter.feed(text) + splitter.finish()]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("It is 3.14, not 3.2.", ["It is 3.14, not 3.2."]),
        ("Dr. Smith met Mr. Jones. They spoke.", ["Dr. Smith met Mr. Jones.", "They spoke."]),
        ("Use apples, e.g. Boskoop. Good.", ["Use apples, e.g. Boskoop.", "Good."]),
        ("At 5 p.m. we left. It rained.", ["At 5 p.m. we left.", "It rained."]),
        ("We left at 5 p.m. It rained.", ["We left at 5 p.m.", "It rained."]),
        ("J. S. Bach wrote it. Yes.", ["J. S. Bach wrote it.", "Yes."]),
        ("Take No. 5 now. No. I will not.", ["Take No. 5 now.", "No.", "I will not."]),
        ("Well... maybe not. Fine.", ["Well... maybe not.", "Fine."]),
        ("Well... Maybe not.", ["Well...", "Maybe not."]),
        ("Hm… Perhaps.", ["Hm…", "Perhaps."]),
        ('"Why?" she asked. "No."', ['"Why?" she asked.', '"No."']),
        ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
        ("1. Buy milk. 2. Go home.", ["1. Buy milk.", "2. Go home."]),
        ("你好。今天好吗？很好！", ["你好。", "今天好吗？", "很好！"]),
        ("他说：「走吧。」然后走了。", ["他说：「走吧。」", "然后走了。"]),
        ("A title\n\nThe text", ["A title", "The text"]),
        ("one line\nand the next", ["one line and the next"]),
        ("see example.com today. Bye.", ["see example.com today.", "Bye."]),
        ("no stop at all", ["no stop at all"]),
        ("Hi. 🙂 ... Bye.", ["Hi.", "Bye."]),
        ("... !!! ", []),
        ("", []),
    ],
)
def test_text_is_split_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_a_sentence_is_given_as_soon_as_it_is_certain() -> None:
    splitter = SentenceSplitter(200)
    assert [s.text for s in splitter.feed("Hello")] == []
    assert [s.text for s in splitter.feed(" there.")] == []
    assert [s.text for s in splitter.feed(" ")] == ["Hello there."]
    assert [s.text for s in splitter.feed("We left at 5 p.m. ")] == []
    assert [s.text for s in splitter.feed("T")] == ["We left at 5 p.m."]
    assert [s.text for s in splitter.finish()] == ["T"]


def test_a_long_sentence_is_cut_at_a_comma_then_at_a_space_then_anywhere() -> None:
    assert split("one two three four, five six seven", 24) == [
        "one two three four,",
        "five six seven",
    ]
    assert split("one two three four five six", 20) == ["one two three four", "five six"]
    assert split("x" * 45, 20) == ["x" * 20, "x" * 20, "x" * 5]
    assert split("天" * 15 + "，" + "地" * 10, 20) == ["天" * 15 + "，", "地" * 10]


def test_positions_count_the_characters_of_the_text_as_it_was_given() -> None:
    splitter = SentenceSplitter(200)
    text = "  One \t two.   Three\n four!  "
    sentences = splitter.feed(text) + splitter.finish()
    assert [s.text for s in sentences] == ["One two.", "Three four!"]
    assert sentences[0].end_chars == text.index(".") + 1
    assert text[: sentences[1].end_chars].rstrip().endswith("four!")
    assert [text[s.first_char : s.end_chars].rstrip() for s in sentences] == [
        "One \t two.",
        "Three\n four!",
    ]


def test_control_characters_become_spaces() -> None:
    assert clean("a\x00b\x1b[0m\r\n c") == "a b [0m c"
    assert not speakable("\x00\n🙂…!")
    assert speakable("é")
    assert speakable("7")
    assert speakable("中")


PIECES = st.sampled_from(
    [
        "Hello",
        " ",
        "Dr",
        ".",
        "...",
        "?",
        "!",
        "3",
        "。",
        "”",
        '"',
        "\n",
        "\n\n",
        ",",
        "a",
        "No",
        "etc.",
        "mr.",
        "中",
        "，",
        "e\u0301",
        "\u0301",
        " " * 25,
        "x" * 25,
        "🙂",
    ]
)


@given(st.lists(PIECES, max_size=40), st.integers(20, 60), st.data())
def test_sentences_are_the_same_in_whatever_parts_the_text_arrives(
    pieces: list[str], max_chars: int, data: st.DataObject
) -> None:
    text = "".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20).map(sorted))
    in_parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = SentenceSplitter(max_chars)
    expected = whole.feed(text) + whole.finish()
    for parts in (pieces, list(text), in_parts):
        splitter = SentenceSplitter(max_chars)
        assert [s for part in parts for s in splitter.feed(part)] + splitter.finish() == expected


@given(st.text(max_size=300), st.integers(20, 60))
def test_no_word_is_lost_and_no_sentence_is_too_long(text: str, max_chars: int) -> None:
    splitter = SentenceSplitter(max_chars)
    found = splitter.feed(text) + splitter.finish()
    kept = "".join(c for s in found for c in s.text if speakable(c))
    assert kept == "".join(c for c in clean(text) if speakable(c))
    assert all(len(s.text) <= max_chars for s in found)
    ends = [s.end_chars for s in found]
    assert ends == sorted(set(ends))
    assert all(e <= len(text) for e in ends)
    for one in found:
        assert clean(text[one.first_char : one.end_chars]) == one.text
        assert not text[one.first_char].isspace()


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(" ", id="blanks"),
        pytest.param("\n", id="line breaks"),
        pytest.param("x", id="one letter"),
        pytest.param("7", id="digits"),
        pytest.param(".", id="dots"),
        pytest.param("。", id="wide stops"),
        pytest.param("“", id="opening quotes"),
        pytest.param("”", id="closing quotes"),
        pytest.param(".”", id="stops and closing quotes"),
        pytest.param("\u0301", id="combining marks"),
        pytest.param("\u200d", id="joiners"),
        pytest.param("，", id="clause marks"),
        pytest.param("mr. ", id="titles"),
        pytest.param("mr.", id="titles without a space"),
        pytest.param("a ", id="short words"),
        pytest.param("🙂", id="emoji"),
        pytest.param("中", id="no spaces"),
        pytest.param(". ", id="lone stops"),
        pytest.param(" .", id="stops behind blanks"),
        pytest.param("a" + "\u0301" * 40, id="letters under many marks"),
    ],
)
@pytest.mark.parametrize(("prefix", "max_chars"), [("", 4096), ("a, and so on etc.” ", 200)])
def test_no_text_takes_long_to_split_however_it_arrives(
    prefix: str, unit: str, max_chars: int
) -> None:
    """100,000 characters one by one, in seconds of this process alone: about 0.2 s each."""
    text = (prefix + unit * 100_000)[:100_000] + "Y."
    began = time.process_time()
    splitter = SentenceSplitter(max_chars)
    one_by_one = [s for char in text for s in splitter.feed(char)] + splitter.finish()
    middle = time.process_time()
    splitter = SentenceSplitter(max_chars)
    at_once = splitter.feed(text) + splitter.finish()
    ended = time.process_time()
    assert at_once == one_by_one
    assert middle - began < 1.5
    assert ended - middle < 1.5
