"""Finding and trying the operator's watermark; silentcipher's adapter over a fake package."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.sound.silentcipher_watermark import SilentCipher, make, message_of
from gateway.sound.watermark import Marking, Watermark, load_watermark, probe
from tests.gateway.sound import spread
from tests.gateway.sound.speech import click, speech

MODULE = "tests.gateway.sound.spread"


def marked(watermark: Watermark, samples: np.ndarray, rate_hz: int, size: int) -> np.ndarray:
    marking = Marking(watermark, rate_hz)
    parts = [marking.feed(samples[at : at + size]) for at in range(0, len(samples), size)]
    return np.concatenate([*parts, marking.finish()])


def test_the_watermark_that_a_setting_names_marks_and_is_found_by_its_key_alone() -> None:
    watermark = load_watermark(f"{MODULE}:make", "key one")
    probe(watermark)
    samples, rate_hz = speech()
    made = marked(watermark, samples, rate_hz, 1920)
    assert len(made) == len(samples)
    assert watermark.detect(made, rate_hz).found
    assert watermark.detect(made[5000:], rate_hz).found
    assert not watermark.detect(samples, rate_hz).found
    assert not load_watermark(f"{MODULE}:make", "key two").detect(made, rate_hz).found


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("spread", "allowed is module:attribute"),
        (":make", "allowed is module:attribute"),
        ("no_such_module:make", "No module named"),
        (f"{MODULE}:no_such", "AttributeError"),
        ("builtins:len", "has no name"),
        ("gateway.sound.silentcipher_watermark:make", "ValueError"),
    ],
)
def test_what_cannot_be_loaded_is_named_without_the_key(target: str, told: str) -> None:
    with pytest.raises(ValueError, match="watermark") as raised:
        load_watermark(target, "secret-key")
    assert told in str(raised.value)
    assert "secret-key" not in str(raised.value)


class Wrong(spread.Spread):
    """Gives what it likes."""

    def __init__(self, given: Any) -> None:
        super().__init__("key")
        self.given = given

    def stream(self, rate_hz: int) -> Any:
        return SimpleNamespace(feed=lambda samples: self.given, finish=lambda: np.zeros(0))


@pytest.mark.parametrize(
    "given",
    [np.full(10, np.nan), np.zeros(10**6), np.zeros((2, 2)), np.zeros(3), None, "audio"],
    ids=["not a number", "too long", "two channels", "too short", "none", "no samples"],
)
def test_a_watermark_that_gives_no_sound_of_that_length_fails_its_trial(given: Any) -> None:
    with pytest.raises(ValueError, match="'spread' fails"):
        probe(Wrong(given))


class FakePackage:
    """silentcipher as its documentation and source have it, with a mark that can be found."""

    class Model:
        sr = 44_100
        config = SimpleNamespace(message_len=21, HOP_LENGTH=2048, message_sdr=47)

        def __init__(self) -> None:
            self.lengths: list[int] = []

        def encode_wav(
            self, y: np.ndarray, sr: int, message: list[int], message_sdr: Any = None,
            calc_sdr: bool = True,
        ) -> tuple[np.ndarray, float]:  # fmt: skip
            self.lengths.append(len(y))
            # Resampling there and back loses a sample.
            return (y + 0.001 * message[0])[:-1], 0

        def decode_wav(self, y: np.ndarray, sr: int, phase_shift_decoding: bool) -> dict[str, Any]:
            level = float(np.median(y))
            if level < 0.0005 or not phase_shift_decoding:
                return {"messages": [], "confidences": [], "status": False}
            message = [round(level * 1000), 2, 3, 4, 5]
            return {"messages": [message], "confidences": [0.9], "status": True}

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.model = self.Model()

    def get_model(self, **asked: Any) -> Any:
        self.asked = asked
        return self.model


@pytest.mark.parametrize("size", [333, 1920, 100_000])
def test_silentcipher_marks_blocks_of_whole_periods_and_is_found(size: int) -> None:
    package = FakePackage()
    watermark = SilentCipher([7, 2, 3, 4, 5], package)
    samples, rate_hz = speech()
    made = marked(watermark, samples, rate_hz, size)
    assert len(made) == len(samples)
    block = round(2 * 21 * 2048 / 44_100 * rate_hz)
    assert package.model.lengths == [block] * -(-len(samples) // block)
    assert click(made - samples, rate_hz) < click(samples, rate_hz)
    assert watermark.detect(made - samples, rate_hz).found
    assert watermark.detect(made - samples, rate_hz).confidence == pytest.approx(0.9)
    assert not watermark.detect(np.zeros(1000, np.float32), rate_hz).found
    assert not SilentCipher([9, 2, 3, 4, 5], package).detect(made - samples, rate_hz).found


def test_silence_is_passed_on_where_silentcipher_cannot_mark_it() -> None:
    package = FakePackage()
    silent = np.zeros(100_000, np.float32)
    made = marked(SilentCipher([1, 2, 3, 4, 5], package), silent, 24_000, 1920)
    assert len(made) == len(silent)
    assert package.model.lengths == []


@pytest.mark.parametrize("key", ["", "1 2 3 4", "1 2 3 4 256", "1 2 3 4 five", "1,2,3,4,-5"])
def test_a_key_that_is_no_message_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are 5 numbers of 0\.\.255"):
        message_of(key)


def test_the_package_is_imported_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    package = FakePackage()
    monkeypatch.setitem(sys.modules, "silentcipher", package)  # type: ignore[arg-type]
    watermark = make("212, 211, 146, 56, 201")
    assert watermark.name == "silentcipher"
    assert package.asked == {"model_type": "44.1k", "device": "cpu"}
