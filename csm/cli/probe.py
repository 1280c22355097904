"""`csm probe`: whether a server is ready, for scripts and for people."""

from typing import Annotated

import typer


def probe(
    address: Annotated[
        str, typer.Argument(help="host:port of any of the services.", metavar="ADDRESS")
    ],
    service: Annotated[
        str,
        typer.Argument(help="One of what it lists, e.g. csm.v1.SpeechService. Default: all."),
    ] = "",
    live: Annotated[
        bool, typer.Option("--live", help="Only whether it lives; else whether it is ready.")
    ] = False,
) -> None:
    """Ask a server for its health; the exit status is 0 where it is well, else 1."""
    from csm.cli.reporting import CommandError
    from csm.serving import probe as health

    if ":" not in address:
        raise CommandError(f"ADDRESS: {address!r} is not allowed; host:port")
    if live and service:
        raise CommandError("--live: is of the whole server, allowed without SERVICE")
    named = [service] if service else []
    raise typer.Exit(health.main([address, *named, *(["--live"] if live else [])]))
