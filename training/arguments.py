"""Command lines of the stages: every field of a stage's settings is an option."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

WORK = Path("build/pico")
"""Where the stages of pico work, from the repository's root."""

Settings = TypeVar("Settings")


def parser(stage: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with what every stage takes: `--work`."""
    made = argparse.ArgumentParser(prog=f"python -m training.{stage}", description=description)
    made.add_argument("--work", type=Path, default=WORK, help=f"work directory ({WORK})")
    return made


def add_training(made: argparse.ArgumentParser, settings: type[Any]) -> None:
    """Add what a training takes: the device, threads, and all fields of `settings`."""
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    made.add_argument("--most-steps", type=int, help="stop after so many steps, all runs together")
    for field in fields(settings):
        option = "--" + field.name.replace("_", "-")
        made.add_argument(option, type=type(field.default), default=field.default)


def settings_of(given: argparse.Namespace, settings: type[Settings]) -> Settings:
    """The settings that a command line asks for."""
    return settings(**{f.name: getattr(given, f.name) for f in fields(settings)})  # type: ignore[arg-type]
