"""Models, voices, health, what there is no route for, and pages in browsers."""

import re
from pathlib import Path

import httpx
import pytest

from gateway.access import ROUTES
from tests.gateway.fakes import Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_models_are_ours_and_the_names_that_clients_send(http: httpx.AsyncClient) -> None:
    for path in ("/v1/models", "/v1/audio/models"):
        told = (await http.get(path)).json()
        assert told["object"] == "list"
        assert [m["id"] for m in told["data"]] == ["fake", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
        assert told["models"] == told["data"]
    one = (await http.get("/v1/models/fake")).json()
    assert (one["id"], one["object"], one["owned_by"]) == ("fake", "model", "csm")
    missing = await http.get("/v1/models/gpt")
    assert missing.status_code == 404
    assert missing.json()["error"]["param"] == "model"


async def test_voices_suit_the_clients_of_three_servers(http: httpx.AsyncClient) -> None:
    told = (await http.get("/v1/audio/voices")).json()
    assert told["object"] == "list"
    assert [(v["id"], v["name"]) for v in told["voices"]] == [("fake", "fake")]
    assert told["data"] == told["voices"]
    assert told["uploaded_voices"] == []
    assert told["default_voice"] == "fake"


async def test_health_is_that_of_the_host(http: httpx.AsyncClient) -> None:
    for path, text in (("/healthz", "alive\n"), ("/readyz", "ready\n")):
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/models/", 404, "not_found"),
        ("GET", "/v1/audio/speech", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_what_there_is_no_route_for_is_an_error_in_the_same_shape(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.headers["x-request-id"]


async def test_a_method_that_a_path_does_not_take_is_told_all_that_it_takes(
    http: httpx.AsyncClient,
) -> None:
    methods: dict[str, set[str]] = {}
    for verb, path in (name.split() for name in ROUTES):
        if verb != "WS":
            methods.setdefault(path, set()).update((verb, "HEAD") if verb == "GET" else (verb,))
    assert methods["/v1/audio/voices"] == {"GET", "HEAD", "POST"}
    for path, allowed in methods.items():
        answer = await http.patch(re.sub(r"{\w+}", "some", path))
        assert answer.status_code == 405, path
        assert answer.headers["allow"] == ", ".join(sorted(allowed)), path


async def test_only_pages_that_the_setting_names_may_call(http: httpx.AsyncClient) -> None:
    ours = {"origin": "https://page.example"}
    answer = await http.get("/v1/models", headers=ours)
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    page = (Path(__file__).parents[3] / "docs" / "http.md").read_text().lower()
    header = r"`(x-[a-z-]+|server-timing|retry-after(?:-ms)?|www-authenticate|allow)`"
    named = re.findall(header, page)
    assert exposed == set(named)
    asked = await http.options(
        "/v1/audio/speech",
        headers={
            **ours,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        },
    )
    assert asked.status_code == 200
    theirs = await http.get("/v1/models", headers={"origin": "https://other.example"})
    assert "access-control-allow-origin" not in theirs.headers


async def test_requests_are_counted_by_their_route_and_not_by_their_path(
    served: Stack, http: httpx.AsyncClient
) -> None:
    def count(route: str, status: str) -> float:
        return served.sample("csm_http_requests_total", route=route, status=status)

    before = count("/v1/models/{model}", "404"), count("other", "404")
    await http.get("/v1/models/secret")
    await http.get("/secret")
    assert count("/v1/models/{model}", "404") == before[0] + 1
    assert count("other", "404") == before[1] + 1
    assert served.sample("csm_http_connections") >= 1


async def test_the_document_that_anybody_may_have_is_made_once(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await http.get("/openapi.json")
    assert first.headers["content-type"] == "application/json"
    assert first.json()["openapi"] == "3.1.0"

    def again(*_: object) -> None:
        pytest.fail("was made again, which takes milliseconds of everybody's time")

    monkeypatch.setattr("gateway.http.catalog.document", again)
    assert (await http.get("/openapi.json")).content == first.content


@pytest.mark.asyncio(loop_scope="function")
async def test_a_gateway_that_cannot_be_ready_says_so_and_takes_nothing() -> None:
    async with stack(http_port=0) as one, httpx.AsyncClient(base_url=one.http) as http:
        await one.tokenizer.down()
        while one.host.state().ready:
            await __import__("asyncio").sleep(0.02)
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert "waits for the tokenizer\n" in ready.text
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.asyncio(loop_scope="function")
async def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    async with stack(http_port=0) as one:
        assert one.service.door is not None
        with pytest.raises(OSError, match=rf"127.0.0.1:{one.service.door.port} \(http_port"):
            async with stack(http_port=one.service.door.port):
                pass
