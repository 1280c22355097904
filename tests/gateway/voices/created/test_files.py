"""Created voices in a folder: whole or not at all, for every gateway that shares it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from csm import errors
from gateway.voices.created.files import LEFT_OVER_S, VoiceFolder
from gateway.voices.created.store import Changes
from gateway.voices.voice import VoiceId
from gateway.voices.voice_file import read_voice_file
from tests.gateway.voices.making import AUDIO, WORDS, record


@pytest.fixture
async def store(tmp_path: Path) -> VoiceFolder:
    return await opened(tmp_path)


async def opened(root: Path, most: int = 100) -> VoiceFolder:
    folder = VoiceFolder(root, most)
    await folder.start()
    return folder


def entries(root: Path, prefix: str = "") -> list[str]:
    return sorted(n for n in os.listdir(root) if n.startswith(prefix) and n != ".lock")


def names(changes: Changes) -> list[str]:
    return sorted(one.name for one in changes.put)


async def test_a_voice_is_there_for_the_next_gateway_as_it_was(
    store: VoiceFolder, tmp_path: Path
) -> None:
    await store.create(record("Anna"), [AUDIO])
    other = await opened(tmp_path)
    assert await other.changes() == Changes([record("Anna")])
    assert await other.recordings("ANNA") == [AUDIO]


async def test_another_gateway_sees_what_was_made_changed_and_forgotten(
    store: VoiceFolder, tmp_path: Path
) -> None:
    other = await opened(tmp_path)
    assert await other.changes() == Changes()
    await store.create(record(), [AUDIO])
    await store.create(record("bert"), [AUDIO])
    assert names(await other.changes()) == ["anna", "bert"]
    await store.update("Anna", lambda there: replace(there, description="loud", revision="2"))
    assert [one.description for one in (await other.changes()).put] == ["loud"]
    await store.delete("BERT")
    assert (await other.changes()).gone == [VoiceId("", "bert")]
    assert names(await (await opened(tmp_path)).changes()) == ["anna"]


async def test_who_made_a_voice_is_told_that_it_went_before_the_next_look(
    store: VoiceFolder, tmp_path: Path
) -> None:
    assert await store.changes() == Changes()
    await store.create(record(), [AUDIO])
    await (await opened(tmp_path)).delete("anna")
    assert await store.changes() == Changes(gone=[VoiceId("", "anna")])


async def test_a_folder_that_nobody_touches_is_not_read_again(
    store: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(record(), [AUDIO])
    past = time.time() - 10
    os.utime(tmp_path, (past, past))
    assert names(await store.changes()) == ["anna"]
    monkeypatch.setattr(store, "_folders", lambda: pytest.fail("was read again"))
    assert await store.changes() == Changes()


async def test_a_voice_is_an_operators_voice_too(store: VoiceFolder, tmp_path: Path) -> None:
    await store.create(record(), [AUDIO])
    content, recordings = await asyncio.to_thread(read_voice_file, tmp_path / "anna" / "voice.json")
    assert (content.speaker, content.description, content.language) == (4, "calm", "en-GB")
    assert content.lexicon == {"SQL": "sequel"}
    assert content.consent is not None
    assert content.consent.given_by == "Anna"
    assert [prompt.text for prompt in content.prompts] == [WORDS]
    assert recordings[0][1] == AUDIO


async def test_names_that_differ_in_case_alone_are_one(store: VoiceFolder, tmp_path: Path) -> None:
    await store.create(record("Anna"), [AUDIO])
    other = await opened(tmp_path)
    with pytest.raises(errors.AlreadyExists, match="'ANNA' already"):
        await other.create(record("ANNA"), [AUDIO])
    # Made by hand.
    (tmp_path / "Bert").mkdir()
    with pytest.raises(errors.AlreadyExists):
        await other.create(record("bert"), [AUDIO])
    assert entries(tmp_path) == ["Bert", "anna"]


async def test_two_gateways_make_one_voice_of_a_name(store: VoiceFolder, tmp_path: Path) -> None:
    stores = [await opened(tmp_path) for _ in range(8)]
    made = await asyncio.gather(
        *(one.create(record(f"An{'nN'[i % 2]}a"), [AUDIO]) for i, one in enumerate(stores)),
        return_exceptions=True,
    )
    assert sum(one is None for one in made) == 1
    assert sum(isinstance(one, errors.AlreadyExists) for one in made) == 7


async def test_changes_of_two_gateways_at_once_are_both_kept(
    store: VoiceFolder, tmp_path: Path
) -> None:
    await store.create(record(), [AUDIO])
    other = await opened(tmp_path)
    await asyncio.gather(
        *(store.update("anna", lambda r: replace(r, speaker=r.speaker + 1)) for _ in range(10)),
        *(other.update("anna", lambda r: replace(r, speaker=r.speaker + 1)) for _ in range(10)),
    )
    assert [one.speaker for one in (await store.changes()).put] == [24]


async def test_there_is_a_most(tmp_path: Path) -> None:
    store = await opened(tmp_path, most=2)
    await store.create(record("a"), [])
    await store.create(record("b"), [])
    with pytest.raises(errors.LimitReached, match=r"2 voices are kept.*max_created_voices"):
        await store.create(record("c"), [])
    await store.delete("a")
    await store.create(record("c"), [])


async def test_what_is_not_there_is_said(store: VoiceFolder) -> None:
    for call in (
        store.delete("none"),
        store.recordings("none"),
        store.update("none", lambda there: there),
    ):
        with pytest.raises(errors.NotFound, match="voice 'none' is not known"):
            await call


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.voices.created import files
from tests.gateway.voices.making import AUDIO, record

at, root = int(sys.argv[1]), Path(sys.argv[2])

def killed(number):
    if number == at:
        os.kill(os.getpid(), signal.SIGKILL)

steps = iter(range(1000))
for name in ("_write", "_sync"):
    def step(*arguments, call=getattr(files, name)):
        killed(next(steps))
        call(*arguments)
        killed(next(steps))
    setattr(files, name, step)

async def main():
    store = files.VoiceFolder(root, 10)
    await store.start()
    await store.create(record("new"), [AUDIO])

asyncio.run(main())
"""


