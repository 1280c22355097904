"""`python -m benchmarks.fleet streams`, and what else is behind the one machine; `--help`."""

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.fleet import streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is asked for and prints JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    streams.add_arguments(kinds.add_parser("streams", help="conversations through real gateways"))
    given = parser.parse_args(arguments)
    print(json.dumps(streams.run(given), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
