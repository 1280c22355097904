"""A hub on loopback: what huggingface_hub asks of the real one, its refusals, its breakdowns."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "1234567890abcdef1234567890abcdef12345678"


class Hub:
    """What the one repository `owner/name` holds, and what goes wrong with it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.refusal: tuple[int, str] | None = None
        self.refuses_only_files = False
        self.token: str | None = None
        """Files are given to this one only: 401 without one, 403 to any other."""
        self.sends_at_most: int | None = None
        """Bytes of a file after which the connection breaks."""
        self.takes_ranges = True
        self.announced: dict[str, bytes] = {}
        """What digests are made of, where it is not what is sent."""
        self.fetched: list[str] = []
        self.ranges: list[str | None] = []
        self.sent_bytes = 0
        self.revisions: list[str] = []
        self.endpoint = ""

    def siblings(self) -> list[dict[str, object]]:
        listed = []
        for name, sent in self.files.items():
            content = self.announced.get(name, sent)
            blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            one: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
            if name.endswith(".safetensors"):
                sha256 = hashlib.sha256(content).hexdigest()
                one["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 134}
            listed.append(one)
        return listed


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves `hub` at its `endpoint` while the body runs."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            part = content
            if status in (200, 206) and hub.sends_at_most is not None and "ETag" in headers:
                part = content[: hub.sends_at_most]
            self.wfile.write(part)
            if "ETag" in headers:
                hub.sent_bytes += len(part)
            if len(part) < len(content):
                self.wfile.flush()
                self.close_connection = True

        def refuse(self, status: int, code: str) -> None:
            self.send(status, {"X-Error-Code": code, "X-Error-Message": code}, b"{}")

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            is_api = path.startswith("/api/")
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if hub.refusal and not (hub.refuses_only_files and is_api):
                self.refuse(*hub.refusal)
            elif hub.token and not is_api and given != hub.token:
                self.refuse(403 if given else 401, "GatedRepo")
            elif path.startswith("/api/models/owner/name"):
                hub.revisions.append(path.partition("/revision/")[2])
                info = {"id": "owner/name", "sha": COMMIT, "siblings": hub.siblings()}
                self.send(200, {"Content-Type": "application/json"}, json.dumps(info).encode())
            elif path.startswith(f"/owner/name/resolve/{COMMIT}/"):
                self.file(path.rsplit("/", 1)[1])
            else:
                self.refuse(404, "RepoNotFound")

        def file(self, name: str) -> None:
            content, wanted = hub.files[name], self.headers.get("Range")
            hub.fetched.append(name)
            hub.ranges.append(wanted)
            headers = {"ETag": f'"{name}-1"', "X-Repo-Commit": COMMIT}
            if wanted and hub.takes_ranges:
                first = int(wanted.removeprefix("bytes=").rstrip("-"))
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
                self.send(206, headers, content[first:])
            else:
                self.send(200, headers, content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
