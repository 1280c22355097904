"""A folder of voices that gateways of several users write to, by their common group."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.voices.created.sharing import LOCK, open_lock

GROUP = 4711
OWNERS = ("", "acme", "x" * 300)
AS_ANOTHER_USER = """
import asyncio, os, sys
from dataclasses import replace
from pathlib import Path
from gateway.voices.created.files import VoiceFolder
from tests.gateway.voices.making import AUDIO, record

async def life(root, owners, what):
    store = VoiceFolder(root, 100)
    await store.start()
    for owner in owners:
        if what == "makes":
            await store.create(replace(record("anna"), owner=owner), [AUDIO])
            await store.create(replace(record("bert"), owner=owner), [AUDIO])
        else:
            assert await store.recordings("anna", owner=owner) == [AUDIO]
            await store.update("anna", lambda r: replace(r, description="loud"), owner=owner)
            await store.delete("bert", owner=owner)
            await store.create(replace(record("carl"), owner=owner), [AUDIO])
    for one in sorted((await store.changes()).put, key=lambda r: (len(r.owner), r.name)):
        print(len(one.owner), one.name, one.description)

root, uid, gid, what, *owners = sys.argv[1:]
os.setgroups([])
os.setgid(int(gid))
os.setuid(int(uid))
os.umask(0o077)
asyncio.run(life(Path(root), owners, what))
"""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be two other users")


def as_another_user(root: Path, uid: int, what: str, *owners: str) -> list[str]:
    """What the user says, whose umask lets nobody else in."""
    arguments = [str(root), str(uid), str(GROUP), what, *owners]
    ended = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def root() -> Iterator[Path]:
    """As the image makes it: of one user, and of the group; where others may come to."""
    with tempfile.TemporaryDirectory(prefix="csm") as folder:
        os.chmod(folder, 0o755)
        root = Path(folder) / "voices"
        root.mkdir()
        os.chown(root, 1000, GROUP)
        root.chmod(0o2770)
        yield root


@needs_root
def test_another_user_of_the_group_goes_on_with_what_the_first_made(root: Path) -> None:
    made = as_another_user(root, 1000, "makes", *OWNERS)
    assert made == [f"{len(owner)} {name} calm" for owner in OWNERS for name in ("anna", "bert")]
    changed = as_another_user(root, 2000, "changes", *OWNERS)
    assert changed == [
        f"{len(owner)} {told}" for owner in OWNERS for told in ("anna loud", "carl calm")
    ]
    # And back: nothing of the second user shuts out the first.
    assert as_another_user(root, 1000, "looks") == changed
    for one in root.rglob("*"):
        status = one.stat()
        assert status.st_gid == GROUP
        assert status.st_mode & stat.S_IWGRP, one
        assert not status.st_mode & stat.S_IRWXO, one


@needs_root
def test_a_lock_of_another_user_that_may_only_be_read_is_locked_too(root: Path) -> None:
    as_another_user(root, 1000, "looks")
    (root / LOCK).chmod(0o644)
    assert as_another_user(root, 2000, "makes", "acme") == ["4 anna calm", "4 bert calm"]


def test_where_the_group_may_not_write_it_may_not_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.close(open_lock(tmp_path))
    assert stat.S_IMODE((tmp_path / LOCK).stat().st_mode) & stat.S_IWGRP == 0
