"""`csm chat`: a conversation in the terminal."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from csm.cli import connecting, options

_MODEL = "Who answers"


@connecting.takes_server(options.GATEWAY)
def chat(
    server: connecting.ServerChoice = connecting.HERE,
    voice: Annotated[str, typer.Option(help="The voice, by name.")] = "",
    llm: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="An OpenAI-compatible endpoint that answers, e.g. http://127.0.0.1:11434/v1; its "
            "key is that of OPENAI_API_KEY. Default: what you type is spoken.",
            rich_help_panel=_MODEL,
        ),
    ] = "",
    llm_model: Annotated[
        str,
        typer.Option(help="Its model; default: the first it lists.", rich_help_panel=_MODEL),
    ] = "",
    system: Annotated[
        str, typer.Option(help="What it is told of its part.", rich_help_panel=_MODEL)
    ] = "You are heard, not read: answer in a few short spoken sentences.",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A WAV that keeps all that is spoken."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Play nothing; with --output.")] = False,
    model: options.Model = None,
    voices: options.Voices = None,
) -> None:
    """Talk with a voice: type a line, hear it spoken, or with --llm hear the answer.

    Ctrl-C interrupts who speaks, and what was heard stays in the conversation; at an empty prompt
    it ends the talk, as the end of the input (Ctrl-D) does.
    """
    import contextlib
    import sys

    from csm.cli.loudspeaker import Loudspeaker, problem
    from csm.cli.place import check_writable
    from csm.cli.reporting import CommandError

    chosen = server.or_here(model=model, voices=voices)
    if quiet and output is None:
        raise CommandError("--quiet without --output: nothing would be heard or kept")
    if output is not None:
        check_writable(output)
        if output.suffix.lower() != ".wav":
            raise CommandError(f"{output}: the suffix is not .wav")
    elif reason := problem():
        raise CommandError(f"no sound here: {reason}; or keep the speech with --output FILE.wav")
    audible = not quiet and not problem()

    async def life() -> None:
        from csm.audio.wav import WavStream
        from csm.cli.talk import Lines, Talk
        from csm.cli.voice_making import connected
        from csm.language_model import LanguageModel

        answers = LanguageModel(llm, llm_model, system=system).answer if llm else None
        async with contextlib.AsyncExitStack() as stack:
            loudspeaker = stack.enter_context(Loudspeaker()) if audible else None
            client = await stack.enter_async_context(connected(chosen, model, voices))
            conversation = await stack.enter_async_context(
                client.converse(voice=voice, max_lead_ms=500 if audible else 0)
            )
            started = conversation.started
            file = stack.enter_context(WavStream(output, started.format)) if output else None
            typer.echo(f"conversation {started.conversation_id}, voice {started.voice}", err=True)
            most = (await client.server_info()).max_text_chars
            talk = Talk(conversation, loudspeaker, file, answers, most)
            with talk.interruptible():
                async for line in Lines(sys.stdin, talk.stopped):
                    await talk.turn(line)
            if talk.num_failed and not talk.num_spoken:
                raise typer.Exit(1)

    asyncio.run(life())
