from pathlib import Path

import numpy as np
from PIL import Image

from training.evaluate import charts


def _figures(rate: float) -> dict[str, object]:
    group = {"sentences": 5, "word_error_rate": {"teacher": 0.1, "speech": rate}}
    empty = {"sentences": 0, "word_error_rate": {"teacher": None, "speech": None}}
    kinds = dict.fromkeys(charts.LENGTH_KINDS, empty) | {charts.LENGTH_KINDS[1]: group}
    return {"all": group, "by_kind": kinds}


def test_charts_show_their_figures_and_are_small(tmp_path: Path) -> None:
    pictures = []
    for name, rate in (("low", 0.05), ("high", 0.5), ("again", 0.5)):
        charts.word_errors(tmp_path / f"{name}.png", _figures(rate))
        pictures.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")))
    assert not np.array_equal(pictures[0], pictures[1])
    assert (tmp_path / "high.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def test_a_spectrogram_has_a_panel_for_each_sound(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=48_000).astype(np.float32) * 0.1
    path = tmp_path / "deep" / "spectrogram.png"
    charts.spectrograms(path, {"a": noise, "b": noise[:30_000], "c": noise}, 24_000, "A sentence.")
    with Image.open(path) as image:
        assert image.height > 500
    assert path.stat().st_size < 150_000


def test_curves_are_copied_under_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "language_model.png").write_bytes(b"x")
    copied = charts.copy_curves(tmp_path / "curves", tmp_path / "images")
    assert [path.name for path in copied] == ["pico-curve-language_model.png"]
    assert copied[0].read_bytes() == b"x"
    assert charts.copy_curves(tmp_path / "nothing", tmp_path / "images") == []
