"""The engine runs a native model as it runs `Csm`: streams, company, second turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.generator.native.native_csm import NativeCsm, WeightFormat
from tests.generator.harness import SAMPLED, random_rows, running
from tests.generator.tiny import tiny_csm


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
async def test_the_same_seed_gives_the_same_codes_alone_and_in_company(kind: WeightFormat) -> None:
    native = NativeCsm(tiny_csm(), kind, threads=1)
    prompts = [random_rows(5 + 7 * index, index, columns=6) for index in range(6)]

    def options(seed: int) -> dict[str, Any]:
        return {"sampling": SAMPLED, "seed": seed, "max_frames": 12}

    async with running(native, slots=3, chunk=16, max_queue=6) as turns:
        company = [turns.submit(prompt, **options(seed)) for seed, prompt in enumerate(prompts)]
        for turn in company:
            await turn.finished()
    assert sum(len(turn.codes) for turn in company) > 12
    for seed, prompt in enumerate(prompts):
        async with running(native, slots=1, chunk=5) as turns:
            alone = await turns.speak(prompt, **options(seed))
        np.testing.assert_array_equal(alone.codes, company[seed].codes)
