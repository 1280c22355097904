"""Where sentences end, and that it does not matter how the text arrives."""

# ruff: noqa: RUF001 (punctuation of many scripts)

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
        "🙂",
    ]
)


@given(st.lists(PIECES, max_size=40), st.integers(20, 60))
def test_sentences_are_the_same_in_whatever_parts_the_text_arrives(
    pieces: list[str], max_chars: int
) -> None:
    whole = SentenceSplitter(max_chars)
    text = "".join(pieces)
    parts = SentenceSplitter(max_chars)
    found = [s for piece in pieces for s in parts.feed(piece)] + parts.finish()
    assert found == whole.feed(text) + whole.finish()


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
