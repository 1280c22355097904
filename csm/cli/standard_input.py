"""Texts from standard input."""

import sys

from csm.cli.reporting import CommandError

# Of standard input: an hour of speech and more.
MOST_BYTES = 1 << 20


def read_text() -> str:
    """The text that comes, at most 1 MiB of UTF-8."""
    given = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(given) > MOST_BYTES:
        raise CommandError(
            f"text: standard input has more than {MOST_BYTES} bytes; say it in parts"
        )
    try:
        return given.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"text: standard input is not UTF-8 (byte {error.start}); convert it first"
        ) from None
