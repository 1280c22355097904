"""Reads the Dockerfile: the instructions of each stage, those of its ancestors first."""

import shlex

from tests.deploy.facts import DEPLOY

PATH = DEPLOY / "docker" / "Dockerfile"

Instruction = tuple[str, str]


def stages() -> dict[str, list[Instruction]]:
    """Stage name -> (keyword, rest) in the order in which a build runs them."""
    text = "\n".join(
        line for line in PATH.read_text().splitlines() if not line.lstrip().startswith("#")
    ).replace("\\\n", " ")
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            parent, _, name = rest.partition(" AS ")
            current = found[name] = list(found.get(parent, ()))
        current.append((keyword, " ".join(rest.split())))
    return found


def environment(stage: str) -> dict[str, str]:
    """What ENV has set at the end of a stage."""
    values: dict[str, str] = {}
    for keyword, rest in stages()[stage]:
        if keyword == "ENV":
            values |= dict(one.split("=", 1) for one in shlex.split(rest))
    return values


def last(stage: str, wanted: str) -> str:
    """The instruction of that keyword which holds at the end of a stage."""
    return [rest for keyword, rest in stages()[stage] if keyword == wanted][-1]
