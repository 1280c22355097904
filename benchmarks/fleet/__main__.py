"""`python -m benchmarks.fleet streams`, and what else is behind the one machine; `--help`."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.fleet import compare, everything, page, store, streams

KINDS: dict[str, tuple[Any, str]] = {
    "streams": (streams, "conversations through real gateways over simulated services"),
    "day": (compare, "the autoscaler's rule on a simulated day"),
    "store": (store, "bytes of a conversation in a real Redis"),
    "all": (everything, "all figures of docs/scaling.md, into docs/scaling.json"),
    "page": (page, "the tables of docs/scaling.md from docs/scaling.json"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is asked for and prints JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name, (module, text) in KINDS.items():
        one = kinds.add_parser(name, help=text)
        module.add_arguments(one)
        one.set_defaults(run=module.run)
    given = parser.parse_args(arguments)
    print(json.dumps(given.run(given), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
