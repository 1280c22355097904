"""What a step reads, and what it shall predict."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from services.generator.model.prompt import PromptSegment, segment_frames
from services.generator.model.text import TextTokenizer
from tests.training.language_model.voice import codes_of
from training.corpus.store import Corpus
from training.language_model.batch import collate
from training.language_model.material import open_table
from training.language_model.segments import SegmentTable
from training.language_model.shape import TOKEN_IDS


@pytest.fixture
def table(work: Path, tokenizer: Tokenizer) -> SegmentTable:
    return open_table(work, "train", tokenizer)


def test_a_conversation_is_its_segments_frames_but_the_last(
    work: Path, tokenizer: Tokenizer, table: SegmentTable
) -> None:
    said = Corpus.open(work / "corpus", "train").utterances
    codes, offset = codes_of(work, "train")
    encoder = TextTokenizer(tokenizer, TOKEN_IDS)
    conversation = (3, 30, 4)
    wanted = np.concatenate(
        [
            segment_frames(
                PromptSegment(said[i].speaker, said[i].text, codes[offset[i] : offset[i + 1]]),
                encoder,
                3,
            )
            for i in conversation
        ]
    )
    batch = collate(table, [conversation, (7,)], codebook_size=16)
    length = len(wanted) - 1
    assert batch.frames.shape == (2, length, 4)
    assert batch.positions == 2 * length
    assert np.array_equal(batch.frames[0], wanted[:-1])
    alone = int(table.lengths[7])
    assert (batch.frames[1, alone:] == -1).all()
    # Each target is the frame behind its position; all audio frames and EOS frames are targets.
    audio = np.flatnonzero(wanted[:, 0] >= 0)
    mine = batch.scored < length
    assert np.array_equal(batch.scored[mine], audio - 1)
    assert np.array_equal(batch.codes[mine], wanted[audio, :3])
    assert int((batch.codes.sum(1) == 0).sum()) == 4
    # Places are those of the segment's own text.
    starts = np.cumsum([0, *(int(table.lengths[i]) for i in conversation)])
    ends = starts[1:] - 1
    for end, start in zip(ends, starts, strict=False):
        at = int(np.flatnonzero(batch.scored[mine] == end - 1)[0])
        place = int(batch.places[at, 0])
        assert start < place < end
        assert wanted[place, 3] == TOKEN_IDS.eos_token_id


def test_context_alone_is_no_target(table: SegmentTable) -> None:
    batch = collate(table, [(3, 30, 4)], codebook_size=16, only_last=True)
    before = int(table.lengths[[3, 30]].sum())
    assert int(batch.scored.min()) > before
    assert int((batch.codes.sum(1) == 0).sum()) == 1


def test_noise_replaces_codes_only_and_never_makes_an_end(table: SegmentTable) -> None:
    conversations = [(i, i + 24) for i in range(20)]
    clean = collate(table, conversations, codebook_size=16)
    noisy = collate(table, conversations, codebook_size=16, code_noise=0.3, seed=1)
    assert torch.equal(clean.codes, noisy.codes)
    codes, changed = clean.frames[..., :3], clean.frames != noisy.frames
    spoken = codes[..., :1] > 0
    assert not changed[..., 3].any()
    assert not (changed[..., :3] & ~spoken).any()
    share = changed[..., :3].sum() / (3 * spoken.sum())
    assert 0.2 < share < 0.3
    ended = (noisy.frames[..., 0] == 0).sum()
    assert ended == (clean.frames[..., 0] == 0).sum()
    assert int(noisy.frames[..., :3].max()) < 16
    again = collate(table, conversations, codebook_size=16, code_noise=0.3, seed=1)
    assert torch.equal(noisy.frames, again.frames)


def test_the_depth_decoder_learns_from_a_share_and_every_end(table: SegmentTable) -> None:
    conversations = [(index,) for index in range(40)]
    batch = collate(table, conversations, codebook_size=16, depth_share=0.25, seed=3)
    ends = torch.nonzero(batch.codes[:, 0] == 0).flatten()
    assert len(ends) == 40
    assert set(ends.tolist()) <= set(batch.depth.tolist())
    spoken = len(batch.codes) - 40
    assert 0.15 * spoken < len(batch.depth) - 40 < 0.35 * spoken
    assert len(set(batch.depth.tolist())) == len(batch.depth)
    other = collate(table, conversations, codebook_size=16, depth_share=0.25, seed=4)
    assert not torch.equal(batch.depth, other.depth)
