"""Created voices as files: a folder for each, which may be an operator's folder of voices too.

    NAME/voice.json   what the operator's voices have, for people and to be copied
    NAME/1 2 ...      the recordings, as they came
    NAME/record       what the gateway reads: see `record`; replaced in one go
    @TENANT/NAME/     the same for voices that a tenant owns; see `owner_folder`

The folder's name is the voice's in lower case, so the file system itself keeps names apart for all
gateways that share it. A voice is made in a folder `.new-...` and put in place whole: what is
killed before leaves nothing that anybody reads.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from csm import errors
from gateway.voices.created.owner_folder import folder_of, make_folder, owner_of
from gateway.voices.created.record import ForeignVoice, VoiceRecord, pack, unpack
from gateway.voices.created.sharing import open_lock, share
from gateway.voices.created.store import Change, Changes, exists, full, missing
from gateway.voices.names import is_name, key_of
from gateway.voices.voice import VoiceId
from gateway.voices.voice_file import FILE_NAME

T = TypeVar("T")

RECORD = "record"
NEW, OLD = ".new-", ".old-"
LEFT_OVER_S = 3600.0
"""Age at which what a killed gateway left is removed: no write takes as long."""
MAX_RECORD_BYTES = 32 << 20
NOT_THERE = (0, 0, 0)
SETTLED_NS = 2_000_000_000
"""Coarser than the clock of any file system's times."""

log = logging.getLogger(__name__)


class VoiceFolder:
    """A `VoiceStore` in a folder."""

    lasting = True

    def __init__(self, root: Path, max_voices: int) -> None:
        self._root = root
        self._max_voices = max_voices
        self._seen: dict[VoiceId, tuple[int, int, int]] = {}
        self._written: set[VoiceId] = set()
        """What was made here since the last look began."""
        self._root_stamp = -1

    async def start(self) -> None:
        """See `VoiceStore`. Removes what a killed gateway left."""
        await asyncio.to_thread(self._open)

    async def stop(self) -> None:
        """Nothing is held."""

    async def changes(self) -> Changes:
        """See `VoiceStore`."""
        return await self._run(self._changes)

    async def create(self, record: VoiceRecord, recordings: Sequence[bytes]) -> None:
        """See `VoiceStore`."""
        await self._run(lambda: self._create(record, recordings))

    async def update(self, name: str, change: Change, *, owner: str = "") -> VoiceRecord:
        """See `VoiceStore`."""
        return await self._run(lambda: self._update(name, change, owner))

    async def delete(self, name: str, *, owner: str = "") -> None:
        """See `VoiceStore`."""
        await self._run(lambda: self._delete(name, owner))

    async def recordings(self, name: str, *, owner: str = "") -> list[bytes]:
        """See `VoiceStore`."""
        return await self._run(lambda: self._recordings(name, owner))

    # --- inside, in a thread ---

    async def _run(self, work: Callable[[], T]) -> T:
        # To its end, also where the call that asked goes away: nothing is left half done.
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except OSError as error:
            log.warning("created_voices_directory: %s: %s", self._root, error.strerror or error)
            raise errors.Unavailable("the store of voices cannot be written or read") from error

    def _open(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._sweep()
        except OSError as error:
            raise ValueError(
                f"created_voices_directory {self._root}: {error.strerror or error}"
            ) from None

    def _sweep(self) -> None:
        for left in self._root.iterdir():
            old = time.time() - left.lstat().st_mtime > LEFT_OVER_S
            if left.name.startswith((NEW, OLD)) and left.is_dir() and old:
                shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, of all gateways that share the folder."""
        handle = open_lock(self._root)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _folders(self) -> dict[VoiceId, Path]:
        """Of all owners' voices."""
        found = _voices_in(self._root, "")
        for folder in self._root.iterdir():
            if owner := owner_of(folder):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    found |= _voices_in(folder, owner)
        return found

    def _changes(self) -> Changes:
        stamp = self._root.stat().st_mtime_ns
        if stamp == self._root_stamp:
            return Changes()
        self._written.clear()
        put: list[VoiceRecord] = []
        foreign: dict[VoiceId, str] = {}
        seen: dict[VoiceId, tuple[int, int, int]] = {}
        for voice_id, folder in self._folders().items():
            status = _status(folder / RECORD)
            seen[voice_id] = status
            if self._seen.get(voice_id) == status:
                continue
            try:
                record = _read(folder, voice_id.owner)
                if record.id != voice_id:
                    raise ForeignVoice(f"it is the voice {record.name!r}")
                put.append(record)
            except ForeignVoice as error:
                log.warning("%s cannot be used: %s", folder, error)
                foreign[voice_id] = f"what is kept of it cannot be used: {error}"
        gone = [voice_id for voice_id in self._seen if voice_id not in seen]
        # Another write may bear the time of one that is just over.
        settled = time.time_ns() - stamp > SETTLED_NS
        # Who made one is told when it goes, also where it came and went between two looks.
        made = {voice_id: NOT_THERE for voice_id in self._written if voice_id not in seen}
        self._seen, self._root_stamp = seen | made, stamp if settled else -1
        return Changes(put, gone, foreign)

    def _create(self, record: VoiceRecord, recordings: Sequence[bytes]) -> None:
        new = self._root / f"{NEW}{uuid.uuid4().hex}"
        new.mkdir()
        share(new, self._root)
        try:
            for number, audio in enumerate(recordings, start=1):
                _write(new / str(number), audio, self._root)
            _write(new / FILE_NAME, _told(record), self._root)
            _write(new / RECORD, pack(record), self._root)
            with self._locked():
                there = self._folders()
                if record.id in there:
                    raise exists(record.name)
                if len(there) >= self._max_voices:
                    raise full(self._max_voices)
                folder = make_folder(self._root, record.owner)
                new.rename(folder / record.key)
                self._sync(folder)
            self._written.add(record.id)
            self._seen.setdefault(record.id, NOT_THERE)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _update(self, name: str, change: Change, owner: str) -> VoiceRecord:
        with self._locked():
            folder = self._folder(name, owner)
            try:
                record = change(_read(folder, owner))
            except ForeignVoice as error:
                raise errors.FailedPrecondition(f"voice {name!r}: {error}; delete it") from None
            _replace(folder / RECORD, pack(record), self._root)
            _replace(folder / FILE_NAME, _told(record), self._root)
            # The others look at no other time.
            os.utime(self._root)
            return record

    def _delete(self, name: str, owner: str) -> None:
        with self._locked():
            old = self._root / f"{OLD}{uuid.uuid4().hex}"
            self._folder(name, owner).rename(old)
            self._sync(folder_of(self._root, owner))
        shutil.rmtree(old, ignore_errors=True)

    def _sync(self, folder: Path) -> None:
        # What came from the root or went there has changed the root's time: others look at it.
        _sync(folder)
        if folder != self._root:
            _sync(self._root)

    def _recordings(self, name: str, owner: str) -> list[bytes]:
        folder = self._folder(name, owner)
        numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal())
        return [(folder / str(number)).read_bytes() for number in numbers]

    def _folder(self, name: str, owner: str) -> Path:
        try:
            there = _voices_in(folder_of(self._root, owner), owner)
        except FileNotFoundError:
            if not owner:
                raise
            there = {}
        folder = there.get(VoiceId(owner, key_of(name)))
        if folder is None:
            raise missing(name)
        return folder


