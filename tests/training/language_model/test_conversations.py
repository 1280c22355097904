"""The order of an epoch."""

from collections import Counter

import numpy as np
import pytest

from training.language_model import conversations

LENGTHS = np.random.default_rng(1).integers(20, 140, 600)
SPEAKERS = np.random.default_rng(2).integers(0, 4, 600)
WEIGHTS = (0.36, 0.26, 0.18, 0.1, 0.06, 0.04)


def draw(seed: int = 0, epoch: int = 0, limit: int = 300) -> list[conversations.Conversation]:
    return conversations.draw(
        LENGTHS, SPEAKERS, turn_weights=WEIGHTS, max_positions=limit, seed=seed, epoch=epoch
    )


def test_every_segment_is_there_once_and_no_conversation_is_too_long() -> None:
    drawn = draw()
    assert sorted(index for each in drawn for index in each) == list(range(600))
    assert max(conversations.inputs(each, LENGTHS) for each in drawn) <= 300


def test_segments_of_a_speaker_who_has_few_are_there_several_times() -> None:
    speakers = np.repeat([0, 1, 2], [500, 60, 10])
    lengths = np.full(570, 50)
    drawn = conversations.draw(
        lengths,
        speakers,
        turn_weights=WEIGHTS,
        max_positions=300,
        seed=0,
        epoch=0,
        most_repeats=20,
    )
    counts = np.bincount([index for each in drawn for index in each])
    assert set(counts[:500]) == {1}
    assert set(counts[500:560]) == {8}
    assert set(counts[560:]) == {20}


def test_segments_beyond_the_limit_are_left_out() -> None:
    drawn = draw(limit=99)
    said = {index for each in drawn for index in each}
    assert said == set(np.flatnonzero(LENGTHS <= 100).tolist())


def test_turns_and_casts_are_mixed() -> None:
    drawn = draw(limit=640)
    counts = Counter(len(each) for each in drawn)
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert counts[1] > counts[3] > counts[6]
    casts = [[int(SPEAKERS[index]) for index in each] for each in drawn if len(each) >= 3]
    dialogues = [c for c in casts if c[0] != c[1] and c[2:] == c[:-2]]
    monologues = [c for c in casts if len(set(c)) == 1]
    assert len(dialogues) > len(casts) / 3
    assert 0 < len(monologues) < len(casts) / 2
    assert len(dialogues) + len(monologues) < len(casts)


def test_order_follows_from_seed_and_epoch() -> None:
    assert draw() == draw()
    assert draw() != draw(seed=1)
    assert draw() != draw(epoch=1)


def test_the_turns_of_a_dialogue_follow_each_other() -> None:
    together = [(3, 7), (10, 2, 30), (40, 41, 42, 43)]
    drawn = [
        conversations.draw(
            LENGTHS,
            SPEAKERS,
            turn_weights=WEIGHTS,
            max_positions=640,
            seed=0,
            epoch=epoch,
            together=together,
        )
        for epoch in range(40)
    ]
    for each in drawn:
        assert sorted(index for whole in each for index in whole) == list(range(600))
    whole = sum(dialogue in each for each in drawn for dialogue in together)
    assert 0.6 * 120 < whole < 0.9 * 120


def test_a_dialogue_that_is_too_long_is_not_kept() -> None:
    drawn = conversations.draw(
        np.full(20, 60),
        np.arange(20) % 4,
        turn_weights=WEIGHTS,
        max_positions=100,
        seed=0,
        epoch=0,
        together=[(0, 1)],
    )
    assert sorted(drawn) == [(index,) for index in range(20)]


def test_dialogues_are_found_in_the_order_of_their_turns() -> None:
    dialogue = np.array([-1, 5, 5, 2, 5, 2, 8, 9, 9])
    turn = np.array([0, 2, 0, 0, 1, 1, 0, 0, 2])
    # 8 has one turn; of 9 the second one is missing.
    assert conversations.dialogues(dialogue, turn) == [(3, 5), (2, 4, 1)]


def test_batches_keep_the_budget_with_little_padding() -> None:
    drawn = draw()
    batches = conversations.pack(drawn, LENGTHS, positions_per_batch=2000, seed=0, epoch=0)
    assert sorted(each for batch in batches for each in batch) == sorted(drawn)
    sizes = [[conversations.inputs(each, LENGTHS) for each in batch] for batch in batches]
    assert max(len(batch) * max(batch) for batch in sizes) <= 2000
    computed = sum(len(batch) * max(batch) for batch in sizes)
    assert sum(map(sum, sizes)) > 0.88 * computed
    # Short ones do not all come first.
    longest = [max(batch) for batch in sizes]
    assert longest != sorted(longest)


@pytest.mark.parametrize("turns", [0, 2])
def test_validation_ends_each_conversation_with_another_segment(turns: int) -> None:
    chosen = conversations.with_context(SPEAKERS, turns, seed=0, limit=50)
    assert len({each[-1] for each in chosen}) == len(chosen) == 50
    assert chosen == conversations.with_context(SPEAKERS, turns, seed=0, limit=50)
    for each in chosen:
        assert len(each) == turns + 1
        assert each[-1] not in each[:-1]
        if turns:
            first, other, last = (int(SPEAKERS[index]) for index in each)
            assert first == last != other


def test_validation_has_no_more_than_there_is() -> None:
    chosen = conversations.with_context(SPEAKERS[:3], 0, seed=0, limit=50)
    assert chosen == [(0,), (1,), (2,)]
