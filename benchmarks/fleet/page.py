"""The tables of docs/scaling.md, from what was measured: `python -m benchmarks.fleet page`.

Each stands between two comments that name it, and is made of docs/scaling.json and
docs/performance.json alone.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fleet.capacity import Capacity, Prices
from benchmarks.fleet.engine import FRAME_MS

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "scaling.json"
PERFORMANCE = ROOT / "docs" / "performance.json"
PAGE = ROOT / "docs" / "scaling.md"
SIZES = (1_000, 100_000, 10_000_000)
"""Conversations open at once."""
LONGEST_FRAMES = 40_000
SLOTS = 16
"""Of a generator, where one is meant."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prices, which nobody measures."""
    prices = Prices()
    parser.add_argument("--core-hour", type=float, default=prices.core_hour)
    parser.add_argument("--card-hour", type=float, default=prices.card_hour)
    parser.add_argument("--gib-hour", type=float, default=prices.gib_hour)
    parser.add_argument("--page", type=Path, default=PAGE)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Rewrites the page; says which tables it has."""
    prices = Prices(given.core_hour, given.card_hour, given.gib_hour)
    text = given.page.read_text()
    given.page.write_text(rendered(text, *stored(), prices))
    return {"page": str(given.page), "tables": list(TABLES)}


def stored() -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of this page, and those of docs/performance.md."""
    return json.loads(FIGURES.read_text()), json.loads(PERFORMANCE.read_text())


