"""The engine over a real, tiny CSM and over pico: seeds, company, reuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from services.generator.engine.events import FinishReason
from services.generator.engine.protocol import Model
from services.generator.loading import load
from services.generator.model.generate import generate
from services.generator.model.prompt import PromptSegment, prompt_frames
from services.generator.model.sampling import GREEDY
from services.generator.native.native_csm import NativeCsm
from services.model_directory import default_model_directory
from tests.generator.harness import SAMPLED, Turns, audio_rows, random_rows, running
from tests.generator.tiny import tiny_csm

MODELS: dict[str, Callable[[], Model]] = {
    "fp32": tiny_csm,
    "bf16": lambda: tiny_csm(torch.bfloat16),
    "native fp32": lambda: NativeCsm(tiny_csm(), "fp32", threads=1),
    "native bf16": lambda: NativeCsm(tiny_csm(torch.bfloat16, head_dim=32), "bf16", threads=1),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=MODELS)
def csm(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]()


def rows(count: int, seed: int) -> np.ndarray:
    return random_rows(count, seed, columns=6)


async def solo(csm: Model, prompt: np.ndarray, **options: Any) -> np.ndarray:
    async with running(csm, slots=4, chunk=16) as turns:
        return (await turns.speak(prompt, **options)).codes


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_seed_gives_the_same_codes_alone_and_in_company(
    csm: Model, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    voice = rows(40, 5)
    prompts = [
        np.concatenate([voice, rows(int(rng.integers(1, 30)), index)])
        if index % 2
        else rows(int(rng.integers(1, 80)), index)
        for index in range(12)
    ]
    options = [
        {"sampling": SAMPLED if index % 3 else GREEDY, "seed": index, "max_frames": 15}
        for index in range(12)
    ]
    async with running(csm, slots=4, chunk=16, max_queue=12) as turns:
        listeners = []
        for index in rng.permutation(12):
            listeners.append((index, turns.submit(prompts[index], **options[index])))
            if rng.random() < 0.5:
                await asyncio.sleep(float(rng.random()) * 0.02)
            if rng.random() < 0.3:
                # A cancelled neighbour must leave no trace either.
                other = turns.submit(rows(50, 900 + int(index)), seed=3, max_frames=50)
                await asyncio.sleep(0.01)
                turns.engine.cancel(other.key)
                await other.finished()
        for _, listener in listeners:
            await listener.finished()
        shared = [listener.started.reused_frames for _, listener in listeners]
    assert any(shared), "no prefix was shared, so the test shows less than it means to"
    for index, listener in listeners:
        np.testing.assert_array_equal(
            listener.codes, await solo(csm, prompts[index], **options[index])
        )


async def test_whole_conversations_are_the_same_alone_and_in_company(csm: Model) -> None:
    async def converse(turns: Turns, number: int) -> list[np.ndarray]:
        history, spoken = rows(20, 5), []
        for part in range(3):
            prompt = np.concatenate([history, rows(6 + number, 10 * number + part)])
            listener = await turns.speak(
                prompt, owner=f"talk-{number}", sampling=SAMPLED, seed=part, max_frames=9
            )
            assert not part or listener.started.reused_frames >= len(history) - 3
            spoken.append(listener.codes)
            history = np.concatenate([prompt, audio_rows(listener.codes)])
        return spoken

    async with running(csm, slots=4, chunk=16) as turns:
        together = await asyncio.gather(*(converse(turns, number) for number in range(4)))
    for number in range(4):
        async with running(csm, slots=4, chunk=16) as turns:
            alone = await converse(turns, number)
        for ours, theirs in zip(together[number], alone, strict=True):
            np.testing.assert_array_equal(ours, theirs)


async def test_a_turn_equals_the_plain_loop_of_the_model() -> None:
    csm = tiny_csm()
    for seed, sampling in enumerate((GREEDY, SAMPLED)):
        prompt = rows(30, seed)
        expected = generate(csm, prompt, sampling, 20, seed).numpy()
        codes = await solo(csm, prompt, sampling=sampling, seed=seed, max_frames=20)
        np.testing.assert_array_equal(codes, expected)


async def test_a_second_turn_on_the_cache_equals_a_full_prefill() -> None:
    csm = tiny_csm()
    async with running(csm, slots=2, chunk=16) as turns:
        first = await turns.speak(rows(40, 1), owner="a", max_frames=20)
        prompt = np.concatenate([rows(40, 1), audio_rows(first.codes), rows(9, 2)])
        second = await turns.speak(prompt, owner="a", max_frames=30)
        assert second.started.reused_frames == 40 + 19
        cut = np.concatenate([rows(40, 1), audio_rows(first.codes[:7]), rows(9, 3)])
        third = await turns.speak(cut, owner="a", max_frames=30)
        assert third.started.reused_frames == 40 + 7
    np.testing.assert_array_equal(second.codes, await solo(csm, prompt, max_frames=30))
    np.testing.assert_array_equal(third.codes, await solo(csm, cut, max_frames=30))


async def test_pico_says_the_same_in_the_engine_as_in_the_plain_loop() -> None:
    loaded = load(default_model_directory(), device="cpu", dtype="float32")
    books = loaded.model.config.num_codebooks
    prompt = prompt_frames([PromptSegment(0, "hello there.")], loaded.tokenizer, books)
    expected = generate(loaded.model, prompt, loaded.defaults.sampling, 60, 3).numpy()
    async with running(loaded.model, slots=2, chunk=64) as turns:
        company = turns.submit(
            prompt_frames([PromptSegment(0, "who else is here?")], loaded.tokenizer, books),
            sampling=loaded.defaults.sampling,
            max_frames=60,
        )
        listener = await turns.speak(
            prompt, sampling=loaded.defaults.sampling, seed=3, max_frames=60
        )
        await company.finished()
    assert listener.terminals[0].reason is FinishReason.EOS
    np.testing.assert_array_equal(listener.codes, expected)


async def parked_and_back(csm: Model, prompt: np.ndarray, crowd: bool, **options: Any) -> None:
    """A turn that loses its slot twice says what it says undisturbed."""
    expected = await solo(csm, prompt, **options)
    width = prompt.shape[1]
    others = [random_rows(9 + n, 90 + n, columns=width, vocab=60) for n in range(3)]
    async with running(csm, slots=1, chunk=16, stall_slot_s=0.05, max_positions=256) as turns:
        slow = turns.submit(prompt, credit=4, **options)
        for frames in (4, 7):
            await slow.frames(frames)
            for other in others if crowd else others[:1]:
                await turns.speak(other, max_frames=3)
            await turns.settled(lambda: turns.engine.load.parked == 1)
            turns.engine.credit(slow.key, 3 if frames == 4 else 1000)
        await slow.finished()
    np.testing.assert_array_equal(slow.codes, expected)


@pytest.mark.parametrize("crowd", [False, True])
@pytest.mark.parametrize("seed", [5, 5 + (1 << 40)])
async def test_a_turn_that_gave_its_slot_up_goes_on_with_the_same_codes(
    csm: Model, seed: int, crowd: bool
) -> None:
    await parked_and_back(csm, rows(40, 1), crowd, sampling=SAMPLED, seed=seed, max_frames=20)


@pytest.mark.parametrize("native", ["off", "auto"])
async def test_pico_goes_on_with_the_same_codes_where_it_gave_its_slot_up(native: Any) -> None:
    loaded = load(
        default_model_directory(), device="cpu", dtype="float32", native=native, threads=1
    )
    books = loaded.model.config.num_codebooks
    prompt = prompt_frames([PromptSegment(0, "good morning to you.")], loaded.tokenizer, books)
    await parked_and_back(
        loaded.model, prompt, True, sampling=loaded.defaults.sampling, seed=3, max_frames=60
    )
