"""What it costs to know who calls: `python -m benchmarks.identity`.

Two gateways over fakes in this process, one of them with identity. Unary calls go to both in turn,
in blocks; CPU time of the process (the client's included, which sends the credential) is compared
block by block. `check` is the check alone.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from csm.client import AsyncClient
from csm.serving.auth.authenticator import Authenticator
from csm.serving.auth.identity import Scope
from csm.serving.auth.rules import one_of
from tests.csm.serving.auth.cases import AUDIENCE, ISSUER, Issuer, Tokens
from tests.gateway.fakes import stack

CALLS_A_BLOCK = 100
MANY = 1000
"""Tokens in the file."""
SPEAKING = one_of(Scope.SPEAK)


async def measure(blocks: int) -> dict[str, Any]:
    """`blocks` of calls without identity, with a token and with a JWT, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        tokens, issuer = Tokens(Path(folder) / "tokens"), Issuer()
        for _ in range(MANY - 1):
            tokens.of([Scope.SPEAK])
        token = tokens.of([Scope.SPEAK])
        jwks = Path(folder) / "jwks"
        jwks.write_bytes(issuer.jwks)
        settings: dict[str, Any] = {
            "auth_tokens_file": tokens.path,
            "auth_jwt_issuer": ISSUER,
            "auth_jwt_audience": AUDIENCE,
            "auth_jwt_jwks": str(jwks),
        }
        async with stack(http_port=None) as off, stack(http_port=None, **settings) as on:
            async with (
                AsyncClient(off.host.address) as anybody,
                AsyncClient(on.host.address, token=token) as alice,
                AsyncClient(on.host.address, token=issuer.token()) as bob,
            ):
                clients = {"off": anybody, "token": alice, "jwt": bob}
                figures: dict[str, list[float]] = {name: [] for name in clients}
                for _ in range(blocks + 1):
                    for name, client in clients.items():
                        figures[name].append(await _cpu_us_a_call(client))
            authenticator = on.host._authenticator
            assert authenticator is not None
            checks = {
                "token": await _check_us(authenticator, [token]),
                "jwt": await _check_us(authenticator, [issuer.token()]),
                "new_jwt": await _check_us(
                    authenticator, [issuer.token(sub=f"n{n}") for n in range(CALLS_A_BLOCK)]
                ),
            }
    # The first block of each warms up.
    figures = {name: found[1:] for name, found in figures.items()}
    return {
        "benchmark": "identity",
        "machine": machine.describe(),
        "calls": blocks * CALLS_A_BLOCK,
        "tokens_in_file": MANY,
        "cpu_us_a_call": {name: machine.summary(found, 1) for name, found in figures.items()},
        "added_us": {
            name: round(_median_difference(figures[name], figures["off"]), 1)
            for name in ("token", "jwt")
        },
        "check_us": {name: round(found, 1) for name, found in checks.items()},
    }


async def _cpu_us_a_call(client: AsyncClient) -> float:
    began = time.process_time()
    for _ in range(CALLS_A_BLOCK):
        await client.list_voices()
    return (time.process_time() - began) * 1e6 / CALLS_A_BLOCK


async def _check_us(authenticator: Authenticator, tokens: Sequence[str]) -> float:
    given = [[f"Bearer {tokens[n % len(tokens)]}"] for n in range(CALLS_A_BLOCK)]
    began = time.perf_counter()
    for one in given:
        await authenticator.admit(SPEAKING, one, tuple)
    return (time.perf_counter() - began) * 1e6 / CALLS_A_BLOCK


def _median_difference(these: Sequence[float], those: Sequence[float]) -> float:
    return statistics.median(a - b for a, b in zip(these, those, strict=True))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else 40)), indent=2))
