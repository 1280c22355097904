"""`csm tokens`: who may call a service, by bearer tokens in a file."""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from csm.cli.reporting import CommandError

DAY_S = 86_400.0
FILE_VARIABLE = "CSM_GATEWAY_AUTH_TOKENS_FILE"

app = typer.Typer(no_args_is_help=True, help="Make and revoke tokens that clients show.")

File = Annotated[
    Path,
    typer.Option(
        "--file",
        "-f",
        envvar=FILE_VARIABLE,
        show_envvar=False,
        help=f"The file of tokens, as the service has it in auth_tokens_file. Or {FILE_VARIABLE}.",
    ),
]
DEFAULT_FILE = Path("tokens")


@app.callback()
def root() -> None:
    """Make and revoke tokens that clients show."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whom it stands for, and by what it is revoked.")],
    tenant: Annotated[
        str,
        typer.Option(help="Owner of the conversations and voices that it makes. Default: NAME."),
    ] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do: speak, converse, voices:write or admin (all). May be given "
            "several times. Default: speak and converse."
        ),
    ] = None,
    expires: Annotated[
        float | None, typer.Option(help="Days that it holds. Default: until it is revoked.", min=0)
    ] = None,
    file: File = DEFAULT_FILE,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A new file for the token, its owner's alone (0600); default: it is printed.",
        ),
    ] = None,
) -> None:
    """Make a token, add its hash to the file, and give it: it cannot be had again."""
    from csm.serving.auth.entries import MAX_NAME_CHARS, is_name
    from csm.serving.auth.identity import Principal, Scope
    from csm.serving.auth.token_file import new_token, parse_tokens, token_line, with_line

    known = {str(one): one for one in Scope}
    wanted = scope or [Scope.SPEAK, Scope.CONVERSE]
    if unknown := [one for one in wanted if one not in known]:
        raise CommandError(f"--scope: {unknown[0]!r} is not known; allowed are {', '.join(known)}")
    for what, value in (("NAME", name), ("--tenant", tenant or name)):
        if not is_name(value):
            raise CommandError(
                f"{what}: {value!r} is not allowed; 1..{MAX_NAME_CHARS} letters, digits and "
                "_.:@|/+=,-"
            )
    content = _read(file) if file.exists() else b""
    if any(one.principal.name == name for one in parse_tokens(content).entries):
        raise CommandError(f"{file}: has a token of the name {name}; csm tokens revoke {name}")
    token = new_token()
    principal = Principal(name, tenant or name, frozenset(known[one] for one in wanted))
    until = None if expires is None else time.time() + expires * DAY_S
    line = token_line(token, principal, until)
    if output is None:
        _write(file, with_line(content, line))
        typer.echo(token)
        typer.echo(f"added {name} to {file}; the token is shown this once", err=True)
        return
    with _own_file(output, token):
        _write(file, with_line(content, line))
    typer.echo(f"added {name} to {file}; the token is in {output}", err=True)


@app.command("list")
def list_tokens(file: File = DEFAULT_FILE) -> None:
    """Name the tokens of the file, and what each may do; never the tokens themselves."""
    from datetime import UTC, datetime

    from csm.serving.auth.token_file import parse_tokens

    for entry in parse_tokens(_read(file)).entries:
        who = entry.principal
        until = ""
        if entry.expires_unix_s is not None:
            when = datetime.fromtimestamp(entry.expires_unix_s, UTC)
            until = f", {'expired' if entry.expired() else 'expires'} {when:%Y-%m-%d %H:%M} UTC"
        scopes = " ".join(sorted(who.scopes)) or "nothing"
        typer.echo(f"{who.name:<16} tenant {who.tenant}, {scopes}{until}")


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The token's name.")], file: File = DEFAULT_FILE
) -> None:
    """Take a token out of the file. Calls under way go on; services refuse it within a second or
    two."""
    from csm.serving.auth.token_file import without_name

    content = _read(file)
    try:
        left = without_name(content, name)
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from None
    _write(file, left)
    typer.echo(f"{name} is revoked", err=True)


@contextlib.contextmanager
def _own_file(path: Path, token: str) -> Iterator[None]:
    """A new file with the token, which nobody else can read from its first moment on; it goes where
    the body fails. Raises `CommandError` where there is one already."""
    try:
        # Not by the umask, and never through a link that somebody laid there.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"--output {path}: is there already, and is not replaced") from None
    try:
        with os.fdopen(handle, "w") as out:
            out.write(f"{token}\n")
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read(file: Path) -> bytes:
    """The file's content. Raises `CommandError` where it is no file of tokens."""
    from csm.serving.auth.token_file import parse_tokens

    content = file.read_bytes()
    try:
        parse_tokens(content)
    except UnicodeError:
        raise CommandError(f"{file}: is not UTF-8") from None
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from None
    return content


def _write(file: Path, content: bytes) -> None:
    """Puts it there in one go. A new file is its owner's alone, one that is there keeps its mode
    and its owner: the service that reads it may be another user."""
    real = file.resolve()
    part = real.with_name(f".{real.name}.{os.getpid()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if real.exists():
            before = real.stat()
            part.chmod(stat.S_IMODE(before.st_mode))
            if hasattr(os, "chown"):
                with contextlib.suppress(PermissionError):
                    os.chown(part, before.st_uid, before.st_gid)
        os.replace(part, real)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
