"""The OpenAPI document says what is there, and what is there does as it says."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from csm.serving.auth.rules import PUBLIC
from csm.serving.calls.recorder import CallRecorder
from gateway.access import ROUTES
from gateway.http import messages
from gateway.http.app import make_app
from gateway.http.openapi import document
from tests.gateway.fakes import stack

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
DOCUMENT = document(4096)
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A gateway on a loop of its own thread: schemathesis waits for its answers."""
    found: list[str] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def life() -> None:
        async with stack(http_port=0, max_streams_per_client=48) as one:
            found.append(one.http)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(life()))
    thread.start()
    assert ready.wait(20)
    yield found[0]
    loop.call_soon_threadsafe(done.set)
    thread.join(20)
    loop.close()


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_route_does_as_the_document_says(case: schemathesis.Case, address: str) -> None:
    answer = case.call(base_url=address, timeout=20)
    case.validate_response(answer, checks=CHECKS)


def test_the_document_is_served(address: str) -> None:
    assert httpx.get(f"{address}/openapi.json").json() == DOCUMENT


def test_the_document_has_every_route() -> None:
    class Speech:
        from gateway.settings import GatewaySettings

        settings = GatewaySettings()

    class Metrics: ...

    edge = make_app(Speech(), Metrics(), None, None, CallRecorder())  # type: ignore[arg-type]
    served = set(edge._routes.values())  # type: ignore[attr-defined]
    assert served - {"/v1/conversations", "/", "/playground/{file}"} == set(DOCUMENT["paths"])


def test_what_needs_no_credential_says_so() -> None:
    public = {
        f"{method.upper()} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == []
    }
    rules = {name for name, rule in ROUTES.items() if rule is PUBLIC}
    assert public == rules - {"GET /", "GET /playground/{file}"}
    assert DOCUMENT["security"] == [{"token": []}, {}]


def test_a_voice_is_described_alike_wherever_a_body_names_one() -> None:
    named = [
        DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"][
            "properties"
        ]["voice"]
        for path in ("/v1/audio/speech", "/v1/text/prepare")
    ]
    assert named[0] == named[1]
    assert {one["type"] for one in named[0]["anyOf"]} == {"string", "object", "null"}


def test_what_only_we_know_is_described_field_by_field() -> None:
    extras = messages.speech_extras_schema()["properties"]
    assert extras["seed"] == {"type": "integer", "minimum": 0, "maximum": (1 << 64) - 1}
    assert extras["text_options"]["properties"]["markup"]["enum"] == ["strip", "obey", "off"]
    assert extras["text_options"]["properties"]["lexicon"]["type"] == "array"
