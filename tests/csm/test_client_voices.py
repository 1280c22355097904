"""Voices through the SDK, sync and async, against a gateway with fakes behind it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from csm import (
    AlreadyExists,
    AsyncClient,
    Client,
    FailedPrecondition,
    InvalidArgument,
    LimitReached,
    NotFound,
    Sampling,
    VoiceConsent,
    VoiceDetails,
)
from csm.limits import MAX_RECORDING_BYTES
from tests.gateway.fakes import stack
from tests.gateway.voices.making import AUDIO, WORDS

CONSENT = VoiceConsent("yes, for tests", "Anna")


def check_made(made: VoiceDetails) -> None:
    assert (made.voice.name, made.voice.speaker, made.voice.prompt_segments) == ("anna", 4, 2)
    assert (made.voice.language, made.voice.source) == ("en-GB", "created")
    assert made.voice.sampling == Sampling(temperature=0.5)
    assert made.voice.aliases == ("alloy",)
    assert made.consent == CONSENT
    assert [(one.audio_ms, one.text) for one in made.recordings] == [(2000, WORDS), (2000, "Yes.")]
    assert made.recordings[0].peak_dbfs == pytest.approx(-6, abs=0.1)
    assert made.recordings[1].warnings == ("it is quiet",)


async def test_all_of_it_through_the_client_for_asyncio(tmp_path: Path) -> None:
    (tmp_path / "yes.wav").write_bytes(AUDIO)
    async with (
        stack(voice_aliases="alloy=anna", max_created_voices=2) as running,
        AsyncClient(running.host.address) as client,
    ):
        running.tokenizer.odd = ["it is quiet"]
        made = await client.create_voice(
            "anna",
            [(AUDIO, WORDS), (tmp_path / "yes.wav", "Yes.")],
            speaker=4,
            description="calm",
            language="en-GB",
            sampling=Sampling(temperature=0.5),
            consent=CONSENT,
            lexicon={"SQL": "sequel"},
        )
        check_made(made)
        assert await client.get_voice("ALLOY") == made
        with pytest.raises(AlreadyExists, match="there is a voice 'anna' already"):
            await client.create_voice("Anna")
        await client.create_voice("only", validate_only=True)
        changed = await client.update_voice("anna", description="loud", sampling=Sampling(top_k=3))
        assert (changed.description, changed.language) == ("loud", "en-GB")
        assert changed.sampling == Sampling(top_k=3)
        await client.update_voice("anna", lexicon={}, consent=VoiceConsent("no", "B"))
        await client.create_voice("bert", language="de")
        with pytest.raises(LimitReached, match="2 voices are kept"):
            await client.create_voice("cleo")
        listed = await client.list_voices(page_size=1)
        assert ([v.name for v in listed], listed.default_voice) == (
            ["anna", "bert", "fake"],
            "fake",
        )
        assert [v.name for v in await client.list_voices(language="de")] == ["bert"]
        assert [v.name for v in await client.list_voices(name_contains="all")] == ["anna"]
        await client.delete_voice("anna")
        with pytest.raises(NotFound):
            await client.get_voice("anna")
        with pytest.raises(FailedPrecondition, match="the model's"):
            await client.delete_voice("fake")


async def test_all_of_it_through_the_blocking_client(tmp_path: Path) -> None:
    def life(target: str) -> None:
        with Client(target) as client:
            made = client.create_voice(
                "anna",
                [(AUDIO, WORDS), (AUDIO, "Yes.")],
                speaker=4,
                language="en-GB",
                sampling=Sampling(temperature=0.5),
                consent=CONSENT,
            )
            check_made(made)
            assert client.get_voice("anna") == made
            assert client.update_voice("anna", language="").language == ""
            assert [v.name for v in client.list_voices(page_size=1)] == ["anna", "fake"]
            client.delete_voice("anna")
            with pytest.raises(NotFound):
                client.delete_voice("anna")

    async with stack(voice_aliases="alloy=anna") as running:
        running.tokenizer.odd = ["it is quiet"]
        await asyncio.to_thread(life, running.host.address)


async def test_what_is_wrong_is_raised_with_its_field(tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(MAX_RECORDING_BYTES + 1)
    async with stack() as running, AsyncClient(running.host.address) as client:
        wrong: list[tuple[Callable[[], object], str]] = [
            (lambda: client.create_voice("a b"), "config.name"),
            (lambda: client.create_voice("a", speaker=-1), "config.speaker"),
            (lambda: client.create_voice("a", [(b"text", "Yes.")]), r"recordings\[0\]\.audio"),
            (lambda: client.create_voice("a", [(AUDIO, "")]), r"recordings\[0\]\.text"),
            (
                lambda: client.create_voice("a", [(large, "Yes.")]),
                r"recordings\[0\]\.audio: 125829",
            ),
            (lambda: client.update_voice("a", sampling=Sampling(seed=-1)), "sampling.seed"),
        ]
        for call, told in wrong:
            with pytest.raises(InvalidArgument, match=told):
                await call()  # type: ignore[misc]
        with pytest.raises(OSError, match="No such file"):
            await client.create_voice("a", [(tmp_path / "none.wav", "Yes.")])


async def test_a_refusal_while_the_recordings_are_sent_is_what_the_server_said() -> None:
    async with stack() as running, AsyncClient(running.host.address) as client:
        for _ in range(10):
            with pytest.raises(AlreadyExists):
                await client.create_voice("fake", [(bytes(4 << 20), WORDS)] * 4)
