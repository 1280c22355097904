"""All that docs/scaling.md quotes, measured anew: `python -m benchmarks.fleet all`.

For a machine that does nothing else; about a quarter of an hour. Each part is written when it is
there, and `--only` measures some.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from benchmarks import gateway
from benchmarks.fleet import compare, store, streams
from benchmarks.fleet.page import FIGURES, ROOT

CHART = ROOT / "docs" / "images" / "scaling-day.png"
SPEAKING = {1: "40,80,120", 2: "80,120", 4: "80,120"}
"""Turns at once, by gateways."""
GATEWAY_CALLS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of it."""
    parser.add_argument("--only", default=",".join(PARTS), help="parts, parted by commas")
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=FIGURES)
    parser.add_argument("--chart", type=Path, default=CHART)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Measures; gives what the file holds then."""
    known: dict[str, Any] = {}
    if given.output.exists():
        known = json.loads(given.output.read_text())
    wanted = given.only.split(",")
    if wrong := [part for part in wanted if part not in PARTS]:
        raise SystemExit(f"--only {wrong[0]!r} is no part; there are {', '.join(PARTS)}")
    for part in wanted:
        known[part] = PARTS[part](given)
        given.output.write_text(json.dumps(known, indent=1) + "\n")
    return known


def _options(module: Any, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args(arguments)


def _streams(given: argparse.Namespace) -> dict[str, Any]:
    runs: list[Any] = []
    told: dict[str, Any] = {}
    for gateways, speaking in SPEAKING.items():
        asked = ("--streams", str(given.streams), "--gateways", str(gateways))
        told = streams.run(_options(streams, *asked, "--speaking", speaking))
        runs += told["runs"]
    return told | {"runs": runs}


def _gateway(given: argparse.Namespace) -> dict[str, Any]:
    return asyncio.run(gateway.measure(GATEWAY_CALLS)) | {"machine": streams.where()}


def _day(given: argparse.Namespace) -> dict[str, Any]:
    return compare.run(_options(compare, "--chart", str(given.chart)))


def _store(given: argparse.Namespace) -> dict[str, Any]:
    return store.run(_options(store))


PARTS = {"gateway": _gateway, "streams": _streams, "store": _store, "day": _day}
"""What each part is measured by."""
