"""`csm voices`: which voices there are."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from csm.cli import options

app = typer.Typer(no_args_is_help=True, help="Look at the voices.")


@app.callback()
def root() -> None:
    """Look at the voices of a server, or of a directory."""


@app.command("list")
def list_voices(
    server: options.GatewayServer = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on standard output.")] = False,
    model: options.Model = None,
    voices: options.Voices = None,
) -> None:
    """Name the voices that `csm speak --voice` takes, the default first.

    Those of the server named, else those of the model and of the directory of voices given here.
    """
    options.check_server(server, model=model, voices=voices)

    async def life() -> None:
        import contextlib

        from csm.cli.reporting import status
        from csm.client import AsyncClient

        async with contextlib.AsyncExitStack() as stack:
            address = server
            if address is None:
                from services.all_in_one import AllInOne

                with status("loading the model"):
                    running = AllInOne(model=model, slots=1, gateway={"voices_directory": voices})
                    await stack.enter_async_context(running)
                address = running.address
            client = await stack.enter_async_context(AsyncClient(address))
            found = await client.list_voices()
        ordered = sorted(found, key=lambda voice: (voice.name != found.default_voice, voice.name))
        if as_json:
            typer.echo(json.dumps([asdict(voice) for voice in ordered], indent=2))
            return
        for voice in ordered:
            said = [f"speaker {voice.speaker}"]
            if voice.prompt_segments:
                said.append(f"{voice.prompt_segments} prompt segments")
            if voice.name == found.default_voice:
                said.append("default")
            about = f": {voice.description}" if voice.description else ""
            typer.echo(f"{voice.name:<16} {', '.join(said)}{about}")

    asyncio.run(life())
