"""Ten thousand voices, filtered and a page at a time."""

import base64

import pytest

from csm.errors import InvalidArgument
from gateway.voices.pages import VoicePage, page_of
from gateway.voices.voice import LibraryVoice, VoiceOrigin
from gateway.voices.voices import Voices


def page(
    voices: Voices, token: str = "", size: int = 0, name: str = "", tag: str = ""
) -> VoicePage:
    return page_of(voices, page_size=size, page_token=token, name_contains=name, language=tag)


def many(count: int, **more: str) -> Voices:
    names = [f"Voice-{number:05}" for number in range(count)]
    return Voices({name: LibraryVoice(name, 0, **more) for name in names}, names[0])  # type: ignore[arg-type]


def every(voices: Voices, size: int = 0, **filters: str) -> tuple[list[str], int]:
    """The names on all pages, and how many pages there are."""
    names: list[str] = []
    token, pages = "", 0
    while True:
        one = page(voices, token, size, **filters)
        names += [voice.name for voice in one.voices]
        pages += 1
        token = one.next_page_token
        if not token:
            return names, pages


def test_ten_thousand_voices_are_on_ten_pages_in_order() -> None:
    voices = many(10_000)
    names, pages = every(voices)
    assert pages == 10
    assert names == [f"Voice-{number:05}" for number in range(10_000)]
    assert page(voices).num_voices == 10_000


def test_a_page_of_long_descriptions_fits_a_message() -> None:
    voices = many(2000, description="x" * 1000)
    first = page(voices)
    assert sum(len(voice.description) for voice in first.voices) <= 1 << 19
    assert len(every(voices)[0]) == 2000


def test_a_voice_that_goes_between_two_pages_takes_no_other_along() -> None:
    voices = many(3)
    for name in ("a", "b", "c", "d"):
        voices.put(LibraryVoice(name, 0, origin=VoiceOrigin.CREATED))
    first = page(voices, size=2)
    assert [voice.name for voice in first.voices] == ["a", "b"]
    voices.remove("b")
    voices.put(LibraryVoice("aa", 0, origin=VoiceOrigin.CREATED))
    assert [v.name for v in page(voices, first.next_page_token, 2).voices] == ["c", "d"]


def test_filters_take_part_of_a_name_or_an_alias_and_a_language() -> None:
    fixed = {
        "Anna": LibraryVoice("Anna", 0, language="en-GB"),
        "bert": LibraryVoice("bert", 0, language="en"),
        "cleo": LibraryVoice("cleo", 0, language="eng"),
        "dora": LibraryVoice("dora", 0),
    }
    voices = Voices(fixed, "Anna", aliases={"alloy": "dora"})
    assert every(voices, name="NN")[0] == ["Anna"]
    assert every(voices, name="oy")[0] == ["dora"]
    assert every(voices, tag="EN")[0] == ["Anna", "bert"]
    assert every(voices, tag="en-gb")[0] == ["Anna"]
    assert every(voices, tag="en", name="b")[0] == ["bert"]
    assert page(voices, name="none") == VoicePage([], "", 0)


@pytest.mark.parametrize(
    "token",
    ["x", "ä", "====", "x" * 100_001, *(base64.b64encode(t).decode() for t in (b"2:anna", b"1:"))],
)
def test_a_token_of_somebody_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^page_token: is none of this server's"):
        page(many(3), token)
