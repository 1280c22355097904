"""Each owner's voices: the common ones and its own."""

import pytest

from csm import errors
from gateway.voices.owned import OwnedVoices
from gateway.voices.voice import LibraryVoice, VoiceId, VoiceOrigin
from gateway.voices.voices import Voices


def created(name: str, owner: str, speaker: int = 1) -> LibraryVoice:
    return LibraryVoice(name, speaker, origin=VoiceOrigin.CREATED, owner=owner)


@pytest.fixture
def owned() -> OwnedVoices:
    common = {"heart": LibraryVoice("heart", 0, origin=VoiceOrigin.MODEL)}
    return OwnedVoices(
        Voices(common, "heart", {0: "heart", 1: "michael"}, aliases={"nova": "anna"})
    )


def test_an_owner_finds_the_common_voices_and_its_own(owned: OwnedVoices) -> None:
    owned.put(created("anna", "a", 0))
    owned.put(created("Anna", "b", 1))
    for owner, speaker in (("a", 0), ("b", 1)):
        voices = owned.of(owner)
        assert voices.get("nova").speaker == voices.get("ANNA").speaker == speaker
        assert [voice.name.lower() for voice in voices.all()] == ["anna", "heart"]
        assert voices.aliases_of(voices.get("anna")) == ["nova"]
        assert voices.default == "heart"
        assert voices.taken_by("anna") is not None
        assert voices.speaks(1)
        assert not voices.speaks(2)
    for owner in ("", "c"):
        assert [voice.name for voice in owned.of(owner).all()] == ["heart"]
        assert owned.of(owner).taken_by("anna") is None
        with pytest.raises(errors.NotFound, match=r"known are heart$"):
            owned.of(owner).get("anna")
    assert [(voice.name, voice.owner) for voice in owned.all()] == [
        ("heart", ""), ("anna", "a"), ("Anna", "b"),
    ]  # fmt: skip


def test_what_one_owner_loses_or_cannot_use_is_nothing_to_another(owned: OwnedVoices) -> None:
    for owner in ("", "a", "b"):
        owned.put(created("anna", owner))
    owned.remove(VoiceId("a", "anna"))
    owned.set_aside(VoiceId("b", "anna"), "its frames are of another codec")
    assert owned.of("").get("anna").owner == ""
    with pytest.raises(errors.NotFound):
        owned.of("a").get("anna")
    with pytest.raises(errors.FailedPrecondition, match="another codec"):
        owned.of("b").get("anna")
    assert list(owned._of_owners) == ["b"]
    owned.remove(VoiceId("b", "anna"))
    owned.remove(VoiceId("never", "anna"))
    assert not owned._of_owners


def test_a_common_voice_is_never_covered_by_a_created_one(owned: OwnedVoices) -> None:
    owned.put(created("HEART", "a", 1))
    owned.remove(VoiceId("a", "heart"))
    assert owned.of("a").get("heart").speaker == 0
