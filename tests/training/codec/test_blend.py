"""The mean of two decoders."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.codec.test_training import POLISH, trained
from training import checkpoint
from training.codec import blend, decoder, polish, polisher


@pytest.fixture
def states(work_of_tones: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A decoder and what further polishing made of it."""
    trained(work_of_tones, 8)
    path = checkpoint.path_of(work_of_tones, polisher.STAGE)
    found = []
    for steps in (5, 12):
        polish.polish(work_of_tones, POLISH, most_steps=steps, log_every=1)
        state = checkpoint.load(path)
        assert state is not None
        found.append(state)
    return found[0], found[1]


@pytest.mark.slow
def test_a_blend_lies_between_two_decoders_and_keeps_the_codes(
    work_of_tones: Path, states: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    before, after = states
    mixed = blend.blend(after, before, 0.25)
    moved = 0
    for name, tensor in mixed["average"].items():
        a, b = after["average"][name], before["average"][name]
        if name.startswith(decoder.FROZEN):
            assert torch.equal(tensor, after["model"][name]), name
        else:
            torch.testing.assert_close(tensor, 0.75 * a + 0.25 * b)
            moved += not torch.equal(a, b)
        assert torch.equal(mixed["model"][name], tensor)
    assert moved > 10
    checkpoint.save(checkpoint.path_of(work_of_tones, polisher.STAGE), mixed)
    polish.polish(work_of_tones, POLISH, most_steps=13, log_every=1)


@pytest.mark.slow
def test_what_cannot_be_blended_is_named(states: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = states
    with pytest.raises(ValueError, match=r"share: 1.5 is not allowed, must be in \[0, 1\]"):
        blend.blend(after, before, 1.5)
    name = next(n for n in before["model"] if n.startswith("quantizer"))
    other = {**before, "model": {**before["model"], name: before["model"][name] + 1}}
    with pytest.raises(ValueError, match=f"other: {name} is not allowed to differ"):
        blend.blend(after, other, 0.5)
    name = next(n for n in before["average"] if not n.startswith(decoder.FROZEN))
    short = {k: v for k, v in before["average"].items() if k != name}
    with pytest.raises(ValueError, match="must be of the same shape"):
        blend.blend(after, {**before, "average": short}, 0.5)


@pytest.mark.slow
def test_the_command_blends_in_place(
    work_of_tones: Path,
    states: tuple[dict[str, Any], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, after = states
    checkpoint.save(tmp_path / "before.pt", before)
    words = ["blend", "--work", str(work_of_tones), "--share", "0.5", "--other"]
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "before.pt")])
    blend.main()
    found = polish.polished_codec(work_of_tones).state_dict()
    for name, tensor in blend.blend(after, before, 0.5)["average"].items():
        assert torch.equal(found[name], tensor), name
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "none.pt")])
    with pytest.raises(SystemExit):
        blend.main()
    assert "none.pt: no such file" in capsys.readouterr().err
