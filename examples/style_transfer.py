"""A text in the manner of a recording: its voice, pitch and pace, by being shown it first.

    python examples/style_transfer.py prompt.wav "what is said in it" "What to say." out.wav

The recording stands in the model's context as the turn before. The text is said twice, with it and
without it, and what can be measured of manner is printed side by side; `--picture style.png` draws
the pitch of all three (with matplotlib). CSM-1B takes up a manner from ten seconds or more; pico,
which was trained on four voices, hardly does, and the figures say so.
"""

import argparse
from pathlib import Path

import numpy as np
from connection import arguments_of, connected, run
from numpy.typing import NDArray

from csm import AsyncClient, ContextTurn
from csm.audio.files import read_audio, write_audio
from csm.audio.levels import levels_of

LOWEST_HZ, HIGHEST_HZ = 60, 400
WINDOW_S, STEP_S = 0.04, 0.01
VOICED = 0.5
"""A window whose autocorrelation is higher at some lag has a pitch."""


def pitch_hz(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """The pitch every 10 ms by autocorrelation, NaN where there is none."""
    window, step = round(WINDOW_S * rate_hz), round(STEP_S * rate_hz)
    lags = np.arange(rate_hz // HIGHEST_HZ, rate_hz // LOWEST_HZ)
    found = []
    loudest = float(np.sqrt(np.mean(samples**2))) + 1e-9
    for first in range(0, len(samples) - window - lags[-1], step):
        here = samples[first : first + window]
        if np.sqrt(np.mean(here**2)) < 0.3 * loudest:
            found.append(np.nan)
            continue
        there = np.lib.stride_tricks.sliding_window_view(
            samples[first + lags[0] : first + lags[-1] + window], window
        )
        energy = np.sqrt((here @ here) * np.einsum("ij,ij->i", there, there)) + 1e-9
        likeness = there @ here / energy
        best = int(likeness.argmax())
        found.append(rate_hz / lags[best] if likeness[best] > VOICED else np.nan)
    return np.array(found)


async def say(
    client: AsyncClient, arguments: argparse.Namespace, context: list[ContextTurn]
) -> tuple[NDArray[np.float32], int]:
    """The text, after the context: samples and their rate."""
    speech = client.synthesize(
        arguments.text,
        context=context,
        speaker=arguments.speaker,
        seed=arguments.seed,
        temperature=arguments.temperature,
    )
    samples = await speech.read_all()
    assert speech.started is not None
    return samples, speech.started.format.sample_rate_hz


def draw(pitches: dict[str, NDArray[np.float64]], picture: Path) -> None:
    """The pitch of each over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.add_subplot(xlabel="seconds", ylabel="pitch, Hz")
    for name, pitch in pitches.items():
        axes.plot(np.arange(len(pitch)) * STEP_S, pitch, ".", markersize=3, label=name)
    axes.legend()
    figure.savefig(picture, dpi=90)


async def main(arguments: argparse.Namespace) -> None:
    """Says the text with and without the prompt, and measures."""
    prompt = ContextTurn(arguments.speaker, arguments.words, audio=arguments.prompt)
    async with connected(arguments) as client:
        with_prompt, rate_hz = await say(client, arguments, [prompt])
        without, _ = await say(client, arguments, [])
    write_audio(arguments.output, with_prompt, rate_hz)
    recorded, _ = read_audio(arguments.prompt, max_seconds=60, rate_hz=rate_hz)
    pitches = {}
    print(f"{'':16}{'pitch':>9}{'range':>9}{'letters/s':>11}{'loudness':>13}")
    for name, samples, text in (
        ("the recording", recorded, arguments.words),
        ("with it", with_prompt, arguments.text),
        ("without it", without, arguments.text),
    ):
        pitch = pitches[name] = pitch_hz(samples, rate_hz)
        low, middle, high = np.nanpercentile(pitch, (10, 50, 90)) if len(pitch) else [np.nan] * 3
        seconds = len(samples) / rate_hz
        print(
            f"{name:16}{middle:6.0f} Hz{high - low:6.0f} Hz{len(text) / seconds:11.1f}"
            f"{levels_of(samples, rate_hz).loudness_lufs:8.1f} LUFS"
        )
    if arguments.picture:
        draw(pitches, arguments.picture)


if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("prompt", type=Path, help="a recording of at most 3 MiB")
    parser.add_argument("words", help="what is said in it, word for word")
    parser.add_argument("text", help="what to say in its manner")
    parser.add_argument("output", type=Path, help="a file: .wav, .flac, .ogg, .mp3")
    parser.add_argument("--picture", type=Path, help="draw the pitch, e.g. style.png")
    parser.add_argument("--speaker", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float)
    run(main, parser.parse_args())
