"""Names, aliases, and the voices behind them."""

import pytest

from csm import errors
from gateway.voices.names import is_name, read_aliases
from gateway.voices.voice import LibraryVoice, VoiceOrigin
from gateway.voices.voices import Voices


@pytest.mark.parametrize("name", ["a", "Anna-2.b_c", "0", "x" * 64])
def test_a_name_is_letters_digits_and_three_signs(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "ä", "a\n", "x" * 65, "a\x00"])
def test_anything_else_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_aliases_are_pairs() -> None:
    assert read_aliases(" alloy=heart, nova = michael ,") == {"alloy": "heart", "nova": "michael"}
    assert read_aliases("") == {}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("alloy", "'alloy' is not allowed; allowed is ALIAS=VOICE"),
        ("a b=heart", "not allowed"),
        ("alloy=", "not allowed"),
        ("a=heart,A=michael", "'A' is there twice"),
        ("a=b,b=heart", "'b' is an alias itself"),
    ],
)
def test_a_wrong_alias_is_named(said: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_aliases(said)


def voices() -> Voices:
    fixed = {"heart": LibraryVoice("heart", 0, origin=VoiceOrigin.MODEL)}
    return Voices(fixed, "heart", aliases={"Alloy": "heart", "nova": "anna"})


def test_voices_are_found_whatever_the_case_and_by_alias() -> None:
    known = voices()
    assert [known.get(name).name for name in ("heart", "HEART", "alloy", "ALLOY", "")] == [
        "heart"
    ] * 5
    assert known.aliases_of(known.get("heart")) == ["Alloy"]
    with pytest.raises(errors.NotFound, match=r"'nova'.* alias of 'anna'; known are heart"):
        known.get("nova")
    known.put(LibraryVoice("Anna", 1, origin=VoiceOrigin.CREATED))
    assert known.get("nova").name == "Anna"
    assert known.aliases_of(known.get("anna")) == ["nova"]


def test_a_created_voice_comes_changes_and_goes_and_the_models_stays() -> None:
    known = voices()
    known.put(LibraryVoice("anna", 1, "one", origin=VoiceOrigin.CREATED))
    held = known.get("anna")
    known.put(LibraryVoice("anna", 1, "two", origin=VoiceOrigin.CREATED))
    assert (held.description, known.get("anna").description) == ("one", "two")
    known.put(LibraryVoice("HEART", 9, origin=VoiceOrigin.CREATED))
    known.remove("heart")
    assert known.get("heart").speaker == 0
    known.remove("ANNA")
    assert [voice.name for voice in known.all()] == ["heart"]


def test_a_voice_that_cannot_be_used_says_why_to_who_names_it() -> None:
    known = voices()
    known.set_aside("anna", "its frames are of another codec")
    for name in ("ANNA", "nova"):
        with pytest.raises(errors.FailedPrecondition, match="of another codec"):
            known.get(name)
    assert [voice.name for voice in known.all()] == ["heart"]
    known.put(LibraryVoice("anna", 1, origin=VoiceOrigin.CREATED))
    assert known.get("nova").name == "anna"


def test_a_refusal_names_some_of_ten_thousand_voices() -> None:
    many = {f"v{number:05}": LibraryVoice(f"v{number:05}", 0) for number in range(10_000)}
    with pytest.raises(errors.NotFound, match=r"v00015 and 9984 more$"):
        Voices(many, "v00000").get("none")
