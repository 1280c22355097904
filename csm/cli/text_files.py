"""Texts that `csm speak` takes from files or a folder of them, and where their speech goes."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from csm.cli.options import TELEPHONE_SUFFIXES, Container
from csm.cli.place import STANDARD_OUTPUT, whole_file
from csm.cli.reporting import CommandError
from csm.cli.standard_input import MOST_BYTES, read_text

TEXT_SUFFIXES = (".txt", ".md", ".ssml")
DEFAULT_OUTPUT = Path("speech.wav")


@dataclass(frozen=True)
class TextFile:
    """A text and where its speech is to be."""

    name: str
    """For people; empty: the text was typed."""
    text: str
    output: Path | None
    """None: it is only played."""
    in_folder: bool = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path | None]:
        """Where to write: of a folder's files a new one, put in place when it is whole, so that
        what was begun and not ended is not taken for done later."""
        if self.in_folder and self.output is not None:
            with whole_file(self.output, self.output.suffix) as part:
                yield part
        else:
            yield self.output


def is_folder(text: str, output: Path | None) -> bool:
    """Whether a folder of texts is meant: there is one, and the output is none file."""
    folder = Path(text)
    if len(text) > 1024 or "\n" in text or not folder.is_dir():
        return False
    if output is not None and output != STANDARD_OUTPUT and not _is_audio(output):
        return True
    if "/" in text:
        raise CommandError(f"{text}: is a folder; say --output FOLDER for its speech")
    return False


def read_one(text: str, output: Path | None, play: bool) -> TextFile:
    """The text itself, of standard input (-), or of the file that it names."""
    path = Path(text)
    if text == "-":
        name, said = "standard input", read_text().strip()
    elif len(text) <= 1024 and path.suffix.lower() in TEXT_SUFFIXES and path.is_file():
        name, said = text, _read(path)
        output = output or (None if play else path.with_suffix(".wav"))
    elif path.suffix.lower() in TEXT_SUFFIXES and not any(map(str.isspace, text)):
        # A slip of the fingers, which would be spoken otherwise.
        raise CommandError(f"{text}: no such file; to have the name itself spoken, give it by -")
    else:
        name, said = "", text
    return TextFile(name, said, output or (None if play else DEFAULT_OUTPUT))


def read_folder(
    folder: Path, output: Path, container: Container | None, again: bool
) -> tuple[list[TextFile], list[str]]:
    """The texts of a folder in order of name, and a line about each file that is skipped.

    Skipped are files that are no texts, and, unless `again`, texts whose speech is there and newer.
    Their text is read when it is their turn, so `text` is empty.
    """
    output.mkdir(exist_ok=True)
    suffix = f".{(container or Container.WAV).value}"
    files: list[TextFile] = []
    skipped: list[str] = []
    for path in sorted(one for one in folder.iterdir() if one.is_file()):
        target = output / f"{path.stem}{suffix}"
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in TEXT_SUFFIXES:
            skipped.append(f"{path}: is none of {', '.join(TEXT_SUFFIXES)}")
        elif target in [one.output for one in files]:
            skipped.append(f"{path}: {target} is that of another text")
        elif not again and target.exists() and _is_newer(target, path):
            skipped.append(f"{path}: {target} is there and newer; --again speaks it anew")
        else:
            files.append(TextFile(str(path), "", target, in_folder=True))
    return files, skipped


def text_of(file: TextFile) -> str:
    """The text to speak; raises `CommandError` where there is none."""
    text = _read(Path(file.name)) if file.in_folder else file.text
    if file.name and not text:
        raise CommandError(f"{file.name}: is empty")
    return text


def _is_newer(one: Path, other: Path) -> bool:
    return one.stat().st_mtime_ns >= other.stat().st_mtime_ns


def _is_audio(path: Path) -> bool:
    suffix = path.suffix.lower()
    known = suffix in TELEPHONE_SUFFIXES or suffix.removeprefix(".") in list(Container)
    return not path.is_dir() and known


def _read(path: Path) -> str:
    with path.open("rb") as file:
        given = file.read(MOST_BYTES + 1)
    if len(given) > MOST_BYTES:
        raise CommandError(f"{path}: has more than {MOST_BYTES} bytes; say it in parts")
    try:
        return given.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: is not UTF-8 (byte {error.start}); convert it first") from None
