"""What one core carries and what an hour of speech takes, from measured figures."""

import math
from dataclasses import dataclass
from typing import Any

from benchmarks.fleet.engine import FRAME_MS

FRAMES_PER_S = 1000 / FRAME_MS
FRAMES_PER_HOUR = 3600 * FRAMES_PER_S
SPEAKING_SHARE = 0.2
"""Of open conversations: the other side talks, thinks, or has gone for coffee."""
MEMORY_TURNS_S = 60.0
"""Audio that an open conversation has behind it, on average; short ones are many."""
BUSY_SHARE = 0.5
"""Of a gateway's core: beyond, a burst is heard (the autoscaler's target for it)."""
LEASE_RENEWALS_PER_S = 3 / 10
"""Of an open conversation: thirds of CSM_GATEWAY_STORE_LEASE_S."""
WRITES_PER_S = 1.0
"""Of a turn that is spoken: it is in the store to a second."""
AUDIO_BITS_PER_S = 24_000 * 16
KEPT_CONTINUITY = 0.01
"""Share of turns with a gap up to which a run counts as good."""


@dataclass(frozen=True)
class Prices:
    """An assumption, in any currency; nobody's list."""

    core_hour: float = 0.04
    card_hour: float = 0.80
    gib_hour: float = 0.01
    """Of memory in Redis."""


class Capacity:
    """Figures that follow from those measured."""

    def __init__(
        self, figures: dict[str, Any], performance: dict[str, Any], prices: Prices
    ) -> None:
        """`figures` are docs/scaling.json, `performance` docs/performance.json."""
        self.prices = prices
        self.measured = {name: part for name, part in figures.items() if "machine" in part}
        """What was measured on a machine, and was not simulated."""
        self.runs: list[dict[str, Any]] = figures["streams"]["runs"]
        self.day: dict[str, Any] = figures["day"]
        self.store: dict[str, Any] = figures["store"]
        good = [
            run
            for run in self.runs
            if run["gateways"] == 1 and run["turns_interrupted"] <= KEPT_CONTINUITY * run["turns"]
        ] or self.runs[:1]
        best = max(good, key=lambda run: run["frames_per_s"])
        self.gateway_ms: float = best["gateway_cpu_ms_a_frame"]
        """Of CPU a frame, of the busiest run whose listeners heard no gaps."""
        self.open_us = max(1.0, 1e6 * best["cpu_cores_of_open_streams"] / best["streams"])
        self.open_kb: float = best["kb_a_stream_open"]
        native = performance["peers"]["codec"]["decode"]["ours_frame_ms"]["native"]
        self.decode_ms = sum(native) / len(native)
        self.pico_audio_s = max(run["audio_s_per_s"] for run in performance["listeners"])
        steps = performance["csm-1b"]["ways"]["int8"]["by_batch"]
        fastest = max(steps, key=lambda step: step["batch"] / step["frame_ms"]["p50"])
        self.offline_slots: int = fastest["batch"]
        self.offline_step_ms: float = fastest["frame_ms"]["p50"]

    @property
    def speakers_a_core(self) -> float:
        """Turns that one core of gateways carries."""
        return FRAME_MS / self.gateway_ms

    @property
    def decoders_a_core(self) -> float:
        """Turns whose codes one core decodes, measured on two."""
        return FRAME_MS / self.decode_ms / 2

    @property
    def offline_audio_s(self) -> float:
        """Seconds of speech that CSM-1B makes on two cores in a second."""
        return self.offline_slots * FRAME_MS / self.offline_step_ms

    @property
    def gateway_core_hours(self) -> float:
        """Of an hour of speech."""
        return FRAMES_PER_HOUR * self.gateway_ms / 3.6e6

    @property
    def pico_core_hours(self) -> float:
        """Of an hour of speech."""
        return 2 / self.pico_audio_s

    @property
    def offline_core_hours(self) -> float:
        """Of an hour of speech by CSM-1B."""
        return 2 / self.offline_audio_s

    @property
    def store_gib_an_hour(self) -> float:
        """Of an hour of speech."""
        return float(self.store["redis_bytes_a_second_of_audio"]) * 3600 / 2**30

    def utilisation(self, slots: int) -> float:
        """Of generators of that size on the simulated day, under the target that is recommended
        where gateways find them soon."""
        found = [r for r in self.day["recommended"] if r["slots"] == slots and r["target"]]
        if not found:
            return min(row["utilisation"] for row in self.day["rows"])
        best = min(found, key=lambda r: r["discovery_s"])
        same = ("slots", "discovery_s", "target")
        row = next(r for r in self.day["rows"] if all(r[k] == best[k] for k in same))
        return float(row["utilisation"])

    def at(self, conversations: int, slots: int) -> dict[str, float]:
        """What so many open conversations take."""
        speaking = conversations * SPEAKING_SHARE
        open_cores = conversations * self.open_us / 1e6
        gateways = math.ceil((speaking / self.speakers_a_core + open_cores) / BUSY_SHARE)
        target = max((r["target"] or 0.0) for r in self.day["recommended"] if r["slots"] == slots)
        generators = math.ceil(speaking / slots / (target or 0.5))
        seconds = MEMORY_TURNS_S * self.store["redis_bytes_a_second_of_audio"]
        return {
            "speaking": speaking,
            "frames_per_s": speaking * FRAMES_PER_S,
            "gateways": gateways,
            "generators": generators,
            "redis_per_s": conversations * LEASE_RENEWALS_PER_S + speaking * WRITES_PER_S,
            "redis_gib": conversations * seconds / 2**30,
            "connections": gateways * generators,
            "gbit_per_s": speaking * AUDIO_BITS_PER_S / 1e9,
        }