def rendered(
    text: str, figures: dict[str, Any], performance: dict[str, Any], prices: Prices
) -> str:
    """The page with its tables made anew. Raises ValueError where a table has no place."""
    capacity = Capacity(figures, performance, prices)
    for name, table in TABLES.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        body = "\n".join(table(capacity)) + "\n"
        text, count = pattern.subn(lambda m, body=body: m[1] + body + m[2], text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the page has {count} places for the table {name}; it needs one")
    return text


def _rows(*rows: Sequence[object]) -> list[str]:
    """A table; the first row is its head."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def _where(capacity: Capacity) -> list[str]:
    """Of each part, with what else the machine did."""
    machines = {name: part["machine"] for name, part in capacity.measured.items()}
    told = {(one["cpu"], one["cores"]) for one in machines.values()}
    cpus = "; ".join(f"{cpu}, {cores} cores" for cpu, cores in sorted(told))
    loads = ", ".join(
        f"{name} {machine['load_average'][0]:.1f}" for name, machine in machines.items()
    )
    return [
        f"Measured on {cpus}. Load average at the end of each part: {loads}. A gateway, its "
        "backends and the clients need about 2 by themselves; where it was more, others had the "
        "processor, and first audio and gaps say little."
    ]


def _streams(capacity: Capacity) -> list[str]:
    head = [
        "gateways", "open", "speak at once", "frames a second", "gateways' CPU, cores",
        "ms of CPU a frame", "first audio p50 / p99, ms", "turns with a gap",
    ]  # fmt: skip
    rows = [
        (
            run["gateways"],
            f"{run['streams']:,}",
            run["speaking"],
            round(run["frames_per_s"]),
            run["cpu_cores"]["gateway"],
            run["gateway_cpu_ms_a_frame"],
            f"{run['first_audio_ms']['p50']:.0f} / {run['first_audio_ms']['p99']:.0f}",
            f"{run['turns_interrupted']} of {run['turns']}",
        )
        for run in capacity.runs
    ]
    return _rows(head, *rows)


def _capacity(capacity: Capacity) -> list[str]:
    one = capacity
    return _rows(
        ("what", "measured", "so one core carries"),
        (
            "gateway, turns that speak",
            f"{one.gateway_ms:.2f} ms of CPU a frame",
            f"{one.speakers_a_core:.0f}, at half its time {one.speakers_a_core / 2:.0f}",
        ),
        (
            "gateway, conversations that stand open",
            f"{one.open_us:.0f} µs of CPU a second, {one.open_kb:.0f} KB each",
            f"{1e6 / one.open_us:,.0f}",
        ),
        (
            "tokenizer at full size, decoding",
            f"{one.decode_ms:.1f} ms a frame, two cores",
            f"{one.decoders_a_core:.0f}",
        ),
        (
            "all three services with pico",
            f"{one.pico_audio_s:.0f} s of speech a second, two cores",
            f"{one.pico_audio_s / 2:.0f}",
        ),
        (
            f"generator, CSM-1B int8, {one.offline_slots} slots",
            f"a step of {one.offline_step_ms:.0f} ms, two cores",
            f"none in real time; {one.offline_audio_s / 2:.1f} s of speech a second offline",
        ),
        ("a GPU", "nothing yet", "(a card:) the slots at which a step takes 60 ms or less"),
    )


def _cost(capacity: Capacity) -> list[str]:
    one, prices = capacity, capacity.prices
    utilisation = one.utilisation(SLOTS)
    return _rows(
        ("an hour of speech", "takes", "costs"),
        (
            "gateway",
            f"{one.gateway_core_hours:.4f} core hours",
            f"{one.gateway_core_hours * prices.core_hour:.5f}",
        ),
        (
            "all three services with pico, kept busy",
            f"{one.pico_core_hours:.3f} core hours",
            f"{one.pico_core_hours * prices.core_hour:.4f}",
        ),
        (
            "generator, CSM-1B int8, offline, kept busy",
            f"{one.offline_core_hours:.2f} core hours",
            f"{one.offline_core_hours * prices.core_hour:.3f}",
        ),
        (
            f"a card with {SLOTS} slots in real time, used as on the day below "
            f"({100 * utilisation:.0f} %)",
            f"{1 / (SLOTS * utilisation):.3f} card hours",
            f"{prices.card_hour / (SLOTS * utilisation):.3f}",
        ),
        (
            "to remember it for an hour",
            f"{one.store_gib_an_hour:.4f} GiB of Redis",
            f"{one.store_gib_an_hour * prices.gib_hour:.6f}",
        ),
    )


def _sizes(capacity: Capacity) -> list[str]:
    sizes = [capacity.at(size, SLOTS) for size in SIZES]

    def row(name: str, value: Callable[[dict[str, float]], str]) -> Sequence[str]:
        return (name, *(value(size) for size in sizes))

    return _rows(
        ("conversations open", *(f"{size:,}" for size in SIZES)),
        row("of these speak", lambda s: f"{s['speaking']:,.0f}"),
        row("frames a second", lambda s: f"{s['frames_per_s']:,.0f}"),
        row("gateway processes, half busy", lambda s: f"{s['gateways']:,.0f}"),
        row(f"generators of {SLOTS} slots", lambda s: f"{s['generators']:,.0f}"),
        row("commands to Redis a second", lambda s: f"{s['redis_per_s']:,.0f}"),
        row("Redis' memory, GiB", lambda s: f"{s['redis_gib']:,.2f}"),
        row("connections, gateways to generators", lambda s: f"{s['connections']:,.0f}"),
        row("audio to listeners, Gbit/s", lambda s: f"{s['gbit_per_s']:,.2f}"),
    )


def _day(capacity: Capacity) -> list[str]:
    head = [
        "slots", "found within", "target", "late for a slot", "refused", "most replicas",
        "replica hours", "used",
    ]  # fmt: skip
    best = {(r["slots"], r["discovery_s"]): r["target"] for r in capacity.day["recommended"]}
    rows = []
    for row in capacity.day["rows"]:
        bold = "**" if best[row["slots"], row["discovery_s"]] == row["target"] else ""
        rows.append(
            (
                row["slots"],
                f"{row['discovery_s']:g} s",
                f"{bold}{row['target']:g}{bold}",
                f"{row['late_percent']:.2f} %",
                f"{row['refused_percent']:.3f} %",
                row["replicas_most"],
                row["replica_hours"],
                f"{100 * row['utilisation']:.0f} %",
            )
        )
    return _rows(head, *rows)


def _store(capacity: Capacity) -> list[str]:
    store = capacity.store
    return _rows(
        ("what", "bytes"),
        (
            f"a conversation of {store['exchanges']} exchanges, "
            f"{store['audio_s_a_conversation']:.0f} s of audio",
            f"{store['redis_bytes_a_conversation']:,}",
        ),
        ("of it a turn's record", f"{store['record_bytes_a_turn']:,}"),
        ("a second of audio, heard or spoken", f"{store['redis_bytes_a_second_of_audio']:,}"),
        ("of it codes", f"{store['codes_bytes_a_second_of_audio']:,}"),
        (
            f"the longest that is kept ({LONGEST_FRAMES:,} frames, "
            "`CSM_GATEWAY_MAX_CONVERSATION_FRAMES`)",
            f"{store['redis_bytes_a_second_of_audio'] * LONGEST_FRAMES * FRAME_MS // 1000:,}",
        ),
    )


TABLES: dict[str, Callable[[Capacity], list[str]]] = {
    "where": _where,
    "capacity": _capacity,
    "streams": _streams,
    "cost": _cost,
    "sizes": _sizes,
    "day": _day,
    "store": _store,
}
"""By the name in the page's comments."""
