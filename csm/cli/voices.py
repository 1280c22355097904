"""`csm voices`: which voices there are, and what is known of one."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from csm.cli import connecting, options, voice_making

if TYPE_CHECKING:
    from csm.client import Voice, VoiceDetails

AsJson = Annotated[bool, typer.Option("--json", help="As JSON on standard output.")]
Name = Annotated[str, typer.Argument(help="The voice, by name or alias.")]

app = typer.Typer(no_args_is_help=True, help="Look at voices, make them, try them.")


@app.callback()
def root() -> None:
    """Look at voices, make them, try them."""


@app.command("list")
@connecting.takes_server(options.GATEWAY)
def list_voices(
    server: connecting.ServerChoice = connecting.HERE,
    name: Annotated[str, typer.Option(help="Only voices with this in a name or alias.")] = "",
    language: Annotated[str, typer.Option(help="Only voices of this language, BCP 47.")] = "",
    as_json: AsJson = False,
    model: options.Model = None,
    voices: options.Voices = None,
) -> None:
    """Name the voices that `csm speak --voice` takes, the default first.

    Those of the server named, else those of the model and of the directory of voices given here.
    """
    chosen = server.or_here(model=model, voices=voices)

    async def life() -> None:
        async with voice_making.connected(chosen, model, voices) as client:
            found = await client.list_voices(name_contains=name, language=language)
        ordered = sorted(found, key=lambda voice: (voice.name != found.default_voice, voice.name))
        if as_json:
            typer.echo(json.dumps([asdict(voice) for voice in ordered], indent=2))
            return
        for voice in ordered:
            typer.echo(_line(voice, voice.name == found.default_voice))

    asyncio.run(life())


@app.command("show")
@connecting.takes_server(options.GATEWAY)
def show(
    name: Name,
    server: connecting.ServerChoice = connecting.HERE,
    as_json: AsJson = False,
    model: options.Model = None,
    voices: options.Voices = None,
) -> None:
    """Say all that is known of a voice: its recordings and how good they are, who allowed it."""
    chosen = server.or_here(model=model, voices=voices)

    async def life() -> None:
        async with voice_making.connected(chosen, model, voices) as client:
            details = await client.get_voice(name)
        if as_json:
            typer.echo(json.dumps(asdict(details), indent=2))
            return
        for line in _lines(details):
            typer.echo(line)

    asyncio.run(life())


def _line(voice: "Voice", default: bool) -> str:
    said = [f"speaker {voice.speaker}"]
    if voice.prompt_segments:
        said.append(f"{voice.prompt_segments} prompt segments")
    if voice.language:
        said.append(voice.language)
    if voice.aliases:
        said.append(f"also {', '.join(voice.aliases)}")
    if default:
        said.append("default")
    about = f": {voice.description}" if voice.description else ""
    return f"{voice.name:<16} {', '.join(said)}{about}"


def _lines(details: "VoiceDetails") -> list[str]:
    import datetime

    voice = details.voice
    sampling = {k: v for k, v in asdict(voice.sampling).items() if v is not None}
    changed = ""
    if voice.updated_unix_s:
        when = datetime.datetime.fromtimestamp(voice.updated_unix_s, datetime.UTC)
        changed = when.isoformat(timespec="seconds")
    consent = details.consent
    figures = {
        "speaker": str(voice.speaker),
        "source": voice.source,
        "description": voice.description,
        "language": voice.language,
        "aliases": ", ".join(voice.aliases),
        "sampling": ", ".join(f"{name} {value:g}" for name, value in sampling.items()),
        "changed": changed,
        "consent": "" if consent is None else f"{consent.given_by}: {consent.statement}",
    }
    lines = [voice.name, *(f"  {name:<12} {value}" for name, value in figures.items() if value)]
    return lines + voice_making.report_lines(details)


app.command("add")(voice_making.add)
app.command("test")(voice_making.try_voice)
app.command("remove")(voice_making.remove)
