"""Where silence is put between frames."""

from gateway.speaking.attempt_events import Silence, Sound
from gateway.speaking.pauses import Pauses


def test_sound_is_parted_where_the_silence_is() -> None:
    pauses = Pauses(sample_bytes=2)
    pauses.add(0, 100)
    pauses.add(3, 250)
    assert list(pauses.between(b"a" * 20, 2)) == [Silence(100, 0), Sound(b"a" * 20, 2)]
    assert list(pauses.between(b"b" * 30, 5)) == [
        Sound(b"b" * 10, 3),
        Silence(250, 3),
        Sound(b"b" * 20, 5),
    ]
    assert list(pauses.between(b"c" * 10, 6)) == [Sound(b"c" * 10, 6)]


def test_pauses_at_one_place_follow_each_other() -> None:
    pauses = Pauses(sample_bytes=4)
    pauses.add(1, 10)
    pauses.add(1, 20)
    assert list(pauses.between(b"a" * 8, 1)) == [Sound(b"a" * 8, 1)]
    assert list(pauses.between(b"b" * 8, 2)) == [Silence(10, 1), Silence(20, 1), Sound(b"b" * 8, 2)]
