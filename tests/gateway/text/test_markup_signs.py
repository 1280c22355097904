"""What signs of markup are does not depend on how much of the text is there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.text.markup.blocks import Block, read_line_start
from gateway.text.markup.brackets import Bracket, read_bracket
from gateway.text.markup.pauses import break_ms, milliseconds
from gateway.text.markup.tags import Angle, Angled, Tag, read_tag

SIGNS = r"""
< > / = " ' a b break time div <!-- <![CDATA[ ? ! : @ . x.org https:// [ ] ( ) ^ 1 : * - _ # ` ~ |
"""
TEXTS = st.lists(st.sampled_from([*SIGNS.split(), " ", "\n", "- ", "```", "x" * 100])).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_an_answer_that_is_given_never_changes(text: str) -> None:
    for end in range(1, len(text) + 2):
        part = "<" + text[: end - 1]
        found = read_tag(part, 0, False, False)
        if found is not Angle.WAIT:
            assert read_tag("<" + text, 0, False, True) == found
            break
    for end in range(1, len(text) + 2):
        bracketed = read_bracket("[" + text[: end - 1], 0, True, True, False)
        if bracketed.kind is not Bracket.WAIT:
            assert read_bracket("[" + text, 0, True, True, True) == bracketed
            break
    for end in range(1, len(text) + 1):
        start = read_line_start(text[:end], 0, False)
        if start.block is not Block.WAIT:
            assert read_line_start(text, 0, True) == start
            break


@pytest.mark.parametrize("sign", ["<" + "a" * 5000, "[" + "a" * 5000, '<a b="' + "c" * 5000])
def test_a_sign_that_nothing_closes_is_plain_in_the_end(sign: str) -> None:
    if sign[0] == "<":
        assert read_tag(sign, 0, False, False) is Angle.PLAIN
    else:
        assert read_bracket(sign, 0, False, False, False).kind is Bracket.PLAIN


def test_tags() -> None:
    tag = read_tag("x <A  HREF='a&amp;b' hidden data-x=1 /> y", 2, False, False)
    assert tag == Tag("a", {"href": "a&b", "hidden": "", "data-x": "1"}, False, True, 39)
    assert read_tag("</p >", 0, False, False) == Tag("p", {}, True, False, 5)
    assert read_tag("<your name>", 0, False, False) == Angled(10)
    assert read_tag("a<b and c>", 1, True, False) is Angle.PLAIN
    assert read_tag("< b>", 0, False, False) is Angle.PLAIN
    assert read_tag("<b", 0, False, False) is Angle.WAIT
    assert read_tag("<b", 0, False, True) is Angle.PLAIN


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        ("300ms", 300),
        ("1.5s", 1500),
        (" .25 S ", 250),
        ("0s", 0),
        ("99s", 10_000),
        ("5", None),
        ("-1s", None),
        ("1e3s", None),
        ("", None),
        ("9" * 50 + "s", None),
    ],
)
def test_times_of_pauses(time: str, ms: int | None) -> None:
    assert milliseconds(time) == ms


def test_breaks_have_a_time_or_a_strength() -> None:
    assert break_ms({"time": "1s", "strength": "weak"}) == 1000
    assert break_ms({"strength": "x-strong"}) == 1200
    assert break_ms({"strength": "none"}) == 0
    assert break_ms({}) == break_ms({"time": "soon"}) == 400
