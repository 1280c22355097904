"""Pico's `tokenizer.json`: one token a character, and a normalizer that leaves only characters
that pico knows.

It is in the file itself, as a chain of `tokenizers` normalizers, so that this project and
`transformers` read a text alike. What is left is `a-z ' , . ? ! -` and space, and the template's
`[{speaker}]` at the very start as it was. Numbers, units and signs are put into words before, by
the spoken form (`gateway.text.spoken`).
"""

from __future__ import annotations

from functools import cache

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from gateway.text.spoken import spoken_words
from gateway.text.spoken.numbers import ONES

CHARACTERS = "abcdefghijklmnopqrstuvwxyz',.?!-"
"""All that `normalize` leaves, beside the space."""
VOCAB_SIZE = 64
PAD, BOS, EOS, UNKNOWN, AUDIO, AUDIO_EOS = (
    ("<pad>", 0),
    ("<bos>", 1),
    ("<eos>", 2),
    ("<unk>", 61),
    ("<|AUDIO|>", 62),
    ("<|audio_eos|>", 63),
)
_PREFIX = "[0]"

# The expressions are Oniguruma's: look-behind may be of any length, `\A` and `\z` are the ends of
# the text, and what takes the place of a match is constant.
_PREFIX_DIGITS = "".join(chr(0xE100 + digit) for digit in range(10))
"""The speaker number's digits while the text's are spelled."""
_PREFIX_DIGIT = f"[{_PREFIX_DIGITS}]"

_PREFIX_RULES = (
    # The template's speaker number steps aside; a user's private characters are dropped.
    (r"\p{Co}", ""),
    *(
        (rf"(?<=\A\[[\d{_PREFIX_DIGITS}]{{0,4}}){digit}(?=[\d{_PREFIX_DIGITS}]{{0,4}}\])", mark)
        for digit, mark in enumerate(_PREFIX_DIGITS)
    ),
)
_WRITTEN_RULES = (
    # Before compatibility decomposition, which would take some of these apart.
    (r"[\u00ad\u200b-\u200f\u2060\ufeff\ufe0f]", ""),
    (r"[\u2019\u2018\u201b\u02bc\u00b4\u2032]", "'"),
    ("[™®©]", ""),
)
_CASED_RULES = (
    # Where a line or a row of dots ends a sentence, and where not.
    (r"(?<=[^\s.,;:?!-])[ \t]*(?:\r?\n[ \t]*){2,}", ". "),
    (r"\s+", " "),
    (r"[.…]{2,}(?= ?[a-z])|…(?= ?[a-z])", ", "),
    (r"\.{2,}|…", "."),
    # A among letters said one by one is written ay, which is how pico has learned it.
    (r"(?<=[Ll]etter |[Vv]itamin |[Gg]rade )A\b", "ay"),
    (r"(?<=\b[A-Z] )A\b|\bA(?= [A-Z]\b)", "ay"),
    (r"\bMs\b\.?", "miz"),
)
_LOWER_RULES = (
    # Sounds that its teacher does not say as they are written.
    (r"\bhmm+\b", "hum"),
    (r"\bshh+\b", "shush"),
    (r"\bmm+\b", "um"),
    (r"\bmhm+\b", "uh huh"),
    (r"\bok\b", "okay"),
    *(
        (letter, plain)
        for letter, plain in {
            "æ": "ae",
            "œ": "oe",
            "ß": "ss",
            "ø": "o",
            "ł": "l",
            "đ": "d",
            "ð": "d",
            "þ": "th",
        }.items()
    ),
    (r"[\u2212\u2012\u2010\u2011]", "-"),
    (r" ?(?:[\u2013-\u2015]|--+) ?| - ", ", "),
    (r'["“”„«»^{}\\|_/]', " "),
    # A digit that nobody has put into words is at least not lost.
    *((str(digit), f" {word} ") for digit, word in enumerate(ONES)),
)
_CLEAN_RULES = (
    (r"[;:()]", ", "),
    (rf"\[(?!{_PREFIX_DIGIT})|(?<!{_PREFIX_DIGIT})\]", ", "),
    (rf"[^ a-z',.?!\-\[\]{_PREFIX_DIGITS}]", ""),
    (r"(?<![a-z])'|'(?![a-z])", ""),
    (r"(?<![a-z])-|-(?![a-z])", " "),
    (" {2,}", " "),
    (" (?=[,.?!])", ""),
    (r"[,.!?]*\?[ ,.!?]*(?<=[,.!?])", "?"),
    (r"[,.!]*![ ,.!]*(?<=[,.!])", "!"),
    (r"[,.]*\.[ ,.]*(?<=[,.])", "."),
    (",[ ,]*(?<=,)", ","),
    (r"(?<=[,.?!])(?=[a-z])", " "),
    (rf"\A[ ,.?!\-]+|(?<=\A\[{_PREFIX_DIGIT}{{1,5}}\])[ ,.?!\-]+", ""),
    (r" +\z", ""),
    # A sentence ends with a mark, so that its end is heard and learned alike.
    (r"(?<=[a-z])\z", "."),
    *((mark, str(digit)) for digit, mark in enumerate(_PREFIX_DIGITS)),
)


def _replaces(rules: tuple[tuple[str, str], ...]) -> list[normalizers.Normalizer]:
    return [normalizers.Replace(Regex(pattern), content) for pattern, content in rules]


def build_normalizer() -> normalizers.Normalizer:
    """Return the chain; the order matters."""
    return normalizers.Sequence(
        [
            *_replaces(_PREFIX_RULES),
            *_replaces(_WRITTEN_RULES),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.NFKC(),
            *_replaces(_CASED_RULES),
            normalizers.Lowercase(),
            *_replaces(_LOWER_RULES),
            *_replaces(_CLEAN_RULES),
        ]
    )


def vocabulary() -> dict[str, int]:
    """Return every token's id: special ones, space and characters from 3, digits, brackets."""
    tokens = dict([PAD, BOS, EOS])
    for character in " " + CHARACTERS + "[]0123456789":
        tokens[character] = len(tokens)
    tokens.update([UNKNOWN, AUDIO, AUDIO_EOS])
    return tokens


def build_tokenizer() -> Tokenizer:
    """Return the whole tokenizer: ids below `VOCAB_SIZE`, BOS and EOS added around a text."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token=UNKNOWN[0]))
    tokenizer.normalizer = build_normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS[0]} $A {EOS[0]}", pair=None, special_tokens=[BOS, EOS]
    )
    tokenizer.add_special_tokens(
        [
            AddedToken(name, special=True, normalized=False)
            for name, _ in (PAD, BOS, EOS, AUDIO, AUDIO_EOS)
        ]
    )
    return tokenizer


@cache
def _normalizer() -> normalizers.Normalizer:
    return build_normalizer()


def normalize(text: str) -> str:
    """Return the words of `text` as pico sees them behind its prefix.

    Numbers and signs are in words; only `CHARACTERS` and single spaces are in it; empty where
    nothing can be spoken.
    """
    return _normalizer().normalize_str(_PREFIX + spoken_words(text)).removeprefix(_PREFIX)
