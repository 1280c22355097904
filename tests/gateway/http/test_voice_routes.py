"""Voices over HTTP: made of a form, shown with their report, forgotten; and texts prepared."""

import json
from typing import Any

import httpx
import pytest

from csm.limits import MAX_RECORDING_BYTES
from gateway.http import voice_form
from tests.gateway.fakes import Stack, stack
from tests.gateway.voices.making import AUDIO, FRAME_CODE, WORDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def make(http: httpx.AsyncClient, name: str = "anna", **more: Any) -> httpx.Response:
    form = {"name": name, "text": WORDS, **more}
    files = form.pop("files", [("file", ("anna.wav", AUDIO, "audio/wav"))])
    return await http.post("/v1/audio/voices", data=form, files=files)


async def test_a_voice_is_made_shown_speaks_and_is_forgotten(
    served: Stack, http: httpx.AsyncClient
) -> None:
    csm = {
        "speaker": 4,
        "description": "calm",
        "language": "en-GB",
        "consent": {"statement": "yes", "given_by": "Anna"},
    }
    answer = await make(http, "Anna", csm=json.dumps(csm), colour="blue")
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["id"], made["speaker"], made["source"]) == ("Anna", 4, "created")
    assert made["warnings"] == ["colour: not known"]
    (report,) = made["recordings"]
    assert (report["text"], report["audio_ms"]) == (WORDS, 2000)
    assert -30 < report["loudness_lufs"] < 0

    shown = (await http.get("/v1/audio/voices/anna")).json()
    assert shown["recordings"] == made["recordings"]
    assert shown["consent"] == {"statement": "yes", "given_by": "Anna"}
    listed = (await http.get("/v1/audio/voices")).json()
    assert [(v["id"], v["deletable"]) for v in listed["uploaded_voices"]] == [("Anna", True)]

    spoken = await http.post("/v1/audio/speech", json={"input": "Hi.", "voice": "anna"})
    assert spoken.status_code == 200
    context = served.generator.streams[-1].context
    assert context[0].frames.codes[0] == FRAME_CODE % 256

    gone = await http.delete("/v1/audio/voices/Anna")
    assert gone.json() == {"id": "Anna", "object": "audio.voice", "deleted": True}
    assert (await http.get("/v1/audio/voices/Anna")).status_code == 404


