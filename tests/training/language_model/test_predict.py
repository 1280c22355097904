"""The corpus in the codes that a model would say."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from services.generator.model.csm import Csm
from services.generator.model.sampling import GREEDY, SamplingParams
from tests.training.language_model.voice import CODEBOOKS
from tests.training.tiny import small
from training.codec import codes
from training.codec.codes import codes_path
from training.language_model.material import lay_out_parts
from training.language_model.predict import predict, predict_parts
from training.language_model.segments import SegmentTable

WARM = SamplingParams(temperature=1.0, depth_temperature=1.0, top_k=0)


def greedy(model: Csm, table: SegmentTable, index: int) -> np.ndarray:
    """Codes after the true past and first code, one utterance alone, by the training's logits."""
    rows = table.frames[table.offset[index] : table.offset[index + 1]].astype(np.int64)
    spoken = rows[1:-1, 0] >= 0
    with torch.no_grad():
        hidden = model.hidden_states(torch.from_numpy(rows[None, :-2]))[0, spoken]
        drawn = torch.zeros(len(hidden), CODEBOOKS, dtype=torch.int64)
        size = model.config.codebook_size
        drawn[:, 0] = torch.from_numpy(rows[1:-1, 0][spoken])
        for book in range(1, CODEBOOKS):
            drawn[:, book] = model.depth_logits(hidden, drawn)[:, book - 1, :size].argmax(-1)
    return drawn.numpy()


def test_every_frame_is_drawn_after_the_true_ones(work: Path, tokenizer: Tokenizer) -> None:
    table = lay_out_parts(work, "train", ["train-a-0"], tokenizer)
    model = small(CODEBOOKS)
    found = predict(model, table, GREEDY)
    assert len(found) == len(table) == 24
    same = [np.array_equal(got, greedy(model, table, i)) for i, got in enumerate(found)]
    assert np.mean(same) > 0.9  # a tie may fall otherwise in a batch
    true, offset = codes.read([codes_path(work, "train-a-0")])
    assert [len(got) for got in found] == np.diff(offset).tolist()
    assert np.array_equal(np.concatenate(found)[:, 0], true[:, 0])


def test_draws_follow_from_the_seed(work: Path, tokenizer: Tokenizer) -> None:
    table = lay_out_parts(work, "train", ["train-b-0"], tokenizer)
    model = small(CODEBOOKS)
    first, again, other = (
        np.concatenate(predict(model, table, WARM, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_parts_are_predicted_once(work: Path, tokenizer: Tokenizer) -> None:
    names = ["train-a-0", "train-b-0"]
    predict_parts(work, names[:1], small(CODEBOOKS), tokenizer)
    path = codes_path(work, names[0], predicted=True)
    before = path.stat().st_mtime_ns
    predict_parts(work, names, small(CODEBOOKS), tokenizer)
    assert path.stat().st_mtime_ns == before
    assert codes_path(work, names[1], predicted=True).is_file()
