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

NUMBERS = {"heart": 0, "michael": 1, "emma": 2}
LEXICONS = {"michael": Lexicon({"sql": "sequel"})}


def find(name: str) -> SpeakingVoice:
    if name not in NUMBERS:
        raise VoiceRefused("no such voice")
    return SpeakingVoice(name, NUMBERS[name], LEXICONS.get(name, Lexicon({})))


def front_end(markup: Markup = Markup.OBEY, *, must_know: bool = False) -> FrontEnd:
    voicing = Voicing(find("heart"), find, lambda: Limits(200), must_know)
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
            "[voice: michael] Hello.\n[voice: emma] Hi there, you.",
            [("michael", "Hello."), ("emma", "Hi there, you.")],
        ),
        ("I say [Voice=michael] and he says", [("heart", "I say"), ("michael", "and he says")]),
        ("[voice: michael] A one. A two. [/voice] Three.", [
            ("michael", "A one."), ("michael", "A two."), ("heart", "Three."),
        ]),
        ("[voice:michael]One.[VOICE:emma]Two.", [("michael", "One."), ("emma", "Two.")]),
        ('One <voice name="michael">two</voice> three', [
            ("heart", "One"), ("michael", "two"), ("heart", "three"),
        ]),
        ("<speak><voice name='michael'>Two <voice name='emma'>three</voice> four</voice>five"
         "</speak>", [
            ("michael", "Two"), ("emma", "three"), ("michael", "four"), ("heart", "five"),
        ]),
        ("<voice name='michael'>Two [voice: emma] three</voice> four", [
            ("michael", "Two"), ("emma", "three"), ("heart", "four"),
        ]),
        ("<voice gender='male'>all of</voice> it", [("heart", "all of it")]),
        ("<voice name='michael'/>all of it</voice></voice>", [("heart", "all of it")]),
        ("<voice name='michael'>never closed. Really.", [
            ("michael", "never closed."), ("michael", "Really."),
        ]),
        ("[voice: emma] [voice: michael] two", [("michael", "two")]),
        ("one [voice: michael]", [("heart", "one")]),
        ("one [voice: michael", [("heart", "one voice: michael")]),
        ("a voice: michael [voice over] [voice] it", [
            ("heart", "a voice: michael voice over voice it"),
        ]),
        ("`[voice: michael]` one", [("heart", "voice: michael one")]),
        ("<!-- [voice: michael] --> one", [("heart", "one")]),
        ("one [voice: michael] [pause 1s] two", [("heart", "one"), ("michael", "two")]),
        ("SQL [voice: michael] SQL [/voice] SQL", [
            ("heart", "SQL"), ("michael", "sequel"), ("heart", "SQL"),
        ]),
    ],
)  # fmt: skip
def test_a_tag_says_who_speaks_from_there_on(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(v, t.replace("[", "").replace("]", "")) for v, t in read(text)] == wanted


def test_tags_are_taken_out_by_strip_and_read_by_off() -> None:
    text = '[voice: michael] One <voice name="emma">two</voice>.'
    assert read(text, Markup.STRIP) == [("heart", "One two.")]
    ((voice, off),) = read(text, Markup.OFF)
    assert voice == "heart"
    assert "voice" in off
    assert "emma" in off


def test_a_sentence_is_what_was_written_without_its_tag_and_where() -> None:
    text = 'Hi. [voice: michael] So. <voice name="emma">And then?</voice> End.'
    sentences = front_end().whole(text)
    assert [s.written for s in sentences] == ["Hi.", "So.", "And then?", "End."]
    assert [text[s.first_char : s.end_char] for s in sentences] == [s.written for s in sentences]
    assert [s.speaker for s in sentences] == [0, 1, 2, 1]


