"""Signs of phonemes and their lengths become phones of the corpus."""

import pytest

from training.corpus.store import PHONES
from training.corpus.teachers.signs import Sign, spell, timed
from training.corpus.teachers.speech import TeacherError

HELLO = [("hello", "həlˈO", ""), (",", ",", " "), ("you", "ju", ""), ("!", "!", " ")]


def ended(lengths_s: list[float]) -> list[tuple[str, float, str]]:
    phones = timed(spell(HELLO), 0.3, lengths_s, 0.2)
    return [(p.name, round(p.end_s, 3), p.token) for p in phones]


def test_each_sign_belongs_to_its_word_and_no_pause_does() -> None:
    assert [(s.sign, s.token) for s in spell(HELLO)] == [
        *((sign, "hello") for sign in "həlˈO"),
        (",", ""),
        (" ", ""),
        ("j", "you"),
        ("u", "you"),
        ("!", ""),
    ]


def test_phones_end_where_the_teacher_says() -> None:
    # Stress goes to the sound behind it, comma and space are one pause, the mark joins the tail.
    assert ended([0.1, 0.05, 0.1, 0.025, 0.15, 0.1, 0.1, 0.05, 0.2, 0.1]) == [
        ("pau", 0.3, ""),
        ("hh", 0.4, "hello"),
        ("ax", 0.45, "hello"),
        ("l", 0.55, "hello"),
        ("ow", 0.725, "hello"),
        ("pau", 0.925, ""),
        ("y", 0.975, "you"),
        ("uw", 1.175, "you"),
        ("pau", 1.475, ""),
    ]


def test_a_gap_that_is_no_silence_belongs_to_the_sound_before_it() -> None:
    assert ended([0.1, 0.05, 0.1, 0.025, 0.15, 0.0, 0.05, 0.05, 0.2, 0.0])[4:6] == [
        ("ow", 0.775, "hello"),
        ("y", 0.825, "you"),
    ]


def test_length_and_colour_belong_to_the_sound_before_them() -> None:
    phones = timed([Sign("u", "do"), Sign("ː", "do")], 0.1, [0.1, 0.2], 0.1)
    assert [(p.name, round(p.end_s, 3)) for p in phones] == [
        ("pau", 0.1),
        ("uw", 0.4),
        ("pau", 0.5),
    ]


@pytest.mark.parametrize(
    ("signs", "lengths_s", "told"),
    [
        ([Sign("u", "do")], [0.1, 0.2], "timed 2 of 1 signs"),
        ([Sign("ß", "do")], [0.1], "'ß' is no phone"),
    ],
)
def test_what_does_not_fit_is_told(signs: list[Sign], lengths_s: list[float], told: str) -> None:
    with pytest.raises(TeacherError, match=told):
        timed(signs, 0.1, lengths_s, 0.1)


def test_every_sign_of_the_lexicons_is_a_phone() -> None:
    g2p = pytest.importorskip("hibari.g2p", reason="hibari-tts is not installed")
    for accent in ("us", "gb"):
        for grade in ("gold", "silver"):
            found: set[str] = set()
            for value in g2p._load_json(f"lexicon_{accent}_{grade}.json.gz").values():
                for spoken in [value] if isinstance(value, str) else value.values():
                    found.update(spoken or "")
            signs = [Sign(sign, "word") for sign in [*sorted(found), "s"]]
            phones = timed(signs, 0.1, [0.1] * len(signs), 0.1)
            assert {p.name for p in phones} <= set(PHONES)
