"""What the user sees: progress and results on standard error, mistakes as one line each."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

DEBUG_VARIABLE = "CSM_DEBUG"
INTERRUPTED = 130
# What an installation may go without, and the extra that brings it.
_EXTRA_OF = {
    "soundfile": "audio",
    "soxr": "audio",
    "safetensors": "cli",
    "cryptography": "identity",
    "sounddevice": "play",
    "grpc_health": "serving",
    "grpc_reflection": "serving",
    "grpc_status": "serving",
    "prometheus_client": "serving",
    "pydantic": "serving",
    "pydantic_settings": "serving",
    "torch": "models",
    "tokenizers": "models",
    "huggingface_hub": "models",
}
# What only a clone of the repository has.
_OF_THE_CLONE = ("services", "gateway", "benchmarks")


class CommandError(Exception):
    """A mistake of the user's, said in one line: what, its value, and what is allowed."""


class ReportingGroup(TyperGroup):
    """The root of the commands: mistakes become one line and exit code 1, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            message = describe(error)
            if message is None or os.environ.get(DEBUG_VARIABLE):
                raise
            _say(message)
            raise typer.Exit(1) from None


def describe(error: BaseException) -> str | None:
    """The line for a mistake of the user's or of the surroundings; None for a fault of ours."""
    # Imported here: it brings grpc, which `--help` does not need.
    from csm.errors import ServiceError

    if isinstance(error, BrokenPipeError):
        return "the reader of the output has gone"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, ModuleNotFoundError):
        return _missing((error.name or "").partition(".")[0])
    # Errors of the model and the codec about files are ValueErrors with a whole sentence.
    if isinstance(error, CommandError | ServiceError | ValueError):
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _missing(package: str) -> str | None:
    if package in _OF_THE_CLONE:
        return (
            "the server is not part of this package: run this command in a clone of the "
            "repository (`make serve`) or use the images that it builds (deploy/); here, speak, "
            "encode and decode take --server HOST:PORT"
        )
    if extra := _EXTRA_OF.get(package):
        return f"the package {package!r} is missing; install csm-server[{extra}]"
    return None


def _say(message: str) -> None:
    print(f"csm: {message}", file=sys.stderr)


def warn(message: str) -> None:
    """A line about something that is no failure."""
    console().print(f"csm: warning: {message}", soft_wrap=True)


def console() -> "Console":
    """The console on standard error, so that standard output stays for results."""
    from rich.console import Console

    # No markup: names of files are shown as they are, brackets and all.
    return Console(stderr=True, highlight=False, markup=False)


@contextlib.contextmanager
def status(message: str) -> Iterator[None]:
    """A spinner beside `message` while the body runs."""
    from rich.text import Text

    with console().status(Text(message)):
        yield


@contextlib.contextmanager
def audio_progress(message: str, total_s: float | None) -> Iterator["AudioProgress"]:
    """A bar that counts seconds of audio; `total_s` None where the end is not known."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.1f} s of audio"),
        TimeElapsedColumn(),
        console=console(),
        transient=True,
    ) as progress:
        yield AudioProgress(progress, progress.add_task(message, total=total_s))


@contextlib.contextmanager
def text_progress(message: str, total_chars: int | None) -> Iterator["TextProgress"]:
    """A bar that fills with the characters of a text as they are spoken, and counts seconds of
    audio; `total_chars` None where there is no text."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[audio_s]:.1f} s of audio"),
        TimeElapsedColumn(),
        console=console(),
        transient=True,
    ) as progress:
        yield TextProgress(progress, progress.add_task(message, total=total_chars, audio_s=0.0))


class TextProgress:
    """One bar of characters and the seconds of audio that they took."""

    def __init__(self, progress: "Progress", task: Any) -> None:
        self._progress, self._task = progress, task
        self._audio_s = 0.0

    def add(self, seconds: float, done_chars: int) -> None:
        """So many further seconds are there; so many characters of the whole are spoken."""
        self._audio_s += seconds
        self._progress.update(self._task, completed=done_chars, audio_s=self._audio_s)


class AudioProgress:
    """One bar of seconds of audio."""

    def __init__(self, progress: "Progress", task: Any) -> None:
        self._progress, self._task = progress, task

    def add(self, seconds: float) -> None:
        """So many further seconds are done."""
        self._progress.update(self._task, advance=seconds)


def print_figures(title: str, figures: dict[str, str]) -> None:
    """A small table of names and values on standard error."""
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left", box=None)
    table.add_column()
    # Folded, not cut: a digest or a path is of use only whole.
    table.add_column(overflow="fold")
    for name, value in figures.items():
        table.add_row(name, value)
    console().print(table)
