"""`csm text`: what would be spoken of a text, without speaking it."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from csm.cli import connecting, options
from csm.cli.reporting import CommandError
from csm.cli.standard_input import read_text

if TYPE_CHECKING:
    from csm.client.text import PreparedText, TextOptions

MAX_LINE_BYTES = 1 << 20
_PANEL = "What is done to the text"

NoNormalize = Annotated[
    bool,
    typer.Option(
        "--no-normalize", help="Leave numbers, units and signs as they are.", rich_help_panel=_PANEL
    ),
]
Language = Annotated[
    str,
    typer.Option(
        help="BCP 47, e.g. en or de. Default: the voice's, else English.", rich_help_panel=_PANEL
    ),
]
MarkupOption = Annotated[
    str | None,
    typer.Option(
        "--markup",
        help="SSML, HTML, Markdown: strip, obey or off. Default: the server's, which is obey.",
        rich_help_panel=_PANEL,
    ),
]
LexiconOption = Annotated[
    Path | None,
    typer.Option(
        "--lexicon",
        help="A file of words and how they are said: WORD, a tab, SPELLING, one a line.",
        rich_help_panel=_PANEL,
    ),
]


@connecting.takes_server(options.GATEWAY)
def text(
    given: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="The text; - reads it from standard input."),
    ] = None,
    server: connecting.ServerChoice = connecting.HERE,
    voice: Annotated[str, typer.Option(help="The voice whose lexicon holds (--server).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on standard output.")] = False,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="Read a JSON value a line (a text, or a list of its parts as they arrive) and "
            "print a JSON object a line.",
        ),
    ] = False,
    no_normalize: NoNormalize = False,
    language: Language = "",
    markup: MarkupOption = None,
    lexicon: LexiconOption = None,
    model: options.Model = None,
) -> None:
    """Show a text as it would be spoken: spoken form, sentences, positions, seconds, warnings."""
    if jsonl == (given is not None):
        raise CommandError("text: give a TEXT, or --jsonl and the texts on standard input")
    chosen = server.or_here(model=model)
    wanted = text_options(no_normalize, language, markup, lexicon)
    with contextlib.ExitStack() as stack:
        prepare: Callable[[list[str]], PreparedText]
        if chosen.target is None:
            from csm.cli.local_text import LocalText

            prepare = LocalText(model, wanted).prepare
        else:
            client = stack.enter_context(chosen.blocking_client())

            def prepare(parts: list[str]) -> "PreparedText":
                return client.prepare_text("".join(parts), voice=voice, text_options=wanted)

        if jsonl:
            for parts in _lines():
                _print_line(prepare(parts))
        else:
            _show(prepare([read_text() if given == "-" else given or ""]), as_json)


def text_options(
    no_normalize: bool, language: str, markup: str | None, lexicon: Path | None
) -> "TextOptions":
    """The options of the command line as the client's."""
    from csm.client.text import TextOptions
    from csm.lexicon_file import read_lexicon

    wanted = TextOptions(
        normalize=False if no_normalize else None,
        language=language,
        markup=markup,  # type: ignore[arg-type]
        lexicon=read_lexicon(lexicon) if lexicon else {},
    )
    wanted.to_proto()  # says what is wrong with them
    return wanted


def _lines() -> Iterator[list[str]]:
    """The parts of each text that comes, a JSON value a line."""
    number = 0
    while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise CommandError(f"line {number}: more than {MAX_LINE_BYTES} bytes")
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise CommandError(f"line {number}: is no JSON value: {error}") from None
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise CommandError(
                f"line {number}: is {type(value).__name__}; allowed are a string and a list of "
                "strings"
            )
        yield parts


def _object(prepared: "PreparedText") -> dict[str, Any]:
    return {
        "spoken_form": prepared.spoken_form,
        "sentences": [sentence.text for sentence in prepared.sentences],
        "warnings": [asdict(warning) for warning in prepared.warnings],
        "expected_ms": prepared.expected_ms,
        "details": [asdict(sentence) for sentence in prepared.sentences],
    }


def _print_line(prepared: "PreparedText") -> None:
    sys.stdout.write(json.dumps(_object(prepared), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _show(prepared: "PreparedText", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_object(prepared), indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Words are shown as they are, brackets and all.
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name, justify in (("chars", "right"), ("pause", "right"), ("expected", "right"),
                          ("positions", "right"), ("as written, as spoken", "left")):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for one in prepared.sentences:
        pause = f"{one.pause_before_ms} ms" if one.pause_before_ms else ""
        table.add_row(
            f"{one.first_char}-{one.end_char}",
            pause,
            f"{one.expected_ms / 1000:.1f} s",
            str(one.positions),
            Text(one.text),
        )
        if one.spoken_form != one.text:
            table.add_row("", "", "", "", Text(one.spoken_form, style="bold"))
    console.print(table)
    console.print(f"about {prepared.expected_ms / 1000:.1f} s in all")
    for warning in prepared.warnings:
        where = f"characters {warning.first_char}..{warning.end_char}"
        console.print(f"warning: {where}: {warning.description}", style="yellow")
