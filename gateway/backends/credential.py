"""The gateway's own credential: a bearer token that the tokenizer and the generator are shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from csm.serving.auth.watched_file import WatchedFile

_SETTING = "backend_token_file"
MAX_TOKEN_CHARS = 8192


class BackendCredential:
    """Metadata for calls to backends: the token of a file, as it is now."""

    def __init__(self, path: Path | None) -> None:
        """None: no token is shown. Raises ValueError where the file has none."""
        self._file = WatchedFile(_SETTING, path, parse_token) if path is not None else None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call sends along."""
        if self._file is None:
            return ()
        return (("authorization", f"Bearer {self._file.value}"),)

    def on(self, stub: Any) -> Any:
        """The stub, with the token on each of its calls."""
        return stub if self._file is None else _WithToken(stub, self.metadata)

    async def follow(self) -> None:
        """Keeps the token up to date, for ever."""
        if self._file is not None:
            await self._file.follow()


class _WithToken:
    """A stub whose calls bring a token.

    Not an interceptor: those of grpc.aio take a task and a queue for each message of a stream.
    """

    def __init__(self, stub: Any, token: Callable[[], tuple[tuple[str, str], ...]]) -> None:
        self._token = token
        for name, method in vars(stub).items():
            setattr(self, name, self._with_token(method))

    def _with_token(self, method: Any) -> Any:
        def call(*arguments: Any, metadata: Any = (), **options: Any) -> Any:
            return method(*arguments, metadata=(*(metadata or ()), *self._token()), **options)

        return call


def parse_token(content: bytes) -> str:
    """The token that is all of a file but blanks around it. Raises ValueError."""
    token = content.decode().strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("is no token: one word of printable ASCII is due")
    if not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise ValueError(f"is no token: 1..{MAX_TOKEN_CHARS} characters are due")
    return token
