"""What the documents name is there: links, files, commands, options, settings; examples run."""

import asyncio
import fnmatch
import functools
import importlib.util
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from csm.cli.main import app
from csm.serving.settings import ServiceSettings
from gateway.settings import GatewaySettings
from services.generator.settings import GeneratorSettings
from services.tokenizer.settings import TokenizerSettings
from tests.csm.fake_speech import FakeSpeech, serving

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = {"build", "dist", "node_modules", "__pycache__"}
SOURCE = (".py", ".cpp", ".hpp", ".proto", ".sh", ".mjs", ".mk")
PACKAGES = ("csm", "services", "gateway", "training", "benchmarks")
# Made by a command that the document tells of, and not kept.
MADE = ("training/paused",)
# Of other packages.
THEIRS = ("google/rpc/status.proto",)
SETTINGS: tuple[type[ServiceSettings], ...] = (
    GatewaySettings,
    GeneratorSettings,
    TokenizerSettings,
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^\n?(?:    .+\n)+)", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@functools.cache
def files() -> tuple[str, ...]:
    """Paths of all files of the repository, relative to it."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [n for n in folders if n not in NOT_OURS and not n.startswith(".")]
        place = Path(folder).relative_to(ROOT)
        found += [(place / name).as_posix() for name in names]
    return tuple(sorted(found))


@functools.cache
def folders() -> frozenset[str]:
    """Paths of all folders that hold a file, relative to the repository."""
    return frozenset(p.as_posix() for name in files() for p in Path(name).parents) - {"."}


DOCUMENTS = [name for name in files() if name.endswith(".md")]
every_document = pytest.mark.parametrize("document", DOCUMENTS)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def prose_of(document: str) -> str:
    return FENCE.sub("", text_of(document))


def commands_of(document: str) -> Iterator[str]:
    """Lines of the document's code blocks, continued ones joined, and its inline code."""
    text = text_of(document)
    blocks = [block for language, block in FENCE.findall(text) if language != "python"]
    for block in [*blocks, *INDENTED.findall(FENCE.sub("", text))]:
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    yield from INLINE.findall(prose_of(document))


