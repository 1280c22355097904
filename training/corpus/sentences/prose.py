"""Prose that Debian ships and that may be passed on, read into sentences.

WordNet's examples and glosses (WordNet licence), fortunes (BSD-like collection), the King James
Bible (public domain), the 1913 Webster's quotations and usage examples in GCIDE (GPL), the Jargon
File (public domain), the conversations of the game Endless Sky (GPL). What a package lacks is an
error that names the package.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from training.corpus.sentences.sentence import Sentence, is_sentence, split, tidy

_WORDNET = Path("/usr/share/wordnet")
_FORTUNES = Path("/usr/share/games/fortunes")
_DICTD = Path("/usr/share/dictd")
_BIBLE = "/usr/bin/bible"
_ENDLESS_SKY = Path("/usr/share/games/endless-sky/data")
WORD_LIST = Path("/usr/share/dict/american-english")

_SKIPPED_FORTUNES = {"ascii-art", "translate-me", "men-women", "drugs", "ethnic", "perl", "debian"}
_GLOSS = re.compile(r"^\d{8} \d\d [nvars] [0-9a-f]{2} (\S+) .*? \| (.*)$")


class MissingSourceError(ValueError):
    """A text is not on this machine; the message names the file and the package."""


def require(path: Path, package: str) -> Path:
    """Return `path` if it is there.

    Raises:
        MissingSourceError: it is not.
    """
    if not path.exists():
        raise MissingSourceError(f"{path}: no such file; `apt-get install {package}` brings it")
    return path


def _glosses() -> Iterator[tuple[str, str]]:
    """Yield each synset's first word and its gloss."""
    for part in ("noun", "verb", "adj", "adv"):
        path = require(_WORDNET / f"data.{part}", "wordnet-base")
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            if match := _GLOSS.match(line):
                yield re.sub(r"\(\w+\)$", "", match[1]).replace("_", " "), match[2]


def wordnet_examples() -> Iterator[str]:
    """Yield WordNet's example sentences and phrases."""
    for _, gloss in _glosses():
        for example in re.findall(r'"([^"]+)"', gloss):
            text = tidy(re.split(r"[-;] ?(?=[A-Z][\w. ]+$)", example)[0])
            if text.count(" ") < 1:
                continue
            if text[-1] not in ".!?":
                question = re.match(
                    r"(?:who|what|when|where|why|how|which|do|does|did|can|could|will|would|is|are|"
                    r"was|were|have|has|had|shall|should|may|isn't|don't|aren't|didn't|won't)\b",
                    text,
                    re.IGNORECASE,
                )
                text = text.rstrip(",;:") + ("?" if question and " " in text else ".")
            yield text[0].upper() + text[1:]


def wordnet_glosses() -> Iterator[str]:
    """Yield WordNet's definitions as sentences: "A toad is ...", rare words among them."""
    for word, gloss in _glosses():
        meaning = tidy(re.sub(r"\([^)]*\)", "", re.split(r'; ?"|"', gloss)[0]).split(";")[0])
        if not re.fullmatch(r"[a-z]+(?: [a-z]+)?", word) or not 2 <= meaning.count(" ") <= 18:
            continue
        if re.match(r"(?:a|an|the|any|some) ", meaning):
            article = "An" if word[0] in "aeiou" else "A"
            yield f"{article} {word} is {meaning}."
        elif re.match(r"of|in|having|not|with|being|very|so|relating", meaning):
            yield f"{word.capitalize()} means {meaning}."
        else:
            yield f"{word.capitalize()}, {meaning}."


def fortunes() -> Iterator[str]:
    """Yield the sentences of the fortune files, without their authors' names."""
    require(_FORTUNES / "fortunes", "fortunes")
    for path in sorted(_FORTUNES.iterdir()):
        if path.suffix or path.name in _SKIPPED_FORTUNES or not path.is_file():
            continue
        for entry in path.read_text(encoding="utf-8", errors="replace").split("\n%\n"):
            if re.search(r"\x08|^\s*\*|[|+]-|^\d+\.", entry, re.MULTILINE):
                continue
            body = re.split(r"\n?\s*--\s", entry)[0]
            speech = re.sub(r"^[A-Z][\w .]{0,20}:\s", "", body, flags=re.MULTILINE)
            yield from split(speech)


def bible() -> Iterator[str]:
    """Yield the sentences of the King James Bible."""
    require(Path(_BIBLE), "bible-kjv")
    run = subprocess.run(
        [_BIBLE, "-f", "Ge1:1-Re22:21"], capture_output=True, text=True, check=True
    )
    verses = re.sub(r"^\S+ ", "", run.stdout, flags=re.MULTILINE)
    for sentence in split(verses.replace("\n", " ")):
        # Long periods fall into their parts, each of which can stand alone.
        for part in re.split(r"(?<=[:;]) (?=\w)", sentence):
            text = part.rstrip(":;,")
            if text and text[-1] not in ".!?":
                text += "."
            if text.count(" ") >= 3:
                yield text[:1].upper() + text[1:]


def webster() -> Iterator[str]:
    """Yield the quotations and usage examples of the 1913 Webster in GCIDE."""
    text = gzip.decompress(require(_DICTD / "gcide.dict.dz", "dict-gcide").read_bytes()).decode(
        "utf-8", errors="replace"
    )
    quotation: list[str] = []
    deep = " " * 10
    for line in text.splitlines():
        # Quotations are set deep; their author follows two dashes, or stands on the next line.
        if not line.startswith(deep):
            quotation = []
            continue
        body, dashes, _ = line.partition("--")
        quotation.append(body.strip())
        if dashes:
            yield from split(" ".join(quotation))
            quotation = []


def jargon() -> Iterator[str]:
    """Yield the sentences of the Jargon File."""
    text = gzip.decompress(require(_DICTD / "jargon.dict.dz", "dict-jargon").read_bytes()).decode(
        "utf-8", errors="replace"
    )
    for paragraph in re.split(r"\n\s*\n", text)[20:]:
        if paragraph.startswith(" ") and "/" not in paragraph:
            body = re.sub(r"\{([^}]*)\}", r"\1", paragraph)
            yield from split(re.sub(r"^\s*(?:\d+\. )?(?:\[[^\]]*\] )?", "", body))


def endless_sky() -> Iterator[str]:
    """Yield the prose and the conversations of the game Endless Sky: modern spoken English."""
    for path in sorted(require(_ENDLESS_SKY, "endless-sky-data").glob("*.txt")):
        for quoted in re.findall(r"`([^`\n]{20,})`", path.read_text(encoding="utf-8")):
            yield from split(quoted.replace("_", " "))


_READERS: dict[str, tuple[Callable[[], Iterator[str]], bool]] = {
    "wordnet-examples": (wordnet_examples, False),
    "wordnet-glosses": (wordnet_glosses, False),
    "fortunes": (fortunes, True),
    "bible": (bible, False),
    "webster": (webster, True),
    "jargon": (jargon, True),
    "endless-sky": (endless_sky, True),
}
SOURCES = tuple(_READERS)


def read(source: str) -> list[Sentence]:
    """Return the candidates of one of `SOURCES`, in its order, doubles and unfit ones included.

    Raises:
        MissingSourceError: its package is not installed.
        ValueError: `source` is none of them.
    """
    if source not in _READERS:
        raise ValueError(f"source: {source!r} is not allowed, must be one of {', '.join(SOURCES)}")
    reader, must_be_whole = _READERS[source]
    return [Sentence(source, text) for text in reader() if not must_be_whole or is_sentence(text)]
