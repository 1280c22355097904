"""`--server` and what goes with it: where a command finds a server, and how it connects.

One object for all commands. What is not said on the command line comes from the environment:
CSM_SERVER, CSM_CA, CSM_CERT, CSM_KEY, CSM_TOKEN, CSM_TOKEN_FILE.
"""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from csm.cli.reporting import CommandError

if TYPE_CHECKING:
    from csm.client import AsyncClient, AsyncTokenizerClient, Client

SERVER_VARIABLE = "CSM_SERVER"
TOKEN_VARIABLE = "CSM_TOKEN"
PUBLIC = "public"
"""`--ca public`: the authorities that gRPC brings along."""

_PANEL = "Reaching a server"
_FILES = {
    "ca": f"Authority that the server's certificate is of, PEM; turns TLS on. {PUBLIC}: those "
    "that gRPC brings along. Or CSM_CA.",
    "cert": "Certificate to show where the server asks for one, PEM. Or CSM_CERT.",
    "key": "Its key, PEM. Or CSM_KEY.",
    "token_file": "File with the token to show, and nothing else. Or CSM_TOKEN_FILE, or the token "
    "itself in CSM_TOKEN.",
}
_PLAINTEXT = "Show the token also without TLS to a server that is not on this machine."

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class ServerChoice:
    """Which server a command talks to, and what it shows there."""

    target: str | None = None
    """host:port; None: none, the command runs what it needs itself."""
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    allow_plaintext_token: bool = False
    said: bool = False
    """Whether `--server` was given, and not by the environment alone."""

    @classmethod
    def of(
        cls, variable: str | None, default: str | None, server: str | None, **files: Path | None
    ) -> "ServerChoice":
        """From the options of the command line, then the environment, then `default`.

        `variable` holds the server where there is no option, unless None. Raises
        `InvalidArgument` where that is no host:port: an empty option too, as a variable of the
        shell that was not set must not load a model.
        """
        from csm.client.connection import check_target

        said = server is not None
        if server is None and variable is not None:
            server = os.environ.get(variable) or default
        if server is None:
            if given := next((name for name, value in files.items() if value), None):
                option = given.replace("_", "-")
                raise CommandError(f"--{option}: is for a server; name it with --server")
            return cls()
        check_target(server, "--server" if said else str(variable))
        for name in files:
            if files[name] is None and (value := os.environ.get(f"CSM_{name.upper()}")):
                files[name] = Path(value)
        paths = {name: files.get(name) for name in _FILES}
        return cls(server, paths["ca"], paths["cert"], paths["key"], paths["token_file"], said=said)

    def or_here(self, **options: object) -> "ServerChoice":
        """The choice beside `options` of what would run in this process.

        Where one of these is given, a server that only the environment names is not meant. Raises
        `CommandError` where `--server` is given too: it runs elsewhere.
        """
        if self.target is None or all(value is None for value in options.values()):
            return self
        if not self.said:
            return ServerChoice()
        names = [f"--{name.replace('_', '-')}" for name in options]
        told = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        raise CommandError(f"--server runs elsewhere: {told} are its")

    def at(self, target: str) -> "ServerChoice":
        """The same with a server where none is named."""
        return self if self.target is not None else replace(self, target=target)

    def arguments(self) -> dict[str, Any]:
        """What a client of the SDK is made with beside its target."""
        given: dict[str, Any] = {}
        if self.ca is not None:
            given["root_certificates"] = b"" if str(self.ca) == PUBLIC else self.ca
        if (self.cert is None) != (self.key is None):
            have, lack = ("--cert", "--key") if self.key is None else ("--key", "--cert")
            raise CommandError(f"{lack} is needed with {have}: a certificate and its key")
        if self.cert is not None and self.key is not None:
            if self.ca is None:
                raise CommandError(f"--ca is needed with --cert: whom to trust (or {PUBLIC})")
            given["client_certificate"] = (self.cert, self.key)
        if token := self._token():
            given["token"] = token
            given["allow_plaintext_token"] = self.allow_plaintext_token
        return given

    def _token(self) -> str:
        """What stands in the file, else in the environment. Raises OSError, `CommandError`."""
        if self.token_file is None:
            return os.environ.get(TOKEN_VARIABLE, "").strip()
        token = self.token_file.read_text(encoding="utf-8", errors="replace").strip()
        if not token:
            raise CommandError(f"{self.token_file}: is empty; a token is due")
        return token

    def client(self) -> "AsyncClient":
        """A client of the gateway chosen."""
        from csm.client import AsyncClient

        return AsyncClient(self._target(), **self.arguments())

    def blocking_client(self) -> "Client":
        """As `client`, for threads."""
        from csm.client import Client

        return Client(self._target(), **self.arguments())

    def tokenizer_client(self) -> "AsyncTokenizerClient":
        """A client of the tokenizer chosen."""
        from csm.client import AsyncTokenizerClient

        return AsyncTokenizerClient(self._target(), **self.arguments())

    def _target(self) -> str:
        if self.target is None:
            raise ValueError("no server was chosen")
        return self.target


HERE = ServerChoice()
"""No server."""


def takes_server(
    what: str, variable: str | None = SERVER_VARIABLE, default: str | None = None
) -> Callable[[Command], Command]:
    """Gives a command `--server`, described by `what`, and the options that go with it.

    The command has one parameter `server: ServerChoice` in their place. `variable` names the server
    where the command line does not; None: nothing does. `default`: where neither does.
    """
    told = f"{what} Or {variable}." if variable else what

    def add(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            parameters += _options(told) if parameter.name == "server" else [parameter]

        @functools.wraps(command)
        def with_server(server: str | None = None, **given: Any) -> Any:
            files = {name: given.pop(name, None) for name in _FILES}
            plaintext = bool(given.pop("allow_plaintext_token", False))
            chosen = ServerChoice.of(variable, default, server, **files)
            return command(server=replace(chosen, allow_plaintext_token=plaintext), **given)

        # Typer reads both; the wrapped command's own would hide the options.
        del with_server.__wrapped__
        with_server.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters
        )
        with_server.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_server  # type: ignore[return-value]

    return add


def _options(told: str) -> list[inspect.Parameter]:
    kinds: dict[str, Any] = {
        "server": Annotated[str | None, typer.Option("--server", help=told, rich_help_panel=_PANEL)]
    }
    for name, about in _FILES.items():
        option = typer.Option(f"--{name.replace('_', '-')}", help=about, rich_help_panel=_PANEL)
        kinds[name] = Annotated[Path | None, option]
    plaintext = typer.Option("--allow-plaintext-token", help=_PLAINTEXT, rich_help_panel=_PANEL)
    kinds["allow_plaintext_token"] = Annotated[bool, plaintext]
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=False if name == "allow_plaintext_token" else None,
            annotation=kind,
        )
        for name, kind in kinds.items()
    ]
