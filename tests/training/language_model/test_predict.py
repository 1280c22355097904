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
    found = predict(model, table, GREEDY, rounds=1)
    assert len(found) == len(table) == 24
    same = [np.array_equal(got, greedy(model, table, i)) for i, got in enumerate(found)]
    assert np.mean(same) > 0.9  # a tie may fall otherwise in a batch
    true, offset = codes.read([codes_path(work, "train-a-0")])
    assert [len(got) for got in found] == np.diff(offset).tolist()
    assert np.array_equal(np.concatenate(found)[:, 0], true[:, 0])


def test_enough_rounds_give_what_speech_would(work: Path, tokenizer: Tokenizer) -> None:
    table = lay_out_parts(work, "train", ["train-a-0"], tokenizer)
    model = small(CODEBOOKS)
    longest = int(table.lengths.max())
    once, settled = (predict(model, table, GREEDY, rounds=rounds) for rounds in (1, longest))
    same = []
    for index, got in enumerate(settled):
        rows = table.frames[table.offset[index] : table.offset[index + 1]].astype(np.int64)
        # Frame by frame, each behind those drawn before it.
        for place in np.flatnonzero(rows[:-1, 0] >= 0).tolist():
            with torch.no_grad():
                hidden = model.hidden_states(torch.from_numpy(rows[None, :place]))[0, -1:]
                drawn = torch.zeros(1, CODEBOOKS, dtype=torch.int64)
                drawn[:, 0] = int(rows[place, 0])
                for book in range(1, CODEBOOKS):
                    logits = model.depth_logits(hidden, drawn)[:, book - 1]
                    drawn[:, book] = logits[:, : model.config.codebook_size].argmax(-1)
            rows[place, :-1] = drawn[0].numpy()
        same.append(np.array_equal(got, rows[:-1][rows[:-1, 0] >= 0][:, :-1]))
    assert np.mean(same) > 0.9  # a tie may fall otherwise in a batch
    assert any(not np.array_equal(a, b) for a, b in zip(once, settled, strict=True))


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
