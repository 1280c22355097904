"""Several voices in one turn, by the model that ships: each part sounds like its voice."""

import numpy as np

from benchmarks.several_voices import pitch_hz
from csm.client import AsyncClient
from services.all_in_one import AllInOne
from tests.system.conftest import PICO


async def test_a_script_sounds_like_the_voices_that_it_names() -> None:
    script = (
        "[voice: michael] The weather is fine today.\n"
        "[voice: heart] We went to the market by the river.\n"
        "[voice: michael] Please close the window."
    )
    async with (
        AllInOne(model=PICO, slots=1, threads=1) as running,
        AsyncClient(running.address) as client,
    ):
        parts: dict[int, list[np.ndarray]] = {}
        speech = client.synthesize(script, seed=4, conversation_id="c")
        async for chunk in speech:
            parts.setdefault(chunk.text_chars, []).append(chunk.samples)
        conversation = await client.get_conversation("c")
    assert speech.completed is not None
    assert not speech.completed.warnings
    first, second, third = [pitch_hz(np.concatenate(parts[end])) for end in sorted(parts)]
    # Alone they speak at about 102 and 205 Hz.
    assert max(first, third) < 130 < 150 < second
    (turn,) = conversation.turns
    assert turn.speaker == 1
    assert "[" not in turn.text
