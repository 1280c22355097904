"""A long text in parts: what the gateway finds in them is what it finds in the whole."""

import random
import time

import pytest

from csm.cli.text_parts import TextParts, parts_of
from gateway.text.front_end import FrontEnd
from gateway.text.limits import Limits
from gateway.text.options import TextRules
from gateway.text.voicing import SpeakingVoice, Voicing
from tests.csm.cli.conftest import ROOT

PROSE = "The quick brown fox jumps over the lazy dog. Does it rain, or does it not? "
CODE = "```python\n\ndef f(a):\n    return a.b\n\n# Not prose. No.\nprint('One. Two.')\n```\n"
WORDS = ["alpha", "river", "stone", "garden", "window", "yellow", "people", "letter", "music"]


def read(text: str) -> list[tuple[str, str]]:
    """Its sentences as spoken, with who speaks each."""
    voicing = Voicing(SpeakingVoice("own"), SpeakingVoice, lambda: Limits(200))
    found = FrontEnd(TextRules(normalize=False), voicing).whole(text)
    return [(sentence.voice, sentence.text) for sentence in found]


def read_parts(parts: TextParts) -> list[tuple[str, str]]:
    return [sentence for _, part in parts.parts for sentence in read(part)]


def expect_same(text: str, most: int) -> TextParts:
    parts = parts_of(text, most)
    assert len(parts.parts) > 1
    assert all(len(part) <= most for _, part in parts.parts)
    assert read_parts(parts) == read(text)
    return parts


def test_a_long_text_is_cut_into_parts_that_the_server_takes() -> None:
    sentence = "The quick brown fox jumps over the lazy dog. "
    for text, most in (
        (sentence * 200, 4096), ("word " * 5000, 4096), (("para. " * 90 + "\n\n") * 30, 4096),
        ("one,two;three " * 999, 100), ("\u4f60\u597d\u3002 " * 3000, 512),
        ("\u4f60\u597d\u3002" * 3000, 512),
    ):  # fmt: skip
        placed, left_out = parts_of(text.strip(), most)
        parts = [part for _, part in placed]
        assert not left_out
        assert all(text[first:].startswith(part) for first, part in placed)
        assert all(0 < len(part) <= most for part in parts)
        assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part.endswith(".") for _, part in parts_of((sentence * 200).strip(), 4096).parts)
    assert parts_of("short", 4096) == ([(0, "short")], [])
    assert parts_of("", 4096) == ([(0, "")], [])
    # A single word is not cut; the server says what is wrong with it.
    assert parts_of("a" * 5000, 4096).parts == [(0, "a" * 5000)]


def test_who_speaks_holds_in_the_parts_of_a_long_text() -> None:
    text = (
        "[voice: ann] One two. Three four. [voice: bob] Five six. Seven eight. [/voice] Nine ten."
    )
    parts = parts_of(text, 36).parts
    assert [part for _, part in parts] == [
        "[voice: ann] One two. Three four.",
        "[voice: ann][voice: bob] Five six.",
        "[voice: bob]Seven eight.",
        "[voice: bob][/voice] Nine ten.",
    ]
    for begin, part in parts:
        assert len(part) <= 36
        own = part.split("]")[-1].strip()
        assert text.index(own) - begin == part.index(own)


@pytest.mark.parametrize("most", [4096, 1500])
def test_the_documents_of_this_repository_are_read_in_parts_as_they_are_whole(most: int) -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8").strip()
        parts = parts_of(text, most)
        assert read_parts(parts) == read(text), path


