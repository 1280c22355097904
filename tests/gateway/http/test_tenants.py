"""Two tenants over HTTP and WebSocket: B presents A's ids and names, and finds nothing of A's.

Every route is in `STOLEN` or `WITHOUT`.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect

from csm import errors
from csm.serving.calls.recorder import CallRecorder
from gateway.http.outcomes import MAX_KEPT, Outcomes
from tests.gateway.fakes import CODEBOOK_SIZE, Stack
from tests.gateway.http.test_conversation_socket import Talk
from tests.gateway.stolen import OTHER_AUDIO
from tests.gateway.tenants import HEADER, identified_stack
from tests.gateway.voices.making import AUDIO, WORDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUEST, ID, NAME = "request-0001", "private-0001", "secret-0001"
"""A's."""
NO_REQUEST, NO_ID, NO_NAME = "request-0002", "private-0002", "secret-0002"
"""Nobody's."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Stack]:
    async with identified_stack(http_port=0) as one:
        yield one


@contextlib.asynccontextmanager
async def client(served: Stack, owner: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.http, timeout=20, headers={HEADER: owner}) as one:
        yield one


@contextlib.asynccontextmanager
async def talk(served: Stack, owner: str, **config: Any) -> AsyncIterator[Talk]:
    url = served.http.replace("http", "ws") + "/v1/conversations"
    async with connect(url, additional_headers={HEADER: owner}) as socket:
        one = Talk(socket)
        await one.send("config", **config)
        yield one


async def says(one: Talk, **part: Any) -> dict[str, Any]:
    """The started of the call, and what its turn ended with."""
    started = await one.until("started")
    await one.send("text", **part)
    await one.send("end_of_turn")
    completed = await one.until("turn_completed")
    await one.send("close")
    await one.closed()
    return {**started, **completed}


async def make(http: httpx.AsyncClient, name: str, audio: bytes = AUDIO) -> httpx.Response:
    files = [("file", ("a.wav", audio, "audio/wav"))]
    return await http.post("/v1/audio/voices", data={"name": name, "text": WORDS}, files=files)


async def speak(
    http: httpx.AsyncClient, request_id: str = "", text: str = "Hi.", **body: Any
) -> httpx.Response:
    headers = {"x-request-id": request_id} if request_id else {}
    body = {"input": text, "voice": "fake", **body}
    return await http.post("/v1/audio/speech", json=body, headers=headers)


@pytest_asyncio.fixture(loop_scope="module")
async def a(served: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with client(served, "a") as http:
        assert (await make(http, NAME)).status_code == 200
        body = {"voice": NAME, "csm": {"conversation_id": ID}}
        assert (await speak(http, REQUEST, **body)).status_code == 200
        yield http
        assert (await http.delete(f"/v1/audio/voices/{NAME}")).status_code == 200
        await served.service._speech.delete_conversation(ID, owner="a")


Found = tuple[Any, ...]
Call = Callable[[Stack, httpx.AsyncClient, str, str, str, str], Awaitable[Found]]


def told(answer: httpx.Response) -> Found:
    kind = answer.headers.get("content-type", "")
    drawn = answer.headers.get("x-csm-warnings", "")
    return answer.status_code, kind, drawn, answer.text if "json" in kind else len(answer.content)


async def outcome(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    return told(await http.get(f"/v1/audio/speech/{given[1]}"))


async def speech(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    found = told(await speak(http, csm={"conversation_id": given[2]}))
    context = [s.text for s in served.generator.streams[-1].context]
    await served.service._speech.delete_conversation(given[2], owner=given[0])
    return *found, context


async def speech_by(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    return told(await speak(http, voice=given[3]))


async def speech_naming(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    return told(await speak(http, text=f"[voice: {given[3]}] Hi."))


async def voices(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    return told(await http.get("/v1/audio/voices"))


async def voice(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    return told(await http.get(f"/v1/audio/voices/{given[3]}"))


async def made_voice(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    answer = await make(http, given[3], OTHER_AUDIO)
    await http.delete(f"/v1/audio/voices/{given[3]}")
    return answer.status_code, len(answer.json().get("recordings", ()))


async def deleted_voice(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    return told(await http.delete(f"/v1/audio/voices/{given[3]}"))


async def prepared(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    body = {"input": f"[voice: {given[3]}] Hi."}
    return told(await http.post("/v1/text/prepare", json=body))


async def prepared_by(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    body = {"input": "Hi.", "voice": given[3]}
    return told(await http.post("/v1/text/prepare", json=body))


async def conversation(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    async with talk(served, given[0], conversation_id=given[2]) as one:
        said = await says(one, text="Hi.")
    await served.settled()
    await served.service._speech.delete_conversation(given[2], owner=given[0])
    return said["num_turns"], said["voice"], said["finish_reason"], said["warnings"]


async def conversation_by(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    async with talk(served, given[0], voice=given[3]) as one:
        code, error = await one.closed()
    return code, json.dumps(error)


async def conversation_part(served: Stack, http: httpx.AsyncClient, *given: str) -> Found:
    async with talk(served, given[0]) as one:
        said = await says(one, text="Hi you there.", voice=given[3])
    return said["finish_reason"], json.dumps(said["warnings"])


STOLEN: dict[str, list[Call]] = {
    "POST /v1/audio/speech": [speech, speech_by, speech_naming],
    "GET /v1/audio/speech/{request_id}": [outcome],
    "GET /v1/audio/voices": [voices],
    "POST /v1/audio/voices": [made_voice],
    "GET /v1/audio/voices/{name}": [voice],
    "DELETE /v1/audio/voices/{name}": [deleted_voice],
    "POST /v1/text/prepare": [prepared, prepared_by],
    "WS /v1/conversations": [conversation, conversation_by, conversation_part],
}
WITHOUT = {
    "POST /v1/audio/tokens",
    "POST /v1/audio/detokenize",
    "GET /v1/audio/models",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /",
    "GET /playground/{file}",
}
"""They take no id and no name of what anybody keeps."""
CASES = [call for calls in STOLEN.values() for call in calls]


async def test_every_route_is_here(monkeypatch: pytest.MonkeyPatch, served: Stack) -> None:
    import gateway.http.app as app

    routes: list[Any] = []
    router = app.PathRouter
    monkeypatch.setattr(app, "PathRouter", lambda given: (routes.extend(given), router(given))[1])
    app.make_app(served.service._speech, object(), lambda: None, lambda: None, CallRecorder())  # type: ignore
    found = {f"WS {r.path}" for r in routes if isinstance(r, WebSocketRoute)}
    for route in routes:
        if isinstance(route, Route):
            found |= {f"{m} {route.path}" for m in (route.methods or {"GET"}) - {"HEAD"}}
    assert found == {*STOLEN, *WITHOUT}


@pytest.mark.parametrize("call", CASES, ids=lambda call: call.__name__)
async def test_what_belongs_to_a_is_to_b_what_does_not_exist(
    served: Stack, a: httpx.AsyncClient, call: Call
) -> None:
    async with client(served, "b") as b:
        nothing = await call(served, b, "b", NO_REQUEST, NO_ID, NO_NAME)
        stolen = await call(served, b, "b", REQUEST, ID, NAME)
    assert str(stolen).replace("0001", "0002") == str(nothing)
    # And A has everything as before.
    assert (await a.get(f"/v1/audio/speech/{REQUEST}")).json()["status"] == "completed"
    assert len((await a.get(f"/v1/audio/voices/{NAME}")).json()["recordings"]) == 1
    kept = await served.service.store.read(ID, owner="a")
    assert [turn.text for turn in kept.turns] == ["Hi."]


@pytest.mark.parametrize(
    "call",
    [c for c in CASES if c not in (speech, conversation, made_voice, voices, deleted_voice)],
    ids=lambda call: call.__name__,
)
async def test_the_same_calls_find_it_where_a_makes_them(
    served: Stack, a: httpx.AsyncClient, call: Call
) -> None:
    if call is conversation_by:
        async with talk(served, "a", voice=NAME) as one:
            assert (await says(one, text="Hi."))["voice"] == NAME
        return
    nothing = await call(served, a, "a", NO_REQUEST, NO_ID, NO_NAME)
    mine = await call(served, a, "a", REQUEST, ID, NAME)
    assert str(mine).replace("0001", "0002") != str(nothing)


async def test_two_tenants_that_both_say_demo_each_hear_their_own(served: Stack) -> None:
    async with client(served, "a") as one, client(served, "b") as other:
        for http, audio in ((one, AUDIO), (other, OTHER_AUDIO)):
            assert (await make(http, "demo", audio)).status_code == 200
        for http, owner, audio in ((one, "a", AUDIO), (other, "b", OTHER_AUDIO)):
            text = f"For {owner}."
            answer = await speak(http, "demo", text, voice="demo", csm={"conversation_id": "demo"})
            assert answer.status_code == 200
            (prompt,) = [s for s in served.generator.streams[-1].context if s.pinned]
            assert int.from_bytes(prompt.frames.codes[:2], "little") == len(audio) % CODEBOOK_SIZE
            async with talk(served, owner, conversation_id="demo") as said:
                assert (await said.until("started"))["num_turns"] == 1
        outcomes = [(await http.get("/v1/audio/speech/demo")).json() for http in (one, other)]
        assert outcomes[0]["turn_id"] != outcomes[1]["turn_id"]
        for http, audio in ((one, AUDIO), (other, OTHER_AUDIO)):
            listed = (await http.get("/v1/audio/voices")).json()["uploaded_voices"]
            assert [v["id"] for v in listed] == ["demo"]
            (report,) = (await http.get("/v1/audio/voices/demo")).json()["recordings"]
            assert report["audio_ms"] == len(audio) // 100 * 80
            assert (await http.delete("/v1/audio/voices/demo")).status_code == 200


async def test_outcomes_are_kept_for_their_owner_within_one_bound() -> None:
    outcomes = Outcomes()
    mine, yours = outcomes.begin("id", owner="a"), outcomes.begin("id", owner="b")
    assert outcomes.get("id", owner="a") is mine
    assert outcomes.get("id", owner="b") is yours
    for number in range(MAX_KEPT):
        outcomes.begin(str(number), owner="c")
    # Whoever has most makes room, and nobody else.
    assert outcomes.get("id", owner="a") is mine
    assert outcomes.get("id", owner="b") is yours
    with pytest.raises(errors.NotFound):
        outcomes.get("1", owner="c")
    assert outcomes.get("2", owner="c")
    again = outcomes.begin("2", owner="c")
    assert outcomes.get("2", owner="c") is again
    assert sum(map(len, outcomes._kept.values())) == MAX_KEPT
