"""Who answers in the examples: a script, or any OpenAI-compatible language model by its URL."""

import argparse
import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from csm.language_model import LanguageModel

Answers = Callable[[str], Iterator[str]]
"""What is said to somebody's words, in parts as they come."""

SCRIPT = (
    "Of course. The station is not far from here.",
    "Walk down to the river and turn left. You cannot miss it.",
    "You are welcome. Have a good journey.",
)
SYSTEM = "You are heard, not read: answer in one or two short spoken sentences."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say who answers."""
    group = parser.add_argument_group("who answers (default: a short script)")
    group.add_argument("--llm", metavar="URL", help="e.g. http://127.0.0.1:11434/v1")
    group.add_argument("--llm-model", default="", help="default: the first that is listed")
    group.add_argument("--system", default=SYSTEM, help="what the model is told of its part")
    group.add_argument("--script", type=Path, help="a file with an answer a line")


def answers(arguments: argparse.Namespace) -> Answers:
    """What the arguments ask for."""
    if arguments.llm:
        return LanguageModel(arguments.llm, arguments.llm_model, system=arguments.system).answer
    lines = arguments.script.read_text("utf-8").splitlines() if arguments.script else SCRIPT
    script = itertools.cycle([line for line in lines if line.strip()])

    def answer(_: str) -> Iterator[str]:
        # A word at a time, as a model writes.
        for word in next(script).split():
            yield f"{word} "

    return answer


async def as_they_come(parts: Iterator[str]) -> AsyncIterator[str]:
    """The parts of an answer; waiting for the next one blocks nobody."""
    while part := await asyncio.to_thread(next, parts, ""):
        yield part