@pytest.mark.parametrize(
    "unit",
    [
        PROSE + "\n\n" + CODE + PROSE + "\n\n",
        PROSE + "\n" + CODE.replace("```", "~~~~") + PROSE + "\n",
        "> " + PROSE + "\n> ```\n> " + PROSE + "\n```\n" + PROSE + "\n\n",
        "# A title\n\n- One thing.\n- Another\n\n| a | b |\n|---|---|\n| Yes. No | it |\n\n",
        "| The one. | The other. And more. | A third. |\n",
        PROSE + "The <sub alias='World Wide Web. Consortium'>W3C. Or not.</sub> says so. ",
        PROSE + "It is <say-as interpret-as='characters'>AB. CD</say-as> now. ",
        PROSE + "See [the page. Of it](http://a.b/c 'A title. Of it.') there. ",
        PROSE + "<!-- " + PROSE + "\n\n" + PROSE + " --> ",
        PROSE + "<style> a { b. c } \n\n d. e </style>\n\n",
        PROSE + "I write `<voice name='x'> so. And` so, or \\<voice name='x'> so. ",
        "<p><s>It rains here.</s><s>It rains there.</s></p><p>Does it rain?</p>",
        "<tr><td>The one. Yes.</td> <td>The other. No.</td></tr> ",
        "[voice: ann] " + PROSE + "[/voice] " + PROSE,
        "[voice: ann]\n# A title\n\n" + PROSE * 9 + "\n\n# A title\n\n- An item\n- It\n\n",
        "<voice name='ann'>" + PROSE + "<voice name='bob'>" + PROSE * 6 + "</voice>" + PROSE * 6
        + "[voice: eve] " + PROSE * 6 + "</voice>" + PROSE,
        "<voice gender='male'>[voice: ann] " + PROSE * 6 + "</voice>" + PROSE * 6,
        "</voice>" * 3 + "<voice name='ann'>" * 40 + PROSE * 9 + "</voice>" * 9 + PROSE * 9,
        "<![CDATA[" + PROSE + "a <b c='d'> " + PROSE + "]]> ",
    ],
)  # fmt: skip
def test_markup_is_read_in_parts_as_it_is_in_the_whole(unit: str) -> None:
    text = unit * (1 + 9000 // len(unit))
    for first in ("", "So. ", PROSE * 3):
        for last in (3000, 1111):
            expect_same(f"{first}{text}", last)
            expect_same(f"<speak>{first}{text}</speak>", last)


def test_an_open_voice_and_what_is_spelled_go_on_in_the_next_part() -> None:
    text = f"<speak><voice name='ann'>{PROSE * 80}</voice>{PROSE}</speak>"
    parts = expect_same(text, 4096).parts
    assert parts[1][1].startswith("<speak><voice name='ann'>The quick")
    begin, part = parts[1]
    assert part[len("<speak><voice name='ann'>") :] in text[begin:]
    assert text[begin + part.index("The") :].startswith("The quick")
    spelled = "<say-as interpret-as='characters'>" + "AB CD " * 900 + "</say-as> It is so."
    parts = parts_of(spelled, 4096).parts
    assert parts[1][1].startswith("<say-as interpret-as='characters'>AB CD")
    # Where a sentence that is too long is cut differs.
    assert letters(read_parts(parts_of(spelled, 4096))) == letters(read(spelled))


def test_code_that_no_part_takes_is_left_out_and_told_and_the_prose_behind_it_is_read() -> None:
    code = "```\n" + "x = 1. Or 2.\n\n" * 500 + "```\n"
    text = f"{PROSE}\n\n{code}\n{PROSE * 80}"
    parts = expect_same(text, 4096)
    assert parts.left_out == [(text.index("```"), text.index("```") + len(code))]
    # Where nothing closes it, all is code, as in the whole.
    text = f"{PROSE * 60}\n\n```\n{PROSE * 200}"
    parts = expect_same(text, 4096)
    assert parts.left_out == [(text.index("```"), len(text))]
    for silent in ("<!-- {} -->", "<script>{}</script>", "<sub alias='So it is.'>{}</sub>"):
        expect_same(PROSE * 9 + silent.format(PROSE * 80) + PROSE * 60, 4096)


def test_very_much_markup_takes_no_time_that_grows_with_its_square() -> None:
    for unit in ("```\n```\n", "<voice name='a'>x ", "[voice: a] ", "</voice> ", "[a [b ", "`a ",
                 "<sub alias='x'>y ", "<say-as interpret-as='characters'> a ", "<a b=\"", "![a](b ",
                 "<!-- a --> ", "| a ", "> ", "a. "):  # fmt: skip
        began = time.process_time()
        assert parts_of(unit * (400_000 // len(unit)), 4096).parts
        assert time.process_time() - began < 5, unit


def test_a_part_of_which_nothing_is_spoken_is_not_sent() -> None:
    text = f"<speak>{(PROSE * 40).strip()}\n\n{CODE * 2}\n\n<br/> [pause 1s] </speak>"
    most = text.index("```")
    parts = parts_of(text, most)
    assert len(parts.parts) == 1
    assert read_parts(parts) == read(text)
    assert parts.left_out == [(most, most + len(CODE)), (most + len(CODE), most + 2 * len(CODE))]
    # The server says why, where it is so of the whole.
    ((first, part),), left_out = parts_of(CODE * 100, 4096)
    assert (first, left_out) == (0, [])
    assert part.startswith("```python")
    assert len(part) <= 4096


def test_markup_that_is_to_be_read_is_words() -> None:
    text = f"{CODE}[voice: ann] {PROSE * 60}{CODE}"
    parts, left_out = parts_of(text, 512, marked=False)
    assert not left_out
    assert " ".join(" ".join(part for _, part in parts).split()) == " ".join(text.split())


def test_whatever_the_markup_parts_end_and_are_no_longer_than_they_may_be() -> None:
    pieces = [
        "<", ">", "<voice name='ann'>", "</voice>", "[voice: bob]", "[", "]", "(", ")", "`", "```",
        "\n```\n", "\n~~~\n", "\n\n", "\n| ", " | ", "<!--", "-->", "<![CDATA[", "]]>", "<script>",
        "</script>", "<sub alias='It is'>", "</sub>", "\n- ", "\n# ", "\n> ", "\\", "<speak>",
        "<s>", "<say-as interpret-as='characters'>", "</say-as>", "</s>", "<tr>", "![",
        "](x.y 'z')", "<a href='", "'", "[^1]", "\n[x]: http://a.b c",
    ]  # fmt: skip
    for seed in range(300):
        chance = random.Random(seed)
        text = ""
        while len(text) < 4000:
            words = " ".join(chance.choices(WORDS, k=chance.randint(1, 30)))
            text += (
                chance.choice(pieces) + words.capitalize() + chance.choice((". ", " ", ".", "? "))
            )
        for most in (60, 1000):
            parts = parts_of(text, most)
            assert all(len(part) <= most for _, part in parts.parts), seed
            if most == 1000:
                assert letters(read_parts(parts)) == letters(read(text)), seed


def letters(sentences: list[tuple[str, str]]) -> str:
    return "".join(filter(str.isalpha, "".join(sentence for _, sentence in sentences)))
