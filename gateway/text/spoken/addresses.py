"""Addresses of machines: URLs, e-mail, domains, paths, files, IP addresses, handles, hashtags."""

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import Rule, rule, word_set

_SIGNS = {
    ".": "dot",
    "/": "slash",
    "\\": "backslash",
    ":": "colon",
    "-": "dash",
    "_": "underscore",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "@": "at",
    "+": "plus",
    "#": "hash",
    "%": "percent",
    "~": "tilde",
    "*": "star",
    "$": "dollar",
    ",": "comma",
    ";": "semicolon",
    "!": "exclamation mark",
}
_SPELLED = word_set(
    """
    https http ftp ssh www html htm php js css txt pdf png gif svg csv tsv xml yml mp rtf docx
    xlsx pptx sql cpp exe dll md py sh rb rs ts tsx jsx cfg tgz gz rpm mkv wma flv psd ttf etc
    usr ui ai io tv fm uk eu us id db src
    """
)
"""Parts that are said letter by letter although some could be read."""
_SAID = {"jpg": "jpeg", "jpeg": "jpeg", "src": "source", "usr": "user", "tmp": "temp"}
_SAID |= {"lib": "lib", "id": "I D"}
_DOMAINS = word_set(
    """
    com org net edu gov mil int io co ai dev app me info biz tv fm us uk ca au nz ie de fr it
    es nl be ch at se no dk fi pl cz pt gr eu ru jp cn in br mx za kr xyz online site tech
    cloud blog shop
    """
)
_FILES = word_set(
    """
    txt md pdf png jpg jpeg gif svg webp bmp csv tsv json xml yml yaml toml ini cfg conf log
    html htm css js ts tsx jsx py rb rs go java c h cpp hpp cs php sh bash zsh bat exe dll so
    zip tar gz tgz bz2 xz 7z rar iso dmg deb rpm mp3 mp4 wav ogg flac aac m4a avi mkv mov webm
    doc docx xls xlsx ppt pptx odt rtf tex sql db proto safetensors ipynb lock env
    """
)
_PIECE = re.compile(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]")
_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}\Z")


def _letters(word: str) -> str:
    return " ".join(word.upper())


def said(written: str) -> str:
    """An address word by word: its signs by name, its digits as numbers of at most three."""
    words = []
    for piece in _PIECE.findall(written):
        if piece.isdecimal():
            short = len(piece) < 3 and piece[0] != "0"
            words.append(numbers.cardinal(piece) if short else numbers.digits(piece))
        elif piece.isalpha() and piece.isascii():
            lower = piece.lower()
            if lower in _SAID:
                words.append(_SAID[lower])
            elif lower in _SPELLED or (1 < len(piece) < 5 and not re.search("[aeiouy]", lower)):
                words.append(_letters(piece))
            else:
                words.append(piece)
        else:
            words.append(_SIGNS.get(piece, piece if piece.isalnum() else ""))
    return " ".join(filter(None, words))


def _bare(written: str) -> tuple[str, str]:
    """An address, and the marks behind it that belong to the sentence."""
    bare = written.rstrip(".,;:!?'\")>]}")
    if written[len(bare) :].startswith(")") and bare.count("(") > bare.count(")"):
        bare += ")"
    return bare, written[len(bare) :]


def _url(match: re.Match[str]) -> str:
    bare, rest = _bare(match["address"])
    return said(bare.rstrip("/")) + rest


def _plain(match: re.Match[str]) -> str:
    bare, rest = _bare(match[0])
    return said(bare) + rest


def _ip(match: re.Match[str]) -> str | None:
    parts = match["ip"].split(".")
    if any(int(part) > 255 for part in parts):
        return None
    words = " dot ".join(map(numbers.digits, parts))
    if match["port"]:
        words += f" colon {numbers.digits(match['port'])}"
    if match["mask"]:
        words += f" slash {numbers.cardinal(match['mask'])}"
    return words


