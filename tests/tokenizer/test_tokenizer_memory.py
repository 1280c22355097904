"""What the tokenizer says it takes of the memory, against what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from csm import errors
from csm.serving.metrics import Metrics
from csm.serving.process import memory
from csm.serving.process.memory import MemoryLimit
from services.tokenizer import bounds
from services.tokenizer.codec import MimiConfig, load, read_config
from services.tokenizer.native.select import directions, weights_for
from services.tokenizer.service import TokenizerService
from services.tokenizer.settings import TokenizerSettings
from tests.pico import PICO
from tests.tokenizer.running_tokenizer import Tokenizer

MIB = 2**20


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_native_weights_take_what_was_said(dtype: str) -> None:
    settings = TokenizerSettings(device="cpu", dtype=dtype)  # type: ignore[arg-type]
    mimi = load(PICO)
    weights = weights_for(1, settings.dtype)
    encode, decode = directions(mimi, 1, "required", weights, threads=1)
    quantizer = mimi.quantizer
    books = sum(each.codebooks.nbytes for each in (quantizer.semantic, quantizer.acoustic))
    taken = encode.nbytes + decode.nbytes + books  # type: ignore[attr-defined]
    assert bounds.memory_bytes(mimi.config, settings)["weights"] == pytest.approx(taken, rel=0.03)


def test_torchs_weights_are_all_tensors_and_states_grow_with_the_streams() -> None:
    mimi = load(PICO)
    tensors = [*mimi.parameters(), *mimi.buffers()]

    def told(streams: int) -> dict[str, int]:
        settings = TokenizerSettings(device="cpu", native="off", max_streams=streams)
        return bounds.memory_bytes(mimi.config, settings)

    assert told(1)["weights"] == sum(tensor.nbytes for tensor in tensors)
    ring = mimi.encoder_state(3).transformer
    one, three = told(1)["stream states"], told(3)["stream states"]
    assert three == 3 * one
    assert three > 2 * (ring.keys.nbytes + ring.values.nbytes)


def test_the_config_is_read_without_the_weights(tmp_path: Path) -> None:
    assert read_config(PICO) == load(PICO).config
    with pytest.raises(ValueError, match="no codec found"):
        read_config(tmp_path)


def test_mimi_at_its_full_size_fits_what_deployments_give_it() -> None:
    told = bounds.memory_bytes(MimiConfig.mimi(), TokenizerSettings(device="cpu"))
    # Measured: docs/deployment.md, 8 MB a stream and direction.
    assert told["stream states"] / 48 == pytest.approx(8.8 * MIB, rel=0.1)
    assert sum(told.values()) < 1536 * MIB


def test_a_service_says_what_it_takes_and_nothing_where_there_is_no_codec(tmp_path: Path) -> None:
    service = TokenizerService(TokenizerSettings(device="cpu", model=PICO), Metrics())
    assert set(service.memory_bytes()) == {
        "weights",
        "stream states",
        "loading",
        "files",
        "audio in streams",
        "messages",
    }
    service = TokenizerService(TokenizerSettings(device="cpu", model=tmp_path), Metrics())
    assert service.memory_bytes() == {}


async def test_a_tokenizer_that_cannot_fit_is_refused_before_it_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "find_limit", lambda: MemoryLimit(512 * MIB, "the limit"))
    monkeypatch.setattr(memory, "resident_bytes", lambda: 100 * MIB)
    tokenizer = Tokenizer(max_streams=512, device="cpu")
    with pytest.raises(errors.FailedPrecondition, match="tokenizer stream states 4"):
        await tokenizer.start()
    assert tokenizer.service._loaded is None