def words_of(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation that goes over several lines
        return line.split()


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def is_there(path: str) -> bool:
    """Whether a file or folder has that path, in the repository or behind some folder of it."""
    path = path.rstrip("/").removeprefix("./")
    return any(
        fnmatch.fnmatch(name, pattern)
        for pattern in (path, f"*/{path}")
        for name in (*files(), *folders())
    )


@every_document
def test_every_relative_link_leads_somewhere(document: str) -> None:
    broken = []
    for target in LINK.findall(prose_of(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if anchor else []
        if not file.exists() or (anchor and anchor not in map(slug, headings)):
            broken.append(target)
    assert not broken, f"{document}: links that lead nowhere: {broken}"


@every_document
def test_every_file_that_is_named_exists(document: str) -> None:
    tops = {name.split("/")[0] for name in folders()}
    missing = []
    for token in INLINE.findall(prose_of(document)):
        if not re.fullmatch(r"[\w.*/-]+", token) or token.startswith("/"):
            continue
        ours = "/" in token and token.split("/")[0] in tops
        if (ours or token.endswith(SOURCE) or token.startswith("source/")) and not (
            token in THEIRS or token.startswith(MADE) or is_there(token)
        ):
            missing.append(token)
    assert not missing, f"{document}: names what is not there: {missing}"


@every_document
def test_every_module_that_is_named_exists(document: str) -> None:
    missing = []
    for line in commands_of(document):
        for module in re.findall(r"python3? -m ([\w.]+)", line):
            spec = importlib.util.find_spec(module)
            if spec is None:
                missing.append(module)
            elif module.split(".")[0] in PACKAGES and spec.origin:
                origin = Path(spec.origin)
                if spec.submodule_search_locations is not None:
                    runs = origin.with_name("__main__.py").exists()
                else:
                    runs = '__name__ == "__main__"' in origin.read_text()
                missing += [] if runs else [f"{module} (cannot be run)"]
    for dotted in INLINE.findall(prose_of(document)):
        if re.fullmatch(rf"({'|'.join(PACKAGES[1:])})(\.\w+)+", dotted) and not is_there(dotted):
            place = ROOT.joinpath(*dotted.split("."))
            inside = place.parent.with_suffix(".py")
            named = inside.exists() and re.search(rf"\b{place.name}\b", inside.read_text())
            if not (place.is_dir() or place.with_suffix(".py").exists() or named):
                missing.append(dotted)
    assert not missing, f"{document}: no such module: {missing}"


@every_document
def test_every_command_of_csm_and_its_options_exist(document: str) -> None:
    wrong = []
    for line in commands_of(document):
        words = words_of(line)
        if words[:1] != ["csm"]:
            continue
        command: Any = typer.main.get_command(app)
        rest = words[1:]
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            found = command.commands.get(rest[0])
            if found is None:
                wrong.append(line)
                break
            command, rest = found, rest[1:]
        else:
            known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            known |= {"--help", "-h"}
            options = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
            wrong += [f"{line}: {option}" for option in options if option not in known]
    assert not wrong, f"{document}: no such command or option: {wrong}"


@every_document
def test_every_make_target_and_variable_exists(document: str) -> None:
    makefiles = "".join((ROOT / name).read_text() for name in ("Makefile", "deploy/containers.mk"))
    targets = set(re.findall(r"^([a-z-]+)\s*:(?!=)", makefiles, re.MULTILINE))
    wrong = []
    for line in commands_of(document):
        for part in re.split(r"&&|;", line):
            words = words_of(part)
            if words[:1] != ["make"]:
                continue
            for word in words[1:]:
                variable = re.match(r"([A-Z_]+)=", word)
                if variable:
                    ok = re.search(rf"\b{variable[1]}\b", makefiles) is not None
                else:
                    ok = word in targets or word == "|"
                wrong += [] if ok else [f"{part.strip()}: {word}"]
    assert not wrong, f"{document}: no such target or variable: {wrong}"


@every_document
def test_every_setting_that_is_named_exists(document: str) -> None:
    known = {
        f"{cls.model_config['env_prefix']}{name.upper()}"
        for cls in SETTINGS
        for name in cls.model_fields
    }
    prefixes = {str(cls.model_config["env_prefix"]) for cls in SETTINGS}
    deploy = "".join((ROOT / n).read_text() for n in files() if n.startswith("deploy/"))
    source = "".join((ROOT / n).read_text() for n in files() if n.endswith(".py"))
    wrong = []
    for name in re.findall(r"\bCSM_[A-Z_]*[A-Z]\b(?![_<])", text_of(document)):
        is_service = any(name.startswith(prefix) for prefix in prefixes)
        where = deploy if is_service else deploy + source
        if name not in known and not re.search(rf"\b{name}\b", where):
            wrong.append(name)
    assert not wrong, f"{document}: no such setting: {wrong}"


def test_the_index_leads_to_every_page() -> None:
    linked = {target.partition("#")[0] for target in LINK.findall(text_of("docs/README.md"))}
    pages = {
        Path(name).relative_to("docs").as_posix()
        for name in DOCUMENTS
        if name.startswith("docs/") and name != "docs/README.md"
    }
    pages = {name for name in pages if not name.startswith("runbooks/")} | {"runbooks/README.md"}
    assert pages <= linked, f"docs/README.md: leads nowhere to {sorted(pages - linked)}"


def test_the_checks_see_what_is_wrong() -> None:
    assert is_there("csm/errors.py")
    assert is_there("source/windows.*")
    assert not is_there("csm/no_such_file.py")
    assert slug('Floors, and "how near"') == "floors-and-how-near"


SPEAKER = """
import pathlib

class OutputStream:
    def __init__(self, rate, channels):
        assert (rate, channels) == (24_000, 1)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def write(self, samples):
        assert samples.dtype == "float32" and samples.ndim == 1
        with pathlib.Path("played").open("a") as file:
            file.write(f"{len(samples)}\\n")
"""
"""A `sounddevice` that needs no loudspeaker: it notes how much it was given to play."""


async def run_example(source: str, target: str, folder: Path, typed: bytes) -> str:
    """Runs the example beside the fake speaker, `typed` at its terminal; gives what it printed."""
    (folder / "sounddevice.py").write_text(SPEAKER)
    assert "127.0.0.1:50050" in source
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        source.replace("127.0.0.1:50050", target),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    if typed:
        process.stdin.write(typed)
    # The terminal stays open: its end would read like a key.
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        out, err = await asyncio.wait_for(
            asyncio.gather(process.stdout.read(), process.stderr.read()), 60
        )
    except TimeoutError:
        process.kill()
        raise
    finally:
        process.stdin.close()
        code = await process.wait()
    assert code == 0, err.decode()
    return out.decode()


def examples() -> list[str]:
    return [block for language, block in FENCE.findall(text_of("README.md")) if language]


def example(kind: str) -> str:
    (found,) = (b for b in examples() if b.startswith("import ") and kind in b)
    return found


async def test_the_first_example_of_the_readme_plays_all_audio(tmp_path: Path) -> None:
    async with serving(FakeSpeech()) as target:
        await run_example(example("with Client"), target, tmp_path, b"")
    assert (tmp_path / "played").read_text().split() == ["1920", "1920"]


async def test_the_conversation_of_the_readme_plays_to_the_end_of_the_turn(tmp_path: Path) -> None:
    async with serving(FakeSpeech()) as target:
        printed = await run_example(example("AsyncClient"), target, tmp_path, b"")
    assert (tmp_path / "played").read_text().split() == ["1920"]
    assert "eos" in printed.lower()


async def test_the_conversation_of_the_readme_stops_when_enter_is_pressed(tmp_path: Path) -> None:
    # The fake ends a turn with dots in it only when it is cancelled.
    source = example("AsyncClient").replace("a long one.", "a long one...")
    async with serving(FakeSpeech()) as target:
        printed = await run_example(source, target, tmp_path, b"\n")
    assert not (tmp_path / "played").exists()
    assert "cancelled 0 ms kept" in printed.lower()
