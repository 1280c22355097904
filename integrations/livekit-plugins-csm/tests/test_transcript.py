"""Which part of a text is handed out beside which chunk."""

from types import SimpleNamespace
from typing import Any

from livekit.plugins.csm.transcript import Transcript


def chunk(first_sample: int, text_chars: int, *words: tuple[int, int, int]) -> Any:
    told = [SimpleNamespace(end_char=c, start_ms=s, end_ms=e) for c, s, e in words]
    return SimpleNamespace(
        first_sample=first_sample, sample_rate_hz=24_000, text_chars=text_chars, words=told
    )


def parts(timed: list[Any]) -> list[tuple[str, float]]:
    return [(str(t), t.start_time) for t in timed]


def test_a_sentence_begins_with_the_chunk_that_first_counts_it() -> None:
    transcript = Transcript(by_word=False)
    transcript.said("One is here. Two ")
    transcript.said("is here. ")
    assert parts(transcript.beside(chunk(0, 12))) == [("One is here.", 0.0)]
    assert parts(transcript.beside(chunk(1920, 12))) == []
    assert parts(transcript.beside(chunk(24_000, 25))) == [(" Two is here.", 1.0)]
    assert parts(transcript.rest(2.0)) == [(" ", 2.0)]


def test_words_carry_the_blanks_and_signs_before_them_and_the_rest_comes_at_the_end() -> None:
    transcript = Transcript(by_word=True)
    transcript.said('He said: "No!"')
    told = transcript.beside(chunk(0, 14, (2, 0, 100), (7, 120, 300)))
    told += transcript.beside(chunk(1920, 14))
    told += transcript.beside(chunk(3840, 14, (12, 400, 500)))
    assert parts(told) == [("He", 0.0), (" said", 0.12), (': "No', 0.4)]
    assert [t.end_time for t in told] == [0.1, 0.3, 0.5]
    assert parts(transcript.rest(0.6)) == [('!"', 0.6)]


def test_where_a_server_tells_no_words_nothing_is_aligned() -> None:
    transcript = Transcript(by_word=True)
    transcript.said("Hello.")
    assert transcript.beside(chunk(0, 6)) == []
    assert transcript.rest(0.5) == []
