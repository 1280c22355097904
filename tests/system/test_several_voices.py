"""Several voices in one turn, by the model that ships: each part sounds like its voice."""

import numpy as np

from csm.client import AsyncClient
from services.all_in_one import AllInOne
from tests.system.conftest import PICO

RATE_HZ = 24_000
WINDOW = 960
"""40 ms."""


def pitch_hz(samples: np.ndarray) -> float:
    """The median pitch of the voiced parts, by autocorrelation, 70..320 Hz."""
    found = []
    low, high = RATE_HZ // 320, RATE_HZ // 70
    for at in range(0, len(samples) - WINDOW, WINDOW // 2):
        part = samples[at : at + WINDOW] - samples[at : at + WINDOW].mean()
        matches = np.correlate(part, part, "full")[WINDOW - 1 :]
        lag = low + int(matches[low:high].argmax())
        if np.sqrt((part**2).mean()) > 0.02 and matches[lag] > matches[0] / 2:
            found.append(RATE_HZ / lag)
    return float(np.median(found))


async def test_a_script_sounds_like_the_voices_that_it_names() -> None:
    script = (
        "[voice: rms] The weather is fine today.\n"
        "[voice: slt] We went to the market by the river.\n"
        "[voice: rms] Please close the window."
    )
    async with (
        AllInOne(model=PICO, slots=1, threads=1) as running,
        AsyncClient(running.address) as client,
    ):
        parts: dict[int, list[np.ndarray]] = {}
        speech = client.synthesize(script, seed=3, conversation_id="c")
        async for chunk in speech:
            parts.setdefault(chunk.text_chars, []).append(chunk.samples)
        conversation = await client.get_conversation("c")
    assert speech.completed is not None
    assert not speech.completed.warnings
    first, second, third = [pitch_hz(np.concatenate(parts[end])) for end in sorted(parts)]
    # Alone they speak at about 102 and 178 Hz.
    assert max(first, third) < 130 < 150 < second
    (turn,) = conversation.turns
    assert turn.speaker == 1
    assert "[" not in turn.text
