"""The order of an epoch: which utterances follow each other, and which conversations share a batch.

A conversation is an array of segment numbers. Everything follows from (seed, epoch), so that a
resumed run goes on where it stopped. Knows nothing of torch.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np

Conversation = tuple[int, ...]

_CASTS = ("dialogue", "monologue", "anyone")
_CAST_WEIGHTS = (0.6, 0.15, 0.25)
_TOGETHER = 0.75
_LENGTH_JITTER = 0.05
"""Lengths are blurred before sorting, or the same conversations would meet at their margins."""


def dialogues(dialogue: np.ndarray, turn: np.ndarray) -> list[Conversation]:
    """Return the dialogues that a table has whole turns of, each in order, two turns and more.

    One that lacks a turn, because its teacher could not say it, is given up to the turn before.

    Args:
        dialogue: its number for every segment, -1 where a segment is of none.
        turn: the segment's place in it, from 0.
    """
    found: dict[int, dict[int, int]] = {}
    for index in np.flatnonzero(dialogue >= 0).tolist():
        found.setdefault(int(dialogue[index]), {})[int(turn[index])] = index
    whole = []
    for number in sorted(found):
        turns = found[number]
        spoken = tuple(
            turns[place] for place in itertools.takewhile(turns.__contains__, range(len(turns)))
        )
        if len(spoken) > 1:
            whole.append(spoken)
    return whole


def draw(
    lengths: np.ndarray,
    speakers: np.ndarray,
    *,
    turn_weights: Sequence[float],
    max_positions: int,
    seed: int,
    epoch: int,
    together: Sequence[Conversation] = (),
    most_repeats: int = 1,
) -> list[Conversation]:
    """Return the conversations of an epoch: every segment once, those too long left out.

    The segments of a speaker who has few are there up to `most_repeats` times, until they are about
    as many as those of the speaker with most.

    Most conversations alternate between two speakers; in some one speaks alone, in others
    anybody follows anybody. None is longer than `max_positions` inputs (its last frame is only a
    target). Three in four of the dialogues of `together` are conversations of their own; the turns
    of the others are drawn like any segment.

    Args:
        lengths: positions of every segment.
        speakers: of every segment.
        turn_weights: how often a conversation has 1, 2, ... turns.
        max_positions: the limit of a conversation.
        seed: of the run.
        epoch: counted from 0.
        together: dialogues, none with a segment of another.
        most_repeats: how often a segment may be there, at least 1.
    """
    chance = random.Random(f"conversations {seed} {epoch}")
    sizes: list[int] = (lengths - 1).tolist()
    kept = [
        whole
        for whole in together
        if inputs(whole, lengths) <= max_positions and chance.random() < _TOGETHER
    ]
    taken = {index for whole in kept for index in whole}
    queues: dict[int, list[int]] = {}
    for index, speaker in enumerate(speakers.tolist()):
        if sizes[index] <= max_positions and index not in taken:
            queues.setdefault(speaker, []).append(index)
    most = max(map(len, queues.values()), default=0)
    for speaker, indices in queues.items():
        # One pass after another, so that the same is not said twice in a conversation.
        passes = [indices[:] for _ in range(min(most_repeats, round(most / len(indices))))]
        for each in passes:
            chance.shuffle(each)
        queues[speaker] = list(itertools.chain.from_iterable(passes))
    counts = range(1, len(turn_weights) + 1)
    conversations: list[Conversation] = kept
    while queues:
        turns: list[int] = []
        total = 0
        for speaker in _cast(queues, chance, chance.choices(counts, turn_weights)[0]):
            queue = queues.get(speaker)
            # Not every turn is found: the last utterances of a speaker, or no room.
            if not queue or total + sizes[queue[-1]] + bool(turns) > max_positions:
                break
            total += sizes[queue[-1]] + bool(turns)
            turns.append(queue.pop())
            if not queue:
                del queues[speaker]
        conversations.append(tuple(turns))
    return conversations


def _cast(queues: dict[int, list[int]], chance: random.Random, turns: int) -> list[int]:
    """Return who speaks in each turn; who has more left to say is chosen more often."""
    names = list(queues)
    left = [len(queues[name]) for name in names]
    kind = chance.choices(_CASTS, _CAST_WEIGHTS)[0]
    if kind == "anyone":
        return chance.choices(names, left, k=turns)
    first = chance.choices(names, left)[0]
    if kind == "monologue" or len(names) == 1:
        return [first] * turns
    others = [name for name in names if name != first]
    second = chance.choices(others, [len(queues[name]) for name in others])[0]
    return [(first, second)[turn % 2] for turn in range(turns)]


def pack(
    conversations: Sequence[Conversation],
    lengths: np.ndarray,
    *,
    positions_per_batch: int,
    seed: int,
    epoch: int,
) -> list[list[Conversation]]:
    """Return the batches of an epoch, each of conversations of about one length.

    Rows times the longest row (in inputs) never exceeds `positions_per_batch`; a single
    conversation that does makes a batch of its own.
    """
    chance = random.Random(f"batches {seed} {epoch}")
    sizes = [inputs(conversation, lengths) for conversation in conversations]
    blurred = [size * (1 + chance.uniform(-_LENGTH_JITTER, _LENGTH_JITTER)) for size in sizes]
    batches: list[list[Conversation]] = []
    batch: list[Conversation] = []
    longest = 0
    for index in sorted(range(len(sizes)), key=blurred.__getitem__):
        longer = max(longest, sizes[index])
        if batch and longer * (len(batch) + 1) > positions_per_batch:
            batches.append(batch)
            batch, longer = [], sizes[index]
        batch.append(conversations[index])
        longest = longer
    if batch:
        batches.append(batch)
    chance.shuffle(batches)
    return batches


def inputs(conversation: Conversation, lengths: np.ndarray) -> int:
    """Positions the model reads of a conversation: all but its last frame, the EOS."""
    return int(lengths[list(conversation)].sum()) - 1


def with_context(
    speakers: np.ndarray, turns_before: int, *, seed: int, limit: int
) -> list[Conversation]:
    """Return conversations for validation, the last turn of each a different segment.

    At most `limit`, spread evenly over the segments; the turns before alternate between the last
    one's speaker and another, drawn by `seed`. The same arguments give the same conversations.
    """
    chance = random.Random(f"validation {seed}")
    by_speaker: dict[int, list[int]] = {}
    for index, speaker in enumerate(speakers.tolist()):
        by_speaker.setdefault(speaker, []).append(index)
    chosen = np.unique(np.linspace(0, len(speakers) - 1, min(limit, len(speakers))).astype(int))
    conversations = []
    for last in chosen.tolist():
        own = int(speakers[last])
        other = chance.choice([name for name in by_speaker if name != own] or [own])
        cast = [(own, other)[turn % 2] for turn in range(turns_before, 0, -1)]
        before = [
            chance.choice([i for i in by_speaker[name] if i != last] or [last]) for name in cast
        ]
        conversations.append((*before, last))
    return conversations
