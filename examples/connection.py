"""What the examples share: the server that they ask, and how they end.

An example starts nothing itself: it asks `--server`. With `--local`, in a clone of the repository,
the three services run in its own process meanwhile, with the small voice that ships.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from csm import AsyncClient, ServiceError

TARGET = "127.0.0.1:50050"


def arguments_of(document: str | None, **more: Any) -> argparse.ArgumentParser:
    """A parser that shows the example's own text, and knows `--server` and `--local`."""
    parser = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter, **more
    )
    parser.add_argument("--server", default=TARGET, metavar="HOST:PORT", help="the gateway")
    parser.add_argument("--local", action="store_true", help="run the server in this process")
    return parser


@contextlib.asynccontextmanager
async def connected(arguments: argparse.Namespace) -> AsyncIterator[AsyncClient]:
    """A client of the server that the arguments name."""
    async with contextlib.AsyncExitStack() as stack:
        target = arguments.server
        if arguments.local:
            from services.all_in_one import AllInOne

            target = (await stack.enter_async_context(AllInOne(slots=4))).address
        yield await stack.enter_async_context(AsyncClient(target))


def run(main: Callable[..., Awaitable[int | None]], arguments: argparse.Namespace) -> None:
    """Runs the example to the end of the process: 1 and a line where it fails, 130 at Ctrl-C."""
    try:
        raise SystemExit(asyncio.run(main(arguments)))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        print(f"{sys.argv[0]}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        # What a group of tasks ended with is its first error.
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, (ServiceError, OSError, ValueError)):
            raise
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
