"""Whoever waits for a compiler hears of it: by the log, a line, or a spinner."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from services.native import progress


class Terminal(io.StringIO):
    """Standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that set up none, as `csm speak` does not; pytest has some of its own."""
    monkeypatch.setattr(progress, "_has_logs", lambda: False)


@pytest.mark.usefixtures("no_logs")
def test_without_logs_and_terminal_two_lines_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.compiling("it"):
        told = capsys.readouterr().err
    assert told == "compiling it, once; it takes about a minute\n"
    assert capsys.readouterr().err.startswith("compiled it in 0.")


@pytest.mark.usefixtures("no_logs")
def test_on_a_terminal_something_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.compiling("it"):
        # What rich spins takes the place of standard error: the next line goes above it.
        assert hasattr(sys.stderr, "rich_proxied_file")
        with progress.compiling("another"):
            pass
    assert sys.stderr is terminal
    shown = terminal.getvalue()
    assert "\x1b[" in shown
    for line in ("compiling it, once", "compiling another, once", "compiled another in 0."):
        assert line in shown


@pytest.mark.usefixtures("no_logs")
def test_without_rich_the_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with progress.compiling("it"):
        pass
    assert terminal.getvalue().startswith("compiling it, once; it takes about a minute\ncompiled")


def test_where_there_are_logs_they_tell(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO), progress.compiling("it"):
        pass
    assert caplog.messages[0] == "compiling it, once; it takes about a minute"
    assert len(caplog.messages) == 2
    assert capsys.readouterr().err == ""


def test_what_failed_is_not_said_to_be_compiled(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(ValueError, match="no"),
        progress.compiling("it"),
    ):
        raise ValueError("no")
    assert len(caplog.messages) == 1