async def test_names_of_other_servers_are_taken_for_ours(http: httpx.AsyncClient) -> None:
    form = {"name": "vllm", "ref_text": WORDS, "consent": "id"}
    files = {"audio_sample": ("a.wav", AUDIO, "audio/wav")}
    answer = await http.post("/v1/audio/voices", data=form, files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == ["consent: not known"]
    await http.delete("/v1/audio/voices/vllm")


async def test_several_recordings_keep_their_order(http: httpx.AsyncClient) -> None:
    files = [("file", ("1.wav", AUDIO)), ("file", ("2.wav", AUDIO + bytes(400)))]
    answer = await make(http, "two", text=["first", "second"], files=files)
    told = answer.json()["recordings"]
    assert [one["text"] for one in told] == ["first", "second"]
    assert told[0]["audio_ms"] < told[1]["audio_ms"]
    await http.delete("/v1/audio/voices/two")


async def test_only_checked_no_voice_is_made(http: httpx.AsyncClient) -> None:
    answer = await make(http, "maybe", csm='{"validate_only": true}')
    assert answer.json()["id"] == "maybe"
    assert (await http.get("/v1/audio/voices/maybe")).status_code == 404


@pytest.mark.parametrize(
    ("form", "param", "told"),
    [
        ({"name": "a b"}, "name", "is no name for a voice"),
        ({"csm": "[]"}, "csm", "JSON object"),
        ({"csm": '{"speakr": 1}'}, "csm", "unknown field speakr"),
        ({"csm": '{"language": "?"}'}, "csm.language", "BCP 47"),
        ({"csm": '{"name": "other"}'}, "csm", "unknown field"),
        ({"text": ["one", "two"]}, "text", "2 for 1 files"),
        ({"text": " "}, "text[0]", "nothing to speak"),
        ({"files": [("file", ("a.wav", b""))]}, "file[0]", "0 bytes"),
        ({"files": [("file", ("a.wav", b"no audio"))]}, "file[0]", "is no audio"),
        ({"files": [("file", ("a.wav", bytes(MAX_RECORDING_BYTES + 1)))]}, "file[0]", "bytes"),
        ({"name": "fake"}, None, "name: 'fake': there is a voice 'fake' already"),
    ],
)
async def test_what_is_wrong_is_named_as_the_form_has_it(
    http: httpx.AsyncClient, form: dict[str, Any], param: str | None, told: str
) -> None:
    answer = await make(http, **form)
    assert answer.status_code == (409 if param is None else 400)
    error = answer.json()["error"]
    assert (error["param"], told in error["message"]) == (param, True), error
    assert "config." not in error["message"]  # a name of the wire, none of the form
    assert [v["id"] for v in (await http.get("/v1/audio/voices")).json()["voices"]] == ["fake"]


async def test_bodies_that_are_no_forms(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, broken = "/v1/audio/voices", {"content-type": "multipart/form-data"}
    assert (await http.post(url, json={"name": "x"})).status_code == 415
    assert (await http.post(url, content=b"x", headers=broken)).status_code == 400
    monkeypatch.setattr(voice_form, "MAX_FORM_BYTES", 2000)
    assert (await make(http)).status_code == 413


async def test_what_was_not_made_here_is_not_deleted(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/v1/audio/voices/fake")
    assert answer.status_code == 409
    assert (await http.delete("/v1/audio/voices/nobody")).status_code == 404
    assert (await http.get(f"/v1/audio/voices/{'x' * 65}")).status_code == 400


async def test_a_text_is_prepared_and_not_spoken(served: Stack, http: httpx.AsyncClient) -> None:
    before = len(served.generator.streams)
    text = "Dr. Smith paid $3.50. ☃☃"
    answer = await http.post("/v1/text/prepare", json={"input": text, "voice": "fake"})
    told = answer.json()
    assert told["spoken_form"].startswith("Doctor Smith paid three dollars and fifty cents.")
    first = told["sentences"][0]
    assert text[first["first_char"] : first["end_char"]] == "Dr. Smith paid $3.50."
    assert told["expected_ms"] >= first["expected_ms"] > 0
    assert first["positions"] > 0
    assert len(served.generator.streams) == before

    off = {"input": "$3.50", "text_options": {"normalize": False}}
    assert (await http.post("/v1/text/prepare", json=off)).json()["spoken_form"] == "$3.50"


@pytest.mark.parametrize("voice", ["fake", {"id": "fake"}, "", None])
async def test_a_voice_is_named_to_prepare_as_it_is_to_speak(
    http: httpx.AsyncClient, voice: Any
) -> None:
    body = {"input": "Hi.", "voice": voice}
    assert (await http.post("/v1/audio/speech", json=body)).status_code == 200
    answer = await http.post("/v1/text/prepare", json=body)
    assert (answer.status_code, answer.json()["warnings"]) == (200, [])


@pytest.mark.parametrize("voice", ["alloy", {"id": "alloy"}])
async def test_a_voice_of_openai_prepares_as_the_default_with_a_warning(
    http: httpx.AsyncClient, voice: Any
) -> None:
    answer = await http.post("/v1/text/prepare", json={"input": "Hi.", "voice": voice})
    assert answer.status_code == 200, answer.text
    (ignored,) = answer.json()["warnings"]
    assert ignored == {
        "kind": "ignored",
        "field": "voice",
        "first_char": 0,
        "end_char": 0,
        "description": "there is no alloy here, the default voice speaks",
    }


@pytest.mark.asyncio(loop_scope="function")
async def test_a_voice_of_openai_that_stands_for_one_of_ours_prepares_without_a_warning() -> None:
    async with (
        stack(http_port=0, voice_aliases="alloy=fake") as one,
        httpx.AsyncClient(base_url=one.http) as http,
    ):
        answer = await http.post("/v1/text/prepare", json={"input": "Hi.", "voice": "alloy"})
        assert (answer.status_code, answer.json()["warnings"]) == (200, [])


@pytest.mark.parametrize(
    "voice", [7, ["fake"], {"name": "fake"}, {"id": 7}, {"id": "fake", "x": 1}, "x" * 257, "\ud800"]
)
async def test_what_names_no_voice_is_told_alike_to_speak_and_to_prepare(
    http: httpx.AsyncClient, voice: Any
) -> None:
    body = json.dumps({"input": "Hi.", "voice": voice})
    told = []
    for path in ("/v1/audio/speech", "/v1/text/prepare"):
        answer = await http.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        told.append(answer.json()["error"])
    assert told[0]["param"] == "voice"
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": "x" * 4097}, 400, "input"),
        ({"input": 7}, 400, "input"),
        ({"text": ""}, 400, "text"),
        ({"input": "x", "what": 1}, 400, "body"),
        ({"input": "x", "voice": "nobody"}, 404, "voice"),
    ],
)
async def test_what_cannot_be_prepared_is_told(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, param: str
) -> None:
    answer = await http.post("/v1/text/prepare", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
