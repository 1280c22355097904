"""Model directories from the Hugging Face hub: what is needed of a repository, and no more."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from services.generator.model import files
from services.model_tools import download
from services.model_tools.download import DigestError, HubFile

ALLOW_PATTERNS = ("*.json", "*.safetensors", "LICENSE*", "README.md")
"""What is fetched of a repository's own folder: never a pickle (`ckpt.pt`), never sound samples,
nothing of folders in it."""
SPARE_BYTES = 16 << 20
"""Left free on the disk: a full one troubles others."""

Progress = Callable[[int, int], None]
"""Called with bytes that are there and bytes in all."""


class PullError(Exception):
    """A repository could not be fetched; the message says what to do."""


@dataclass(frozen=True)
class Pulled:
    """What was fetched: `commit` is the revision that a name like `main` meant."""

    directory: Path
    commit: str
    files: tuple[str, ...]
    bytes: int
    fetched_bytes: int


def pull(
    repo_id: str,
    directory: Path | str,
    progress: Progress | None = None,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
) -> Pulled:
    """Fetch a repository's safetensors, configs and tokenizer into a directory.

    All files are of one commit. What is there already and has the right digest is not fetched
    again, and a file whose transfer was broken goes on where it was. Of a repository with shards
    behind an index, the single original file is left out, since both hold the same weights.

    Args:
        repo_id: `owner/name`.
        directory: made where it is missing.
        progress: told about bytes as they come.
        revision: a branch, tag or commit.
        endpoint: another hub than HF_ENDPOINT's.

    Raises:
        PullError: gated, unknown, unreachable, no space, or not what was announced; the message
            says what to do.
    """
    # Heavy, and needed by nobody who has a model.
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.utils import WeakFileLock, build_hf_headers

    directory = Path(directory)
    try:
        info = HfApi(endpoint=endpoint).model_info(repo_id, revision=revision, files_metadata=True)
        wanted = _wanted(repo_id, info.siblings or [])
        if not info.sha:
            raise PullError(f"{repo_id}: the hub does not say which commit this is")
        missing = sum(file.missing_bytes(directory) for file in wanted)
        _check_space(repo_id, directory, missing)
        directory.mkdir(parents=True, exist_ok=True)
        told = _Told(progress, sum(file.bytes for file in wanted))
        # Two at once would write into one file.
        lock = directory / ".pull.lock"
        with WeakFileLock(lock):
            for file in wanted:
                url = hf_hub_url(repo_id, file.name, revision=info.sha, endpoint=endpoint)
                download.fetch(file, url, directory, build_hf_headers(), told.add)
        lock.unlink(missing_ok=True)
    except DigestError as error:
        raise PullError(f"{repo_id}: {error}; try again") from error
    except PullError:
        raise
    except Exception as error:
        message = _what_to_do(error, repo_id, revision)
        if message is None:
            raise
        raise PullError(message) from error
    names = tuple(file.name for file in wanted)
    return Pulled(directory, info.sha, names, told.total, missing)


class _Told:
    """Adds up what is there, and tells who wants to know."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.total = total
        self._progress = progress
        self._done = 0

    def add(self, bytes_: int) -> None:
        """So many further bytes are there."""
        self._done += bytes_
        if self._progress and bytes_:
            self._progress(self._done, self.total)


def _wanted(repo_id: str, siblings: Iterable[Any]) -> list[HubFile]:
    """The files to fetch, small ones first: what is wrong with them shows before the gigabytes."""
    listed = {one.rfilename: one for one in siblings}
    ignored = _ignored(listed)
    # A name comes from somebody else: it may not lead out of the directory.
    names = [
        name
        for name in listed
        if name not in ignored
        and not {"/", "\\"} & set(name)
        and any(fnmatch(name, like) for like in ALLOW_PATTERNS)
    ]
    if not any(name.endswith(".safetensors") for name in names):
        raise PullError(f"{repo_id} holds no safetensors file, and pickles are never fetched")
    found = []
    for name in names:
        one = listed[name]
        if one.size is None:
            raise PullError(f"{repo_id}: the hub does not say how large {name} is")
        large = one.lfs.sha256 if one.lfs else ""
        found.append(HubFile(name, one.size, large, "" if large else one.blob_id or ""))
    return sorted(found, key=lambda file: file.bytes)


def _ignored(names: Mapping[str, Any]) -> set[str]:
    has_shards = any(index in names for index in files.INDEX_NAMES)
    return {files.SINGLE_NAME} if has_shards else set()


def _check_space(repo_id: str, directory: Path, missing: int) -> None:
    place = next(p for p in (directory, *directory.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(place).free
    needed = missing + SPARE_BYTES if missing else 0
    if needed > free:
        raise PullError(
            f"{repo_id} needs {needed / 1e9:.2f} GB more on the disk of {directory}, which has "
            f"{free / 1e9:.2f} GB free: nothing was fetched; make room, or name another place "
            "with --to"
        )


def _what_to_do(error: Exception, repo_id: str, revision: str | None) -> str | None:
    """Return what to tell a user of an error of the hub, None where it is none of the hub's."""
    from huggingface_hub import errors, get_token

    page = f"https://huggingface.co/{repo_id}"
    instead = "or pass the path of a model directory you have"
    if isinstance(error, errors.GatedRepoError):
        if not get_token():
            return (
                f"{repo_id} is gated, and you are not logged in: accept its licence at {page}, "
                f"then run `hf auth login` or set HF_TOKEN, and try again; {instead}"
            )
        return (
            f"{repo_id} is gated, and the account of your token has no access to it: accept its "
            f"licence at {page} while logged in as that account (a fine-grained token also needs "
            f"the permission to read gated repositories), and try again; {instead}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{repo_id}: no such repository, or a private one: check the name at {page}; for a "
            f"private one run `hf auth login` or set HF_TOKEN; {instead}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo_id} has no revision {revision!r}: see {page}/tree/main"
    if isinstance(error, errors.HFValidationError):
        return f"{repo_id!r} is not allowed as a repository, must be owner/name: {error}"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so {repo_id} was not fetched: unset it, {instead}"
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code == 401:
        return (
            f"{repo_id}: the hub does not take your token (401): it may have expired or been "
            "revoked; run `hf auth login` anew or set HF_TOKEN"
        )
    # The HTTP client under the hub library has errors of its own (no route, bad certificate).
    client = type(error).__module__.split(".")[0].rstrip("0123456789")
    reason = (str(error).splitlines() or [""])[0]
    if isinstance(error, OSError) or client in {"httpx", "httpcore", "requests"}:
        return (
            f"{repo_id} could not be fetched ({type(error).__name__}: {reason}): check the network "
            f"(HTTPS_PROXY, HF_ENDPOINT for a mirror) and the disk, and try again: what has come "
            f"is kept; {instead}"
        )
    return None
