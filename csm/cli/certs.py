"""`csm certs`: certificates for development."""

import re
from pathlib import Path
from typing import Annotated

import typer

from csm.cli.reporting import CommandError

HOSTS = ("localhost", "127.0.0.1", "::1", "gateway", "tokenizer", "generator")
"""Of this machine, and the services of compose."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_.-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")
_OWN = ("ca", "server")

app = typer.Typer(no_args_is_help=True, help="Make certificates for development.")


@app.callback()
def root() -> None:
    """Make certificates for development."""


@app.command("dev")
def dev(
    directory: Annotated[Path, typer.Argument(help="Where the files go.", metavar="DIR")],
    host: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A further name or address of the server, beside {', '.join(HOSTS)}. May be "
            "given several times."
        ),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            help="The name of a client, and of its files; may be given several times. Default: "
            "client."
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(help="How long the pairs are valid.", min=1, max=3650)
    ] = 365,
    force: Annotated[
        bool, typer.Option("--force", help="Replace pairs that are there.")
    ] = False,
) -> None:  # fmt: skip
    """Make a local authority, a pair for servers, and one for each client.

    An authority that is in DIR already is kept, and signs the new pairs. Not for production: the
    authority's key lies beside them.
    """
    clients = client or ["client"]
    hosts = [*HOSTS, *(host or [])]
    for name in clients:
        if not _NAME.fullmatch(name) or name in _OWN:
            raise CommandError(
                f"--client: {name!r} is not allowed; 1..64 letters, digits, . _ and -, neither "
                f"{' nor '.join(_OWN)}"
            )
    for one in hosts:
        if not _HOST.fullmatch(one):
            raise CommandError(f"--host: {one!r} is no name of a host and no address")
    wanted = {name: _files(directory, name) for name in ("server", *clients)}
    there = [str(one) for pair in wanted.values() for one in pair if one.exists()]
    if there and not force:
        raise CommandError(f"{', '.join(there)}: there already; --force replaces what is there")
    _make(directory, wanted, hosts, days)
    for line in _next_steps(directory, clients):
        typer.echo(line)


def _make(
    directory: Path, wanted: dict[str, tuple[Path, Path]], hosts: list[str], days: int
) -> None:
    from csm.cli.certificates import Pair, make_authority, make_client, make_server

    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = _files(directory, "ca")
    if certificate.exists() or key.exists():
        # Half an authority is an error of its reading: it is never replaced.
        authority = Pair.read(certificate, key)
    else:
        authority = make_authority("csm development authority")
        authority.write(certificate, key)
    for name, paths in wanted.items():
        if name == "server":
            pair = make_server(authority, "csm", hosts, days)
        else:
            pair = make_client(authority, name, days)
        pair.write(*paths)


def _files(directory: Path, name: str) -> tuple[Path, Path]:
    """Where a certificate is, and its key."""
    return directory / f"{name}.pem", directory / f"{name}-key.pem"


def _next_steps(directory: Path, clients: list[str]) -> list[str]:
    at = directory.resolve()
    shown, key = _files(at, clients[0])
    made = ", ".join(f"{name}.pem" for name in ("ca", "server", *clients))
    return [
        f"made in {at}: {made}, each with its key",
        "",
        "A gateway with TLS, its clients with a certificate (without the third line: any client):",
        f"  export CSM_GATEWAY_TLS_CERTIFICATE={at / 'server.pem'}",
        f"  export CSM_GATEWAY_TLS_KEY={at / 'server-key.pem'}",
        f"  export CSM_GATEWAY_TLS_CLIENT_CA={at / 'ca.pem'}",
        "  csm serve",
        "",
        "Its clients:",
        f"  export CSM_CA={at / 'ca.pem'} CSM_CERT={shown} CSM_KEY={key}",
        '  csm speak "Hello there." --server 127.0.0.1:50050',
    ]
