"""The recipe and the shapes."""

import pytest

from training.language_model import shape
from training.language_model.settings import TrainingSettings


def test_rates_warm_up_and_fall_to_nothing() -> None:
    settings = TrainingSettings(warmup_steps=9)
    assert settings.rate_scale(0, 0.0) == pytest.approx(0.1)
    assert settings.rate_scale(9, 0.0) == 1.0
    assert settings.rate_scale(500, 0.5) == 0.5
    assert settings.rate_scale(999, 1.0) == 0.0
    assert settings.guidance_weight(0.0) == pytest.approx(0.3)
    assert settings.guidance_weight(1.0) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code_noise", 1.5),
        ("code_noise", float("nan")),
        ("dropout", 1.0),
        ("depth_share", -0.1),
        ("depth_slope", 1.1),
        ("positions_per_batch", 3.5),
        ("positions_per_batch", 100),
        ("matrix_rate", -1.0),
        ("turn_weights", ()),
        ("turn_weights", (0.0, 0.0)),
        ("turn_weights", (1.0,) * 7),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}: .* is not allowed"):
        TrainingSettings(**{field: value})  # type: ignore[arg-type]


def test_shapes_follow_the_codec() -> None:
    config = shape.build("small", num_codebooks=7, codebook_size=1024)
    assert (config.num_codebooks, config.codebook_size, config.audio_vocab_size) == (7, 1024, 1027)
    assert (config.backbone.width, config.backbone.layers, config.backbone.heads) == (320, 6, 6)
    assert (config.depth.width, config.depth.layers, config.depth.max_positions) == (192, 3, 8)
    assert config.backbone.max_positions == 640
    assert config.backbone.rope_theta == 10_000


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(ValueError, match="size: 'huge' is not allowed, must be one of"):
        shape.build("huge", num_codebooks=7, codebook_size=1024)