@pytest.mark.parametrize("step", [0, 2, 5, 6, 7])
async def test_a_gateway_that_is_killed_while_it_writes_leaves_no_half_voice(
    tmp_path: Path, step: int
) -> None:
    await (await opened(tmp_path)).create(record("old"), [AUDIO])
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, str(step), str(tmp_path)], timeout=60
    )
    assert process.returncode == -signal.SIGKILL
    store = await opened(tmp_path)
    changes = await store.changes()
    # The last two steps are behind the moment when it is put in place.
    assert names(changes) == (["old"] if step < 6 else ["new", "old"])
    assert not changes.foreign
    # What is left over goes once nobody can be writing it.
    left = entries(tmp_path, ".new-")
    assert len(left) == (1 if step < 6 else 0)
    for one in left:
        os.utime(tmp_path / one, (0, time.time() - LEFT_OVER_S - 10))
    await opened(tmp_path)
    assert not entries(tmp_path, ".new-")
    if step < 6:
        await store.create(record("new"), [AUDIO])


async def test_what_else_lies_there_is_named_or_left_alone(
    store: VoiceFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "README.txt").write_text("of somebody")
    (tmp_path / "no name").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "record").write_bytes(b"CSV\x00" + bytes(40))
    await store.create(record(), [AUDIO])
    (tmp_path / "anna").rename(tmp_path / "other")
    changes = await store.changes()
    assert not changes.put
    assert {one.key: why for one, why in changes.foreign.items()} == {
        "empty": "what is kept of it cannot be used: record: No such file or directory",
        "older": "what is kept of it cannot be used: it is of format 0, and this gateway reads "
        "format 1",
        "other": "what is kept of it cannot be used: it is the voice 'anna'",
    }
    assert str(tmp_path / "older") in caplog.text
    with pytest.raises(errors.FailedPrecondition, match=r"'older': it is of format 0.*delete it"):
        await store.update("older", lambda there: there)
    await store.delete("older")
    assert not (tmp_path / "older").exists()
    assert (tmp_path / "README.txt").exists()


async def test_a_folder_that_cannot_be_written_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=rf"created_voices_directory {tmp_path}/file/x: Not a dir"):
        await opened(tmp_path / "file" / "x")


async def test_a_folder_that_goes_away_is_unavailable_without_its_path(
    store: VoiceFolder, tmp_path: Path
) -> None:
    os.rename(tmp_path, tmp_path.with_name("elsewhere"))
    with pytest.raises(errors.Unavailable) as caught:
        await store.changes()
    assert str(tmp_path) not in caught.value.message
    assert json.dumps(caught.value.message)