def _voices_in(folder: Path, owner: str) -> dict[VoiceId, Path]:
    found = (p for p in folder.iterdir() if is_name(p.name) and p.is_dir())
    return {VoiceId(owner, key_of(path.name)): path for path in found}


def _status(path: Path) -> tuple[int, int, int]:
    """What tells whether a file is another one now; zeros: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return NOT_THERE
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(folder: Path, owner: str) -> VoiceRecord:
    path = folder / RECORD
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD_BYTES + 1)
    except OSError as error:
        raise ForeignVoice(f"{RECORD}: {error.strerror}") from None
    if len(data) > MAX_RECORD_BYTES:
        raise ForeignVoice(f"{RECORD} has more than {MAX_RECORD_BYTES} bytes")
    return unpack(data, owner)


def _told(record: VoiceRecord) -> bytes:
    """The voice as `voice.json` of a folder of voices."""
    content = {
        "speaker": record.speaker,
        "description": record.description,
        "language": record.language,
        "sampling": {k: v for k, v in asdict(record.sampling).items() if v is not None},
        "consent": None if record.consent is None else asdict(record.consent),
        "lexicon": dict(record.lexicon),
        "prompts": [
            {"audio": str(number), "text": prompt.text}
            for number, prompt in enumerate(record.prompts, start=1)
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2).encode()


def _write(path: Path, data: bytes, root: Path) -> None:
    with path.open("xb") as file:
        share(file.fileno(), root)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, data: bytes, root: Path) -> None:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _write(part, data, root)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Has what was renamed there outlive the machine's power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
