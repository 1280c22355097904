"""Carries out a plan: tensors in, the model's passes, one host copy of the codes out."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor

from services.generator.engine.kv_cache import KVCache
from services.generator.engine.plan import Outcome, Plan
from services.generator.engine.protocol import Model
from services.generator.model.noise import noise_for
from services.generator.model.sampler import SamplingRows

log = logging.getLogger(__name__)


class Runner:
    """The model, its cache and the state of every slot on the device."""

    def __init__(self, model: Model, slots: int, max_positions: int, chunk: int) -> None:
        config, device = model.config, model.device
        books = config.num_codebooks
        self._model = model
        self._slots = slots
        self.cache = KVCache(model, slots, max_positions, books + 1, chunk)
        self._sampling = SamplingRows(slots, device=device)
        self._noise = noise_for(slots, books, config.audio_vocab_size, device=device)
        self._hidden = torch.zeros(slots, config.backbone.width, device=device, dtype=model.dtype)
        self._codes = torch.zeros(slots, books, dtype=torch.int64, device=device)

    def noise_after(self, seed: int, frames: int) -> object:
        """The state of a slot's random numbers behind so many frames, as a `Parked` has it; for any
        thread."""
        return self._noise.after(seed, frames)

    def run(self, plan: Plan) -> Outcome:
        """Runs one step. A failure is told in the outcome, never raised: a prefill that fails
        takes its own slot with it, anything else every slot of the plan."""
        outcome = Outcome()
        try:
            with torch.inference_mode():
                self._run(plan, outcome)
        except Exception as error:
            log.exception("a step failed for slots %s", sorted(plan.slots))
            outcome.codes = None
            outcome.failed = dict.fromkeys(plan.slots, error)
            outcome.batch_failed = True
        for slot in outcome.failed:
            # On a broken device this fails too; the engine then reports itself as not alive.
            with suppress(Exception):
                self.cache.clear(slot)
        return outcome

    def _run(self, plan: Plan, outcome: Outcome) -> None:
        clock = time.perf_counter
        for parked in plan.parked:
            parked.noise = self._noise.state(parked.slot)
        for begin in plan.began:
            self._sampling.set(begin.slot, begin.sampling)
            if begin.parked is None:
                self._noise.seed(begin.slot, begin.seed)
            elif begin.parked.noise is None:
                # The step in which it left its slot failed.
                outcome.failed[begin.slot] = RuntimeError("the turn's random numbers are lost")
            else:
                self._noise.restore(begin.slot, begin.parked.noise)
        for copy in plan.copies:
            self.cache.copy(copy.source, copy.target, copy.length)
        if plan.prefills:
            began = clock()
            self._prefill(plan, outcome)
            outcome.phases_s["prefill"] = clock() - began
        if plan.decode:
            began = clock()
            active = self._mask(plan.decode)
            positions = torch.zeros(self._slots, dtype=torch.int64)
            for slot, position in plan.decode.items():
                positions[slot] = position
            stepped = self._model.backbone_step(self._codes, positions, active, self.cache)
            self._hidden = torch.where(self._over(active), stepped, self._hidden)
            outcome.phases_s["backbone"] = clock() - began
        drawn = [slot for slot in plan.sample if slot not in outcome.failed]
        if drawn:
            began = clock()
            chosen = self._mask(drawn)
            noise = self._noise.fill(chosen)
            self._sampling.hold(self._mask(plan.unending))
            codes = self._model.sample_frame(self._hidden, self._sampling, noise, chosen)
            self._codes = torch.where(self._over(chosen), codes, self._codes)
            # The one wait for the device in a step; on CUDA it carries the other phases' time too.
            outcome.codes = self._codes.cpu().numpy()
            outcome.phases_s["depth"] = clock() - began

    def _prefill(self, plan: Plan, outcome: Outcome) -> None:
        for chunk in plan.prefills:
            if chunk.slot in outcome.failed:
                continue
            try:
                rows = torch.from_numpy(chunk.rows)
                hidden = self._model.prefill(rows, chunk.start, chunk.slot, self.cache)
            except Exception as error:
                log.exception("prefill of slot %d failed", chunk.slot)
                outcome.failed[chunk.slot] = error
                continue
            if chunk.last:
                self._hidden[chunk.slot] = hidden

    def _over(self, mask: Tensor) -> Tensor:
        """A mask of slots on the device, over rows; without a wait for it."""
        return mask.to(self._codes.device, non_blocking=True)[:, None]

    def _mask(self, slots: Iterable[int]) -> Tensor:
        mask = torch.zeros(self._slots, dtype=torch.bool)
        mask[list(slots)] = True
        return mask
