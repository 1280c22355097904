"""Fetching a repository, from a hub of our own on loopback: files, progress, refusals, breaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.generator.model import weights
from services.model_tools.pulling import SPARE_BYTES, PullError, pull
from tests.csm.cli.conftest import process  # noqa: F401  (a fixture)
from tests.generator.model import oracle as model_oracle
from tests.model_tools.hub_server import COMMIT, Hub, serving

WEIGHTS = "model.safetensors"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # A break is waited for before the next try; the hub on loopback needs no rest.
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    # What has come of a block is lost with the connection: of 10 MB, without this.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 14)
    # Whoever runs the tests may be logged in.
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with serving(Hub()) as hub:
        yield hub


@pytest.fixture
def model_files(tmp_path: Path) -> dict[str, bytes]:
    directory = tmp_path / "source"
    weights.save(weights.create(model_oracle.FIVE_BOOKS), directory)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_repository_is_fetched_and_loads(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    served.files = {**model_files, "ckpt.pt": b"pickle", "README.md": b"hello",
                    "prompts/a.json": b"{}", "../evil.json": b"{}"}  # fmt: skip
    seen: list[tuple[int, int | None]] = []
    pulled = pull(
        "owner/name",
        tmp_path / "voice",
        lambda done, total: seen.append((done, total)),
        endpoint=served.endpoint,
    )
    assert weights.load(pulled.directory).config == model_oracle.FIVE_BOOKS
    wanted = {*model_files, "README.md"}
    assert set(served.fetched) == wanted
    # Nothing else lies there: neither a lock nor a part.
    assert {path.name for path in pulled.directory.iterdir()} == wanted
    total = sum(len(served.files[name]) for name in wanted)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert pulled.commit == COMMIT
    assert pulled.bytes == pulled.fetched_bytes == total


def test_what_is_there_is_not_fetched_again_unless_it_is_another(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    served.files = model_files
    target = tmp_path / "voice"
    pull("owner/name", target, endpoint=served.endpoint)
    served.fetched.clear()
    assert pull("owner/name", target, endpoint=served.endpoint).fetched_bytes == 0
    assert served.fetched == []
    # Of the same size, but not the same.
    broken = bytearray(model_files[WEIGHTS])
    broken[-1] ^= 1
    (target / WEIGHTS).write_bytes(broken)
    pull("owner/name", target, endpoint=served.endpoint)
    assert served.fetched == [WEIGHTS]
    assert (target / WEIGHTS).read_bytes() == model_files[WEIGHTS]


def test_a_revision_is_asked_for_and_all_files_are_of_its_commit(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    served.files = model_files
    pulled = pull("owner/name", tmp_path / "v", revision="v2", endpoint=served.endpoint)
    # The server gives files of COMMIT only, whatever the name of the revision.
    assert (served.revisions, pulled.commit) == (["v2"], COMMIT)


def test_the_original_file_is_left_out_where_there_are_shards(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    shard = model_files.pop(WEIGHTS)
    index = {"weight_map": {"lm_head.weight": "shard-1.safetensors"}}
    served.files = {
        **model_files,
        WEIGHTS: b"the original layout, twice the bytes",
        "shard-1.safetensors": shard,
        "transformers.safetensors.index.json": json.dumps(index).encode(),
    }
    found = pull("owner/name", tmp_path / "voice", endpoint=served.endpoint).directory
    assert not (found / WEIGHTS).exists()
    assert weights.load(found).config == model_oracle.FIVE_BOOKS


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_a_broken_connection_is_gone_on_with_within_a_run(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path, takes_ranges: bool
) -> None:
    served.files, served.takes_ranges = model_files, takes_ranges
    size = len(model_files[WEIGHTS])
    served.sends_at_most = size // 3 + 1 if takes_ranges else None
    seen: list[int] = []
    pulled = pull(
        "owner/name", tmp_path / "v", lambda done, _: seen.append(done), endpoint=served.endpoint
    )
    assert (pulled.directory / WEIGHTS).read_bytes() == model_files[WEIGHTS]
    assert seen[-1] == pulled.bytes
    if takes_ranges:
        # Each time from the last whole block on.
        assert 3 <= served.fetched.count(WEIGHTS) <= 4
        assert served.sent_bytes < 1.2 * pulled.bytes


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_the_next_run_goes_on_where_a_run_was_broken_off(
    served: Hub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    takes_ranges: bool,
) -> None:
    served.files, target = model_files, tmp_path / "voice"
    size = len(model_files[WEIGHTS])

    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if served.sends_at_most is not None and done > total - size:
            raise Killed

    served.sends_at_most = size // 2
    with pytest.raises(Killed):
        pull("owner/name", target, kill, endpoint=served.endpoint)
    assert not (target / WEIGHTS).exists()
    # What a run that was killed has written, whatever of it the kernel had at that time.
    (part,) = target.glob(".*.part")
    part.write_bytes(model_files[WEIGHTS][: size // 2])
    served.sends_at_most, served.takes_ranges = None, takes_ranges
    served.fetched.clear()
    served.ranges.clear()
    pulled = pull("owner/name", target, kill, endpoint=served.endpoint)
    assert (served.fetched, served.ranges) == ([WEIGHTS], [f"bytes={size // 2}-"])
    assert pulled.fetched_bytes == size - size // 2
    assert (target / WEIGHTS).read_bytes() == model_files[WEIGHTS]
    assert not list(target.glob(".*.part"))


def test_a_hub_that_breaks_off_for_good_keeps_what_has_come_and_says_so(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    served.files, served.sends_at_most = model_files, 0
    with pytest.raises(PullError, match=r"could not be fetched .*try again: what has come is kept"):
        pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    assert not (tmp_path / "voice" / WEIGHTS).exists()


def test_a_file_that_is_not_what_was_announced_is_refused_and_deleted(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    other = bytearray(model_files[WEIGHTS])
    other[-1] ^= 1
    served.files, served.announced = model_files, {WEIGHTS: bytes(other)}
    with pytest.raises(PullError, match=r"model.safetensors: what came is not what .*try again"):
        pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    assert not (tmp_path / "voice" / WEIGHTS).exists()
    assert not list((tmp_path / "voice").glob(".*.part"))


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    served: Hub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served.files = model_files
    needed = sum(map(len, model_files.values())) + SPARE_BYTES
    usage = SimpleNamespace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PullError, match=r"needs 0.02 GB more .*has 0.02 GB free.*--to"):
        pull("owner/name", tmp_path / "a" / "b", endpoint=served.endpoint)
    assert served.fetched == []
    assert not (tmp_path / "a").exists()
    usage.free = needed
    pull("owner/name", tmp_path / "a" / "b", endpoint=served.endpoint)
    # What is there needs no room.
    usage.free = 0
    pull("owner/name", tmp_path / "a" / "b", endpoint=served.endpoint)


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), r"owner/name is gated.*accept its licence at https://huggingface.co/"
         r"owner/name.*`hf auth login` or set HF_TOKEN.*path of a model directory"),
        ((401, "GatedRepo"), r"is gated"),
        ((404, "RepoNotFound"), r"owner/name: no such repository, or a private one"),
        ((404, "RevisionNotFound"), r"has no revision 'v9'"),
        ((500, "Internal"), r"could not be fetched .*check the network"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(
    served: Hub, tmp_path: Path, refusal: tuple[int, str], message: str
) -> None:
    served.refusal = refusal
    with pytest.raises(PullError, match=message):
        pull("owner/name", tmp_path / "voice", revision="v9", endpoint=served.endpoint)


def test_a_gated_repository_tells_a_missing_login_from_a_missing_licence(
    served: Hub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served.files, served.token = model_files, "hf_accepted"
    with pytest.raises(PullError, match=r"is gated, and you are not logged in: accept its licence"):
        pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(PullError, match=r"account of your token has no access") as told:
        pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    assert "hf_another" not in str(told.value)
    monkeypatch.setenv("HF_TOKEN", "hf_accepted")
    pulled = pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    assert weights.load(pulled.directory).config == model_oracle.FIVE_BOOKS


def test_an_unreachable_hub_says_what_to_do(served: Hub, tmp_path: Path) -> None:
    with pytest.raises(PullError, match=r"could not be fetched .*HTTPS_PROXY.*model directory"):
        pull("owner/name", tmp_path / "voice", endpoint="http://127.0.0.1:9")


def test_a_repository_of_pickles_is_refused(served: Hub, tmp_path: Path) -> None:
    served.files = {"config.json": b"{}", "ckpt.pt": b"pickle"}
    with pytest.raises(PullError, match="holds no safetensors file"):
        pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    assert served.fetched == []


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PullError, match=r"'a/b/c' is not allowed as a repository"):
        pull("a/b/c", tmp_path / "voice")


def test_the_command_fetches_from_the_hub_that_the_environment_names(
    served: Hub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    process: Callable[..., subprocess.CompletedProcess[str]],  # noqa: F811
) -> None:
    served.files, served.token = model_files, "hf_accepted"
    environment = {**os.environ, "HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path / "hf")}
    command = ("models", "pull", "owner/name", "--to", tmp_path / "voice")
    refused = process(*command, env=environment)
    assert refused.returncode == 1
    assert refused.stderr.count("csm: owner/name is gated") == 1
    assert "Traceback" not in refused.stderr
    done = process(*command, env={**environment, "HF_TOKEN": "hf_accepted"})
    assert done.returncode == 0, done.stderr
    assert f"commit {COMMIT}" in done.stderr
    assert weights.load(tmp_path / "voice").config == model_oracle.FIVE_BOOKS
