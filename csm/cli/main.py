"""The `csm` command. Each command imports what it needs when it runs, so `--help` is instant."""

import sys
from typing import Annotated

import typer

import csm
from csm.cli import (
    bench,
    certs,
    chat,
    codes,
    generate,
    models,
    play,
    probe,
    serve,
    speak,
    text,
    tokens,
    voices,
    watermark,
)
from csm.cli.reporting import ReportingGroup
from csm.serving.process.exit import end_process
from csm.serving.process.heap import collect_seldom

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Speech from text and the conversation so far, with Sesame's CSM.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"csm {csm.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""
    collect_seldom()


app.command("speak")(speak.speak)
app.command("play")(play.play)
app.command("chat")(chat.chat)
app.command("text")(text.text)
app.command("serve")(serve.serve)
app.command("probe")(probe.probe)
app.command("generate")(generate.generate)
app.command("encode")(codes.encode)
app.command("decode")(codes.decode)
app.add_typer(models.app, name="models")
app.add_typer(voices.app, name="voices")
app.add_typer(tokens.app, name="tokens")
app.add_typer(watermark.app, name="watermark")
app.add_typer(bench.app, name="bench")
app.add_typer(certs.app, name="certs")


def main() -> None:
    """The command `csm`, to the end of the process."""
    try:
        app()
    except SystemExit as end:
        # What ran a server or a client is not left to the interpreter's own end (`exit`).
        if "grpc" in sys.modules and isinstance(end.code, int | None):
            end_process(end.code or 0)
        raise


if __name__ == "__main__":
    main()
