"""Fetching a repository, from a hub of our own on loopback: files, progress, refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.generator.model import weights
from services.generator.model.hub import PullError, pull
from tests.generator.model import oracle as model_oracle

COMMIT = "1234567890abcdef1234567890abcdef12345678"


class Hub:
    """What one repository of the served hub holds, or the refusal it answers with."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.refusal: tuple[int, str] | None = None
        self.refuses_only_files = False
        self.fetched: list[str] = []
        self.endpoint = ""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.respond(body=False)

        def do_GET(self) -> None:
            self.respond(body=True)

        def send(self, status: int, headers: dict[str, str], content: bytes, body: bool) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def respond(self, body: bool) -> None:
            path = self.path.split("?")[0]
            if hub.refusal and not (hub.refuses_only_files and path.startswith("/api/")):
                status, code = hub.refusal
                self.send(status, {"X-Error-Code": code, "X-Error-Message": code}, b"{}", body)
            elif path.startswith("/api/models/owner/name/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                    for name, content in hub.files.items()
                ]
                headers = {"Content-Type": "application/json"}
                self.send(200, headers, json.dumps(tree).encode(), body)
            elif path.startswith("/api/models/owner/name"):
                siblings = [
                    {"rfilename": name, "size": len(content)} for name, content in hub.files.items()
                ]
                info = {"id": "owner/name", "sha": COMMIT, "siblings": siblings}
                headers = {"Content-Type": "application/json"}
                self.send(200, headers, json.dumps(info).encode(), body)
            elif path.startswith(f"/owner/name/resolve/{COMMIT}/"):
                name = path.rsplit("/", 1)[1]
                if body:
                    hub.fetched.append(name)
                headers = {"ETag": f'"{name}-1"', "X-Repo-Commit": COMMIT}
                self.send(200, headers, hub.files[name], body)
            else:
                self.send(404, {"X-Error-Code": "RepoNotFound"}, b"{}", body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def model_files(tmp_path: Path) -> dict[str, bytes]:
    directory = tmp_path / "source"
    weights.save(weights.create(model_oracle.FIVE_BOOKS), directory)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_repository_is_fetched_and_loads(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    served.files = {**model_files, "ckpt.pt": b"pickle", "README.md": b"hello"}
    seen: list[tuple[int, int | None]] = []
    found = pull(
        "owner/name",
        tmp_path / "voice",
        lambda done, total: seen.append((done, total)),
        endpoint=served.endpoint,
    )
    assert weights.load(found).config == model_oracle.FIVE_BOOKS
    assert "ckpt.pt" not in served.fetched
    assert not (found / "ckpt.pt").exists()
    total = sum(len(content) for name, content in served.files.items() if name != "ckpt.pt")
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_original_file_is_left_out_where_there_are_shards(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    shard = model_files.pop("model.safetensors")
    index = {"weight_map": {"lm_head.weight": "shard-1.safetensors"}}
    served.files = {
        **model_files,
        "model.safetensors": b"the original layout, twice the bytes",
        "shard-1.safetensors": shard,
        "transformers.safetensors.index.json": json.dumps(index).encode(),
    }
    found = pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)
    assert not (found / "model.safetensors").exists()
    assert weights.load(found).config == model_oracle.FIVE_BOOKS


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), r"owner/name is gated: accept its licence at https://huggingface.co/"
         r"owner/name .*`hf auth login` or set HF_TOKEN.*path of a model directory"),
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


def test_a_gated_repository_that_shows_its_list_says_what_to_do(
    served: Hub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    served.files, served.refusal, served.refuses_only_files = model_files, (401, "GatedRepo"), True
    with pytest.raises(PullError, match=r"owner/name is gated: accept its licence"):
        pull("owner/name", tmp_path / "voice", endpoint=served.endpoint)


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
