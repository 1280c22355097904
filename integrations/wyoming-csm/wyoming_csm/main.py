"""The command `wyoming-csm`."""

import argparse
import asyncio
import contextlib
import logging
from functools import partial
from pathlib import Path

from wyoming.server import AsyncServer

from csm import AsyncClient, ServiceError
from wyoming_csm.bridge import Bridge
from wyoming_csm.handler import SpeechHandler


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="wyoming-csm", description=__doc__)
    add = parser.add_argument
    add("--uri", default="tcp://127.0.0.1:10200", help="where to listen; tcp:// or unix://")
    add("--target", default="127.0.0.1:50050", help="the csm gateway, HOST:PORT")
    add("--voice", default="", help="voice where a request names none; default: the server's")
    add("--sample-rate", type=int, default=24_000, help="Hz, 8000..192000; default 24000")
    add("--max-requests", type=int, default=16, help="texts spoken at once; default 16")
    add("--timeout", type=float, default=120.0, help="seconds for a whole text; default 120")
    add("--root-certificates", type=Path, help="PEM file; turns TLS to the gateway on")
    add("--debug", action="store_true", help="log more")
    parsed = parser.parse_args(arguments)
    if parsed.max_requests < 1:
        parser.error(f"--max-requests: {parsed.max_requests} is not allowed; at least 1")
    if not 8000 <= parsed.sample_rate <= 192_000:
        parser.error(f"--sample-rate: {parsed.sample_rate} is not allowed; 8000..192000")
    return parsed


async def serve(options: argparse.Namespace) -> None:
    """Listens until it is cancelled or told to end. Raises what keeps it from starting."""
    server = AsyncServer.from_uri(options.uri)
    async with AsyncClient(options.target, root_certificates=options.root_certificates) as client:
        bridge = Bridge(
            client,
            voice=options.voice,
            sample_rate_hz=options.sample_rate,
            max_requests=options.max_requests,
            timeout_s=options.timeout,
        )
        logging.getLogger("wyoming_csm").info("ready; %s", options.uri)
        await server.run(partial(SpeechHandler, bridge))


def main(arguments: list[str] | None = None) -> None:
    """Runs the bridge; a wrong option ends with 2, what keeps it from starting with 1."""
    options = _arguments(arguments)
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.INFO)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(options))
    except (ServiceError, OSError, ValueError) as error:
        raise SystemExit(f"wyoming-csm: {error}") from None


if __name__ == "__main__":
    main()