def test_an_unknown_voice_is_told_once_and_the_turns_own_speaks() -> None:
    text = "[voice: bob] One. [voice: michael] Two. [voice: bob] Three."
    reader = front_end()
    assert [s.voice for s in reader.whole(text)] == ["heart", "michael", "heart"]
    assert reader.warnings() == [TextWarning("IGNORED", 0, 12, "no such voice")]


def test_where_voices_must_be_known_the_text_is_refused_by_field() -> None:
    reader = front_end(must_know=True)
    with pytest.raises(errors.InvalidArgument) as refused:
        reader.whole("One. [voice: bob] Two.")
    (violation,) = refused.value.violations
    assert (violation.field, violation.description) == ("text", "characters 5..17: no such voice")


def test_voices_nested_too_deep_change_nothing_and_are_told() -> None:
    deep = "<voice name='michael'>" * (MAX_DEPTH + 2) + "one" + "</voice>" * (MAX_DEPTH + 2) + "two"
    reader = front_end()
    assert [(s.voice, s.text) for s in reader.whole(deep)] == [("michael", "one"), ("heart", "two")]
    kinds = [warning.kind for warning in reader.warnings()]
    assert kinds == ["IGNORED", "IGNORED"]


def test_parts_of_several_voices_make_one_turn_and_a_change_ends_a_sentence() -> None:
    parts = [("I say", "michael"), (" this. And", "michael"), ("you that", "emma"), (" and I", "")]
    sentences, _ = heard(parts)
    assert [(s.voice, s.text) for s in sentences] == [
        ("michael", "I say this."),
        ("michael", "And"),
        ("emma", "you that"),
        ("heart", "and I"),
    ]
    text = "".join(part for part, _ in parts)
    assert all(text[s.first_char : s.end_char] == s.written for s in sentences)


def test_a_tag_holds_in_parts_of_one_voice_and_ends_where_another_begins() -> None:
    sentences, _ = heard(
        [("[voice: emma] One.", "michael"), (" Two.", "michael"), (" Three.", "heart")]
    )
    assert [s.voice for s in sentences] == ["emma", "emma", "heart"]
    sentences, _ = heard([("[voice: emma] One. [/voice]", "michael"), (" Two.", "michael")])
    assert [s.voice for s in sentences] == ["emma", "michael"]
    # The turn's own voice, named or not, is no change.
    sentences, _ = heard([("One", ""), (" and", "heart"), (" two.", "")])
    assert [s.text for s in sentences] == ["One and two."]
    # No tag goes on in another's words.
    sentences, warnings = heard([("One [voice: em", "michael"), ("ma] two", "heart")])
    assert [s.voice for s in sentences] == ["michael", "heart"]
    assert not warnings


def test_an_unknown_voice_of_a_part_is_told_where_the_part_begins() -> None:
    sentences, warnings = heard([("One. ", ""), ("Two.", "bob")])
    assert [s.voice for s in sentences] == ["heart", "heart"]
    assert warnings == [TextWarning("IGNORED", 5, 5, "no such voice")]


def test_a_flush_leaves_a_tag_that_has_begun() -> None:
    for text in ("[v", "[voice: r", "[/voi", "<voice name='r"):
        reader = front_end()
        found = reader.feed(f"One. {text}") + reader.flush()
        assert [s.text for s in found] == ["One."]
    reader = front_end()
    found = (
        reader.feed("One. [voi")
        + reader.flush()
        + reader.feed("ce: michael] two")
        + reader.finish()
    )
    assert [(s.voice, s.text) for s in found] == [("heart", "One."), ("michael", "two")]


PIECES = st.sampled_from(
    [
        *(
            "[voice: michael]",
            "[voice: emma]",
            "[voice: bob]",
            "[/voice]",
            "[voice:",
            "]",
            "[",
            "voice",
        ),
        *(
            "<voice name='michael'>",
            '<voice name="emma">',
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
        "[voice: michael] a. [voice: emma] b. " * 5_000,
        "[voice: michael]" * 10_000,
        '<voice name="michael">' * 10_000,
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