def _hash(match: re.Match[str]) -> str | None:
    """#1 is number one, #ff8800 a color, #python a hashtag."""
    name = match["name"]
    if name.isdecimal() and len(name) < 6:
        return f"number {name}"
    if _HEX.match(match[0]) and (any(map(str.isdecimal, name)) or len(set(name)) == 1):
        return "hash " + _each(name)
    if name.isdecimal():
        return f"number {name}"
    return "hashtag " + name.replace("_", " ")


def _handle(match: re.Match[str]) -> str:
    return "at " + said(match["name"])


def _each(hexadecimal: str) -> str:
    return " ".join(
        numbers.ONES[int(char)] if char.isdecimal() else char.upper() for char in hexadecimal
    )


def _hex(match: re.Match[str]) -> str:
    return "zero x " + _each(match["hex"])


def _uuid(match: re.Match[str]) -> str:
    return ", ".join(map(_each, match[0].split("-")))


_UUID = re.compile("[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-")
_LABEL = r"[^\W_](?:[\w-]{0,62})"

RULES: tuple[Rule, ...] = (
    rule(
        r"(?<!\w)(?:[hH][tT]{2}[pP][sS]?|ftp|wss?|sftp)://(?P<address>[^\s<>\"]++)",
        _url,
        re.compile("://"),
    ),
    rule(
        r"(?<!\w)(?:mailto:)?[^\W_][\w.+%-]{0,80}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?!\w)",
        _plain,
        re.compile("@"),
    ),
    rule(r"(?<![\w.@])www\.[^\s<>\"]++", _plain, re.compile(r"www\.")),
    rule(
        r"(?<![\w.:])(?P<ip>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?::(?P<port>\d{1,5}))?"
        r"(?:/(?P<mask>\d\d?))?(?![\w/])(?!\.\d)",
        _ip,
        re.compile(r"\d\.\d{1,3}\.\d"),
    ),
    rule(
        rf"(?<![\w.@/\\-])(?:{_LABEL}\.){{1,6}}(?:{'|'.join(_DOMAINS)})(?![\w-]|\.[^\W\d])"
        r"(?:(?::\d{1,5})?/[^\s<>\"]*+)?",
        _plain,
        re.compile(r"\w\.[a-z]"),
    ),
    rule(r"(?<![\w.@/-])localhost:\d{1,5}(?:/[^\s<>\"]*+)?", _plain, re.compile("localhost")),
    # Windows and Unix paths.
    rule(
        r"(?<!\w)[A-Za-z]:\\[^\s<>\"|]*+|(?<![\w\\])\\\\[\w$][^\s<>\"|]*+",
        _plain,
        re.compile(r"\\"),
    ),
    rule(
        r"(?<![\w.~/:)\]<$€£¥₹%°²³])(?:~|\.{1,2})?/(?:[\w.@+-]++/)*+"
        r"(?:[\w@+-]|\.(?=\w))*+(?<=\w|/)(?<!\A/)(?![\w/])",
        lambda match: None if len(match[0]) < 3 else _plain(match),
        re.compile("/"),
    ),
    rule(
        rf"(?<![\w./\\@-])(?:[\w-]{{1,80}}/){{0,8}}[\w-][\w.-]{{0,80}}\.(?:{'|'.join(_FILES)})(?![\w-])",
        _plain,
        re.compile(r"\w\.\w"),
    ),
    rule(
        r"(?<![^\s(\"'])\.(NET|env|git\w{0,12}|bashrc|zshrc|profile|[a-z]{2,4})\b",
        lambda match: f"dot {match[1]}",
    ),
    rule(r"(?<![\w-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])", _uuid, _UUID),
    # Of an invoice: #INV-2024-0042.
    rule(r"(?<![\w&])#(?=[A-Z]{1,6}-\d)", "number ", re.compile(r"#[A-Z]{1,6}-\d")),
    rule(r"(?<![\w&])#(?P<name>\w{1,60}+)", _hash, re.compile("#")),
    rule(r"(?<![\w.])@(?P<name>[^\W_]\w{0,40})(?!\w)", _handle, re.compile("@")),
    rule(r"(?<!\w)0[xX](?P<hex>[0-9a-fA-F]{1,32})(?!\w)", _hex, re.compile("0[xX]")),
)
