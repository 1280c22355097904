from pathlib import Path

import numpy as np
import pytest

from services.generator.model.generate import generate
from services.generator.model.prompt import PromptSegment, prompt_frames
from training.evaluate.voice import Line, Voice

PICO = Path(__file__).resolve().parents[3] / "models" / "pico"


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Voice(PICO)


def test_the_engine_speaks_what_the_model_alone_does(voice: Voice) -> None:
    codes = voice.encode(np.sin(np.arange(24_000) / 20).astype(np.float32) * 0.2)
    before = PromptSegment(0, "well.", codes)
    lines = [Line(0, "hello there.", 40, seed=7), Line(0, "yes.", 6, seed=8, context=(before,))]
    done: list[int] = []
    spoken = voice.speak(lines, lambda: done.append(1))
    assert len(done) == 2
    for line, one in zip(lines, spoken, strict=True):
        prompt = prompt_frames(
            [*line.context, PromptSegment(line.speaker, line.text)],
            voice.loaded.tokenizer,
            voice.num_codebooks,
        )
        alone = generate(
            voice.loaded.model, prompt, voice.loaded.defaults.sampling, line.max_frames, line.seed
        )
        assert np.array_equal(one.codes, alone.numpy())
        assert one.ended == (len(one.codes) < line.max_frames)
    assert spoken[0].ended


def test_what_does_not_fit_is_refused(voice: Voice) -> None:
    long = Line(0, "a" * voice.max_positions, 10, seed=0)
    assert voice.positions(long) > voice.max_positions
    with pytest.raises(ValueError, match="prompt"):
        voice.speak([long])


def test_a_round_trip_keeps_the_time(voice: Voice) -> None:
    audio = np.zeros(24_000, np.float32)
    audio[12_000:] = np.sin(np.arange(12_000) / 20) * 0.3
    codes = voice.encode(audio)
    assert codes.shape == (13, voice.num_codebooks)
    heard = voice.decode(codes)
    assert len(heard) == 13 * voice.frame_samples
    assert np.square(heard[14_000:22_000]).mean() > 3 * np.square(heard[:10_000]).mean()


def test_no_frames_are_a_frame_of_silence(voice: Voice) -> None:
    assert not voice.decode(np.zeros((0, voice.num_codebooks), np.uint16)).any()


def test_the_digest_knows_the_weights_but_not_the_card(voice: Voice, tmp_path: Path) -> None:
    for path in PICO.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "MODEL_CARD.md").write_text("A card.")
    copy = Voice(tmp_path)
    assert copy.digest == voice.digest
    cards = sum(path.stat().st_size for path in PICO.glob("*.md"))
    assert copy.size_bytes == voice.size_bytes - cards + 7
    config = tmp_path / "generation_config.json"
    config.write_text(config.read_text() + "\n")
    assert Voice(tmp_path).digest != voice.digest
