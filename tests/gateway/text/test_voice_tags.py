"""Voices that a text names: who speaks which sentence, however the text arrives."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm import errors
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits
from gateway.text.markup.voice_tags import MAX_DEPTH
from gateway.text.options import Markup, TextRules, TextWarning
from gateway.text.sentence import Sentence
from gateway.text.voicing import SpeakingVoice, VoiceRefused, Voicing

NUMBERS = {"slt": 0, "rms": 1, "awb": 2}
LEXICONS = {"rms": Lexicon({"sql": "sequel"})}


def find(name: str) -> SpeakingVoice:
    if name not in NUMBERS:
        raise VoiceRefused("no such voice")
    return SpeakingVoice(name, NUMBERS[name], LEXICONS.get(name, Lexicon({})))


def front_end(markup: Markup = Markup.OBEY, *, must_know: bool = False) -> FrontEnd:
    voicing = Voicing(find("slt"), find, lambda: Limits(200), must_know)
    return FrontEnd(TextRules(markup=markup), voicing)


def read(text: str, markup: Markup = Markup.OBEY) -> list[tuple[str, str]]:
    return [(s.voice, s.text) for s in front_end(markup).whole(text)]


def heard(parts: list[tuple[str, str]]) -> tuple[list[Sentence], list[TextWarning]]:
    reader = front_end()
    found = [s for text, voice in parts for s in reader.feed(text, voice)] + reader.finish()
    return found, reader.warnings()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "[voice: rms] Hello.\n[voice: awb] Hi there, you.",
            [("rms", "Hello."), ("awb", "Hi there, you.")],
        ),
        ("I say [Voice=rms] and he says", [("slt", "I say"), ("rms", "and he says")]),
        ("[voice: rms] A one. A two. [/voice] Three.", [
            ("rms", "A one."), ("rms", "A two."), ("slt", "Three."),
        ]),
        ("[voice:rms]One.[VOICE:awb]Two.", [("rms", "One."), ("awb", "Two.")]),
        ('One <voice name="rms">two</voice> three', [
            ("slt", "One"), ("rms", "two"), ("slt", "three"),
        ]),
        ("<speak><voice name='rms'>Two <voice name='awb'>three</voice> four</voice>five</speak>", [
            ("rms", "Two"), ("awb", "three"), ("rms", "four"), ("slt", "five"),
        ]),
        ("<voice name='rms'>Two [voice: awb] three</voice> four", [
            ("rms", "Two"), ("awb", "three"), ("slt", "four"),
        ]),
        ("<voice gender='male'>all of</voice> it", [("slt", "all of it")]),
        ("<voice name='rms'/>all of it</voice></voice>", [("slt", "all of it")]),
        ("<voice name='rms'>never closed. Really.", [
            ("rms", "never closed."), ("rms", "Really."),
        ]),
        ("[voice: awb] [voice: rms] two", [("rms", "two")]),
        ("one [voice: rms]", [("slt", "one")]),
        ("one [voice: rms", [("slt", "one voice: rms")]),
        ("a voice: rms [voice over] [voice] it", [("slt", "a voice: rms voice over voice it")]),
        ("`[voice: rms]` one", [("slt", "voice: rms one")]),
        ("<!-- [voice: rms] --> one", [("slt", "one")]),
        ("one [voice: rms] [pause 1s] two", [("slt", "one"), ("rms", "two")]),
        ("SQL [voice: rms] SQL [/voice] SQL", [
            ("slt", "SQL"), ("rms", "sequel"), ("slt", "SQL"),
        ]),
    ],
)  # fmt: skip
def test_a_tag_says_who_speaks_from_there_on(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(v, t.replace("[", "").replace("]", "")) for v, t in read(text)] == wanted


def test_tags_are_taken_out_by_strip_and_read_by_off() -> None:
    text = '[voice: rms] One <voice name="awb">two</voice>.'
    assert read(text, Markup.STRIP) == [("slt", "One two.")]
    ((voice, off),) = read(text, Markup.OFF)
    assert voice == "slt"
    assert "voice" in off
    assert "awb" in off


def test_a_sentence_is_what_was_written_without_its_tag_and_where() -> None:
    text = 'Hi. [voice: rms] So. <voice name="awb">And then?</voice> End.'
    sentences = front_end().whole(text)
    assert [s.written for s in sentences] == ["Hi.", "So.", "And then?", "End."]
    assert [text[s.first_char : s.end_char] for s in sentences] == [s.written for s in sentences]
    assert [s.speaker for s in sentences] == [0, 1, 2, 1]


def test_an_unknown_voice_is_told_once_and_the_turns_own_speaks() -> None:
    text = "[voice: bob] One. [voice: rms] Two. [voice: bob] Three."
    reader = front_end()
    assert [s.voice for s in reader.whole(text)] == ["slt", "rms", "slt"]
    assert reader.warnings() == [TextWarning("IGNORED", 0, 12, "no such voice")]


def test_where_voices_must_be_known_the_text_is_refused_by_field() -> None:
    reader = front_end(must_know=True)
    with pytest.raises(errors.InvalidArgument) as refused:
        reader.whole("One. [voice: bob] Two.")
    (violation,) = refused.value.violations
    assert (violation.field, violation.description) == ("text", "characters 5..17: no such voice")


def test_voices_nested_too_deep_change_nothing_and_are_told() -> None:
    deep = "<voice name='rms'>" * (MAX_DEPTH + 2) + "one" + "</voice>" * (MAX_DEPTH + 2) + "two"
    reader = front_end()
    assert [(s.voice, s.text) for s in reader.whole(deep)] == [("rms", "one"), ("slt", "two")]
    kinds = [warning.kind for warning in reader.warnings()]
    assert kinds == ["IGNORED", "IGNORED"]


def test_parts_of_several_voices_make_one_turn_and_a_change_ends_a_sentence() -> None:
    parts = [("I say", "rms"), (" this. And", "rms"), ("you that", "awb"), (" and I", "")]
    sentences, _ = heard(parts)
    assert [(s.voice, s.text) for s in sentences] == [
        ("rms", "I say this."),
        ("rms", "And"),
        ("awb", "you that"),
        ("slt", "and I"),
    ]
    text = "".join(part for part, _ in parts)
    assert all(text[s.first_char : s.end_char] == s.written for s in sentences)


def test_a_tag_holds_in_parts_of_one_voice_and_ends_where_another_begins() -> None:
    sentences, _ = heard([("[voice: awb] One.", "rms"), (" Two.", "rms"), (" Three.", "slt")])
    assert [s.voice for s in sentences] == ["awb", "awb", "slt"]
    sentences, _ = heard([("[voice: awb] One. [/voice]", "rms"), (" Two.", "rms")])
    assert [s.voice for s in sentences] == ["awb", "rms"]
    # The turn's own voice, named or not, is no change.
    sentences, _ = heard([("One", ""), (" and", "slt"), (" two.", "")])
    assert [s.text for s in sentences] == ["One and two."]
    # No tag goes on in another's words.
    sentences, warnings = heard([("One [voice: a", "rms"), ("wb] two", "slt")])
    assert [s.voice for s in sentences] == ["rms", "slt"]
    assert not warnings


def test_an_unknown_voice_of_a_part_is_told_where_the_part_begins() -> None:
    sentences, warnings = heard([("One. ", ""), ("Two.", "bob")])
    assert [s.voice for s in sentences] == ["slt", "slt"]
    assert warnings == [TextWarning("IGNORED", 5, 5, "no such voice")]


def test_a_flush_leaves_a_tag_that_has_begun() -> None:
    for text in ("[v", "[voice: r", "[/voi", "<voice name='r"):
        reader = front_end()
        found = reader.feed(f"One. {text}") + reader.flush()
        assert [s.text for s in found] == ["One."]
    reader = front_end()
    found = (
        reader.feed("One. [voi") + reader.flush() + reader.feed("ce: rms] two") + reader.finish()
    )
    assert [(s.voice, s.text) for s in found] == [("slt", "One."), ("rms", "two")]


PIECES = st.sampled_from(
    [
        *("[voice: rms]", "[voice: awb]", "[voice: bob]", "[/voice]", "[voice:", "]", "[", "voice"),
        *(
            "<voice name='rms'>",
            '<voice name="awb">',
            "<voice>",
            "</voice>",
            "<voice",
            "[pause 1s]",
        ),
        *("One.", "two", " ", "\n", "\n\n", "- ", "`", "|", "!", "# "),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.data())
def test_who_speaks_is_the_same_however_the_text_arrives(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    parts = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    whole = heard([(text, "")])
    assert heard([(char, "") for char in text]) == whole
    assert heard([(part, "") for part in parts]) == whole


@pytest.mark.parametrize(
    "text",
    [
        "[voice: rms] a. [voice: awb] b. " * 5_000,
        "[voice: rms]" * 10_000,
        '<voice name="rms">' * 10_000,
        "[voice: " * 10_000,
        "".join(f"[voice: n{number}] a. " for number in range(10_000)),
    ],
    ids=["script", "tags", "elements", "unclosed", "unknown"],
)
def test_ten_thousand_tags_take_bounded_time(text: str) -> None:
    began = time.process_time()
    reader = front_end()
    sentences = reader.whole(text)
    assert time.process_time() - began < 15
    assert len(sentences) in (0, 200, 10_000) or "voice" in sentences[0].text
    assert len(reader.warnings()) <= 64
