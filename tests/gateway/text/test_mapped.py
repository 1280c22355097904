"""Where the characters of an edited text come from."""

import pytest

from gateway.text.mapped import Edit, MappedText


def test_of_maps_to_itself() -> None:
    mapped = MappedText.of("abc", 10)
    assert mapped.span(0, 3) == (10, 13)
    assert mapped.span(1, 2) == (11, 12)
    assert mapped.span(2, 2) == (0, 0)


def test_edited_text_comes_from_the_whole_of_what_it_replaces() -> None:
    mapped = MappedText.of("It is $5 now.").edited([Edit(6, 8, "five dollars")])
    assert mapped.text == "It is five dollars now."
    begin = mapped.text.index("dollars")
    assert mapped.span(begin, begin + 7) == (6, 8)
    assert mapped.span(mapped.text.index("now"), len(mapped)) == (9, 13)


def test_edits_of_edits_still_speak_of_the_first_text() -> None:
    once = MappedText.of("a 1/2 b").edited([Edit(2, 5, "1 half")])
    twice = once.edited([Edit(2, 3, "one")])
    assert twice.text == "a one half b"
    assert twice.span(2, 5) == (2, 5)
    assert twice.span(11, 12) == (6, 7)


def test_insertions_belong_to_the_character_before_them() -> None:
    mapped = MappedText.of("ab").edited([Edit(1, 1, "--"), Edit(2, 2, ".")])
    assert mapped.text == "a--b."
    assert mapped.span(1, 3) == (0, 1)
    assert mapped.span(4, 5) == (1, 2)
    assert MappedText.of("ab", 5).edited([Edit(0, 0, "x")]).span(0, 1) == (5, 6)


def test_stripped() -> None:
    assert MappedText.of("  a b ").stripped().span(0, 3) == (2, 5)
    assert MappedText.of("   ").stripped().text == ""


@pytest.mark.parametrize("edits", [[Edit(1, 3, "x"), Edit(2, 4, "y")], [Edit(3, 2, "")]])
def test_edits_out_of_order_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        MappedText.of("abcdef").edited(edits)
