"""Does the voice stay the voice? Turns 1 to 30 of a conversation against turn 1, drawn.

    python -m benchmarks.voice_drift

Each voice of the model directory has three lots of turns: a conversation, a conversation in which
every third turn is interrupted, and the same sentences each on its own, which is what chance and
the sentences do. What is compared are the means and spreads of a turn's cepstra (as
`training.evaluate.speaker` has them), scaled by how they vary over all turns; the similarity of two
turns is the cosine of the two. Interrupted turns are not measured: too little of them is there.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from csm.client import AsyncClient, AudioChunk, TurnCompleted
from services.all_in_one import AllInOne
from training.evaluate.speaker import features

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "voice_drift.json"
PICTURE = ROOT / "docs" / "images" / "voice-drift.png"
CONDITIONS = ("conversation", "with barge-ins", "each on its own")
HEARD_MS = 800
"""Of an interrupted turn."""
EARLY, LATE = slice(1, 10), slice(20, 30)
"""Turns 2 to 10, and 21 to 30."""
SENTENCES = """
The kitchen light was still on when she came home.
He put the letter back into the wooden drawer.
We could walk along the river after dinner.
The train to the coast leaves at ten in the morning.
Nobody had told the children about the snow.
A small dog slept in front of the bakery.
They sold the old piano to a young teacher.
The road was wet and the fields were green.
Please close the window before you go to bed.
My sister has planted roses behind the house.
The doctor will see you in a few minutes.
It was the longest summer that I remember.
There is fresh bread on the table by the door.
The boys were building a boat out of boxes.
I would rather wait until the rain is over.
Her brother works at the harbour every weekend.
The museum opens an hour later on Sunday.
You can leave your coat and your bag with me.
The river froze early in the winter that year.
A man with a grey hat asked for the way.
We had soup and a glass of water for lunch.
The clock on the tower has stopped again.
She reads the paper before anybody else is up.
They moved the meeting to the end of the week.
The garden was full of bees in the afternoon.
He never learned to swim, but he loved the sea.
The last bus had left, so we went on foot.
A bird was singing in the tree by the gate.
The shop around the corner sells good cheese.
Good night, and thank you for the evening.
""".strip().splitlines()


@dataclass(frozen=True)
class _Clip:
    """A turn that was spoken to its end."""

    turn: int
    """From 1."""
    row: np.ndarray
    """Features of its audio, float64 [40]."""


async def _conversation(
    client: AsyncClient, voice: str, sentences: Sequence[str], interrupted: bool, seed: int
) -> list[_Clip]:
    clips = []
    async with client.converse(voice=voice, seed=seed) as conversation:
        for turn, sentence in enumerate(sentences, start=1):
            cut = interrupted and turn % 3 == 0
            await conversation.say(sentence)
            await conversation.end_turn()
            parts: list[np.ndarray] = []
            heard_ms = 0.0
            async for event in conversation:
                if isinstance(event, TurnCompleted):
                    break
                if isinstance(event, AudioChunk):
                    parts.append(event.samples)
                    heard_ms += event.duration_s * 1000
                    if cut and heard_ms >= HEARD_MS:
                        cut = False
                        await conversation.cancel(heard_ms=HEARD_MS)
            if not (interrupted and turn % 3 == 0):
                clips.append(_clip(turn, parts))
        await conversation.finish()
        async for _ in conversation:
            pass
    return clips


async def _apart(
    client: AsyncClient, voice: str, sentences: Sequence[str], seed: int
) -> list[_Clip]:
    clips = []
    for turn, sentence in enumerate(sentences, start=1):
        speech = client.synthesize(sentence, voice=voice, seed=seed + turn)
        clips.append(_clip(turn, [await speech.read_all()]))
    return clips


def _clip(turn: int, parts: list[np.ndarray]) -> _Clip:
    return _Clip(turn, features(np.concatenate(parts), 24_000))


async def _spoken(model: Path, turns: int, seed: int) -> dict[str, dict[str, list[_Clip]]]:
    """Clips by condition and voice. Every voice says the sentences from another one on, so that a
    turn's number and its words do not go together."""
    found: dict[str, dict[str, list[_Clip]]] = {name: {} for name in CONDITIONS}
    async with AllInOne(model=model, slots=4) as stack, AsyncClient(stack.address) as client:
        voices = [v.name for v in await client.list_voices() if v.name != model.name]
        shift = max(1, len(SENTENCES) // len(voices))
        for at, voice in enumerate(voices):
            rest = itertools.islice(itertools.cycle(SENTENCES), at * shift, None)
            said = list(itertools.islice(rest, turns))
            lots = await asyncio.gather(
                _conversation(client, voice, said, False, seed),
                _conversation(client, voice, said, True, seed),
                _apart(client, voice, said, seed),
            )
            for condition, clips in zip(CONDITIONS, lots, strict=True):
                found[condition][voice] = clips
    return found


def measure(found: dict[str, dict[str, list[_Clip]]], turns: int) -> dict[str, Any]:
    """Similarities to turn 1: of each condition by turn, the mean of all voices; None where no
    turn was spoken to its end. `others` is that of turn 1 to turns of other voices."""
    rows = np.stack([c.row for lots in found.values() for clips in lots.values() for c in clips])
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9

    def similarity(one: _Clip, other: _Clip) -> float:
        a, b = (one.row - middle) / spread, (other.row - middle) / spread
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    result: dict[str, Any] = {}
    for condition, lots in found.items():
        by_turn: list[list[float]] = [[] for _ in range(turns)]
        for clips in lots.values():
            for clip in clips:
                by_turn[clip.turn - 1].append(similarity(clips[0], clip))
        means = [float(np.mean(one)) if one else float("nan") for one in by_turn]
        result[condition] = {
            "by_turn": [round(v, 4) if np.isfinite(v) else None for v in means],
            "turns_2_to_10": _mean(means[EARLY]),
            "turns_21_to_30": _mean(means[LATE]),
            "per_10_turns": _slope(means),
        }
    apart = found[CONDITIONS[2]]
    result["others"] = _mean(
        [
            similarity(apart[one][0], clip)
            for one, other in itertools.permutations(apart, 2)
            for clip in apart[other]
        ]
    )
    return result


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return round(float(np.mean(known)), 3) if known else None


def _slope(means: Sequence[float]) -> float | None:
    """Change of similarity in ten turns, of a line through turns 2 and on."""
    at = [turn for turn, value in enumerate(means) if turn and np.isfinite(value)]
    if len(at) < 2:
        return None
    return round(10 * float(np.polyfit(at, [means[turn] for turn in at], 1)[0]), 4)


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG of what `measure` returned."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 4.5))
    for condition, color in zip(CONDITIONS, ("tab:blue", "tab:red", "tab:gray"), strict=True):
        means = np.array(result[condition]["by_turn"], float)
        at = np.arange(1, len(means) + 1)
        known = np.isfinite(means)
        axis.plot(at[known], means[known], marker="o", markersize=3, color=color, label=condition)
    axis.axhline(result["others"], linestyle=":", color="black", label="turns of other voices")
    axis.set(
        xlabel="turn",
        ylabel="similarity to turn 1",
        title="pico's four voices: cosine of means and spreads of cepstra",
        ylim=(-1, 1.02),
    )
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the figures as JSON, writes them and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "pico")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    given = parser.parse_args(arguments)
    found = asyncio.run(_spoken(given.model, given.turns, given.seed))
    result = {"machine": machine.describe(), "turns": given.turns, "seed": given.seed}
    result |= measure(found, given.turns)
    text = json.dumps(result, indent=2)
    given.out.write_text(text + "\n", encoding="utf-8")
    draw(result, given.picture)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
