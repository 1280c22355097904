"""Training of the codebooks."""

import pytest
import torch

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.quantizer import SplitQuantizer
from training.codec.quantizer import quantize, reserve_end_code, start_codebooks, unquantized

CONFIG = MimiConfig(
    num_filters=4,
    hidden_size=16,
    upsample_groups=16,
    num_codebooks=3,
    codebook_size=32,
    codebook_dim=8,
)


@pytest.fixture
def quantizer() -> SplitQuantizer:
    torch.manual_seed(0)
    made = SplitQuantizer(CONFIG)
    start_codebooks(made, torch.randn(2000, 16))
    reserve_end_code(made)
    return made


def latents(rows: int = 4) -> torch.Tensor:
    return torch.randn(rows, 12, 16)


def test_codes_and_output_are_those_of_the_codec(quantizer: SplitQuantizer) -> None:
    x = latents()
    result = quantize(quantizer, x, kept=None, update=False)
    assert torch.equal(result.codes, quantizer.encode(x))
    torch.testing.assert_close(result.latents, quantizer.decode(result.codes))


def test_the_end_code_is_never_drawn(quantizer: SplitQuantizer) -> None:
    for _ in range(30):
        result = quantize(quantizer, latents(), kept=None, update=True)
        reserve_end_code(quantizer)
        assert int(result.codes[:, 0].min()) > 0
    assert bool((quantizer.encode(10 * latents(64))[:, 0] > 0).all())


def test_gradients_pass_straight_through(quantizer: SplitQuantizer) -> None:
    x = latents().requires_grad_(True)
    result = quantize(quantizer, x, kept=None, update=False)
    weights = torch.randn_like(result.latents)
    (straight,) = torch.autograd.grad((result.latents * weights).sum(), x)
    (plain,) = torch.autograd.grad((unquantized(quantizer, x) * weights).sum(), x)
    torch.testing.assert_close(straight, plain)


def test_rows_that_keep_fewer_codebooks_are_what_the_codec_decodes(
    quantizer: SplitQuantizer,
) -> None:
    x = latents(3)
    result = quantize(quantizer, x, kept=torch.tensor([0, 1, 2]), update=False)
    for row, kept in enumerate((0, 1, 2)):
        want = quantizer.decode(result.codes[row : row + 1, : 1 + kept])
        torch.testing.assert_close(result.latents[row : row + 1], want)


def test_codebooks_move_to_the_data_and_dead_codes_come_back(quantizer: SplitQuantizer) -> None:
    @torch.no_grad()
    def error() -> float:
        torch.manual_seed(5)
        x = 3.0 + 0.2 * latents(32)
        return float(
            (quantizer.decode(quantizer.encode(x)) - unquantized(quantizer, x)).square().mean()
        )

    before = error()
    torch.manual_seed(1)
    for _ in range(400):
        quantize(quantizer, 3.0 + 0.2 * latents(16), kept=None, update=True)
        reserve_end_code(quantizer)
    assert error() < before / 4
    codes = quantizer.encode(3.0 + 0.2 * latents(200))
    used = [len(codes[:, book].unique()) for book in range(3)]
    assert min(used) > 20


def test_too_few_vectors_for_k_means_are_refused(quantizer: SplitQuantizer) -> None:
    with pytest.raises(ValueError, match="k-means has 10 vectors; allowed: at least 32"):
        start_codebooks(quantizer, torch.randn(10, 16))
