"""A file of words and how they are said: an operator's, or one given on the command line."""

from pathlib import Path

MAX_FILE_BYTES = 1 << 20
MAX_ENTRIES = 20_000
"""Of an operator's file; what a request brings is bounded by its message."""
MAX_ENTRY_CHARS = 500
"""Of a word, and of its spelling."""


class LexiconError(ValueError):
    """A lexicon cannot be used; where it is a file's, the message names the file and the line."""


def read_lexicon(path: Path) -> dict[str, str]:
    """The entries of a file of lines `word<TAB>spelling`, in UTF-8; `#` begins a comment's line.

    Raises:
        LexiconError: it is not there, too large, or a line is none of these.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise LexiconError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise LexiconError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    entries: dict[str, str] = {}
    for number, raw in enumerate(content.split(b"\n"), start=1):
        where = f"{path}, line {number}"
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
        except UnicodeDecodeError:
            raise LexiconError(f"{where}: not UTF-8") from None
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, _, spelling = (part.strip() for part in line.partition("\t"))
        if not word or "\t" not in line or "\t" in spelling:
            raise LexiconError(f"{where}: expected word<TAB>spelling")
        if max(len(word), len(spelling)) > MAX_ENTRY_CHARS:
            raise LexiconError(
                f"{where}: a word or spelling of more than {MAX_ENTRY_CHARS} characters"
            )
        if word not in entries and len(entries) >= MAX_ENTRIES:
            raise LexiconError(f"{where}: more than {MAX_ENTRIES} entries")
        entries[word] = spelling
    return entries
