"""The playground: one page at `/`, and the files that it is made of, under `playground/`."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from csm import errors

DIRECTORY = Path(__file__).parent / "playground"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may load and call: its own server alone, and nothing written into the page."""
HEADERS = {
    # Asked for again each time, which costs an answer without a body: an upgrade shows at once.
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class _File:
    data: bytes
    kind: str
    etag: str


class PageRoutes:
    """The routes. The files are read once, and what is not among them is not there."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._files = {path.name: _read(path) for path in directory.iterdir() if path.is_file()}

    async def index(self, request: Request) -> Response:
        """The page."""
        return self._answer(request, INDEX)

    async def file(self, request: Request) -> Response:
        """One of the files that it loads. Raises `NotFound`."""
        return self._answer(request, request.path_params["file"])

    def _answer(self, request: Request, name: str) -> Response:
        found = self._files.get(name)
        if found is None:
            raise errors.NotFound("file", "playground")
        headers = HEADERS | {"etag": found.etag}
        known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        # A proxy that compresses marks the tag as weak.
        if found.etag in [tag.removeprefix("W/") for tag in known]:
            return Response(status_code=304, headers=headers)
        return Response(found.data, headers=headers | {"content-type": found.kind})


def _read(path: Path) -> _File:
    data = path.read_bytes()
    tag = hashlib.sha256(data).hexdigest()[:32]
    return _File(data, TYPES.get(path.suffix, "application/octet-stream"), f'"{tag}"')
