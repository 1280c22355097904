"""Who is who by number in a conversation, and whose prompts are in its context."""

import pytest

from csm.errors import NotFound
from gateway.conversations.segment import Segment
from gateway.voices.cast import MAX_VOICES, Cast, CastRules, NotInCast
from gateway.voices.voice import LibraryVoice
from gateway.voices.voices import Voices


def prompt(speaker: int, text: str, num_frames: int = 10) -> Segment:
    return Segment(speaker, text, bytes(16 * num_frames), num_frames)


def library(*voices: LibraryVoice) -> Voices:
    return Voices({voice.name: voice for voice in voices}, voices[0].name)


def rules(voices: Voices, *, fixed: bool = False, max_positions: int = 2048) -> CastRules:
    return CastRules(voices.get, fixed, max_positions)


ANNA = LibraryVoice("anna", 0, prompts=(prompt(0, "I am Anna."),))
BERT = LibraryVoice("bert", 0, prompts=(prompt(0, "I am Bert."), prompt(0, "Still I.")))
CARL = LibraryVoice("carl", 7)
DORA = LibraryVoice("dora", 1)
ALL = library(ANNA, BERT, CARL, DORA)


def spoken(speaker: int, voice: str) -> Segment:
    return Segment(speaker, "Said.", b"", 0, voice=voice)


def test_each_voice_has_a_number_of_its_own_and_its_prompts_carry_it() -> None:
    cast = Cast(ANNA, rules(ALL))
    assert cast.hear(1, asked=False) == 1
    assert cast.own.speaker == 0
    assert cast.prompts == ANNA.prompts
    # Anna has 0, the listener 1; nobody has 7.
    assert [cast.voice(name).speaker for name in ("bert", "carl", "dora")] == [2, 7, 3]
    assert cast.voice("bert") is cast.voice("bert")
    assert cast.voice("").voice is ANNA
    assert [(p.speaker, p.text) for p in cast.prompts] == [
        (0, "I am Anna."),
        (2, "I am Bert."),
        (2, "Still I."),
    ]
    assert cast.prompts[1].codes == BERT.prompts[0].codes


def test_the_prompts_are_another_object_only_when_another_voice_has_joined() -> None:
    cast = Cast(ANNA, rules(ALL))
    before = cast.prompts
    cast.voice("anna")
    assert cast.prompts is before
    cast.voice("bert")
    after = cast.prompts
    assert after is not before
    cast.voice("bert")
    assert cast.prompts is after


def test_a_conversation_keeps_its_numbers_and_the_order_of_its_voices() -> None:
    history = [
        spoken(0, "anna"),
        Segment(1, "Heard."),
        spoken(3, "dora"),
        spoken(2, "bert"),
        spoken(5, "gone"),
    ]
    cast = Cast(ANNA, rules(ALL), history)
    assert [(v.voice.name, v.speaker) for v in cast.voices] == [
        ("anna", 0),
        ("dora", 3),
        ("bert", 2),
    ]
    # Its own voice is another now: it has the number that it had, and the first keeps hers.
    cast = Cast(BERT, rules(ALL), history)
    assert [(v.voice.name, v.speaker) for v in cast.voices] == [
        ("bert", 2),
        ("anna", 0),
        ("dora", 3),
    ]
    # One that has never spoken gets none that anybody has or had.
    cast = Cast(LibraryVoice("eve", 0), rules(ALL), history)
    assert cast.own.speaker == 4


def test_who_is_heard_has_no_voices_number() -> None:
    history = [spoken(0, "anna"), Segment(1, "Heard."), spoken(2, "dora")]
    cast = Cast(DORA, rules(ALL), history)
    # Dora's own plus one is hers here: the one who was heard before is heard.
    assert cast.hear(2, asked=False) == 1
    assert Cast(DORA, rules(ALL), history[::2]).hear(2, asked=False) == 1
    # What the caller asks for is as it is, and no voice gets it.
    cast = Cast(ANNA, rules(ALL))
    assert cast.hear(7, asked=True) == 7
    assert cast.voice("carl").speaker == 1
    cast = Cast(ANNA, rules(ALL))
    assert cast.hear(0, asked=True) == 0


def test_a_model_that_names_its_speakers_keeps_their_numbers() -> None:
    cast = Cast(ANNA, rules(ALL, fixed=True), [spoken(9, "bert")])
    assert cast.hear(0, asked=False) == 0
    assert [v.speaker for v in cast.voices] == [0, 0]
    assert cast.voice("dora").speaker == 1


def test_an_unknown_voice_is_refused_with_those_that_are_known() -> None:
    cast = Cast(ANNA, rules(ALL))
    with pytest.raises(NotInCast, match=r"'bob' is not known; known are anna, bert, carl, dora"):
        cast.voice("bob")
    # What may be words of the text is not repeated.
    with pytest.raises(NotInCast) as refused:
        cast.voice("my secret is not known; so")
    assert (
        str(refused.value) == "a voice of that name is not known; known are anna, bert, carl, dora"
    )
    many = library(*(LibraryVoice(f"v{n}", n) for n in range(500)))
    with pytest.raises(NotInCast) as refused:
        Cast(many.get("v0"), rules(many)).voice("bob")
    assert len(str(refused.value)) <= 500


def test_a_conversation_has_so_many_voices_and_no_more() -> None:
    many = library(*(LibraryVoice(f"v{n}", 0) for n in range(MAX_VOICES + 1)))
    cast = Cast(many.get("v0"), rules(many))
    for n in range(MAX_VOICES):
        cast.voice(f"v{n}")
    assert sorted(v.speaker for v in cast.voices) == list(range(MAX_VOICES))
    with pytest.raises(NotInCast, match=r"'v8' would be one more than the 8"):
        cast.voice("v8")
    assert cast.voice("v3").speaker == 3


def test_voices_whose_prompts_leave_no_room_are_refused_by_name() -> None:
    # Half of it, without a sentence of 200 characters.
    cast = Cast(ANNA, rules(ALL, max_positions=300))
    assert 20 <= cast.positions <= 30
    with pytest.raises(NotInCast, match=r"'bert' and of those before it take about \d+ .* 42 of"):
        cast.voice("bert")
    # One without prompts takes none.
    assert cast.voice("dora").speaker == 1
    # One that had room before keeps its number, and its prompts stay out.
    cast = Cast(ANNA, rules(ALL, max_positions=300), [spoken(3, "bert")])
    assert [v.voice.name for v in cast.voices] == ["anna"]
    assert cast.voice("carl").speaker == 7
    assert cast.hear(3, asked=False) != 3


def test_an_alias_is_the_voice_that_it_names() -> None:
    def find(name: str) -> LibraryVoice:
        if name.lower() in ("anna", "ann"):
            return ANNA
        raise NotFound("voice", name)

    cast = Cast(ANNA, CastRules(find, False, 2048))
    assert cast.voice("ANN") is cast.own


def test_a_voice_that_is_kept_and_cannot_be_used_is_told_and_refuses_no_conversation() -> None:
    voices = library(ANNA, CARL)
    voices.set_aside("bert", "its frames are of another codec")
    cast = Cast(ANNA, rules(voices), [spoken(0, "anna"), spoken(3, "bert")])
    assert cast.prompts == ANNA.prompts
    with pytest.raises(NotInCast, match="'bert': its frames are of another codec"):
        cast.voice("bert")
    assert cast.hear(3, asked=False) != 3
