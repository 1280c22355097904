"""The voice's `tokenizer.json`: text as it is written becomes the characters of spoken words.

Everything is in the file itself, as a chain of `tokenizers` normalizers, so that this project and
`transformers` read "$42.50 at 10:30" alike. What is left is `a-z ' , . ? ! -` and space, and the
template's `[{speaker}]` at the very start as it was.
"""

from __future__ import annotations

from functools import cache

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from training.text import abbreviations, calendar, money, numbers, symbols
from training.text.rules import Rules

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


def _replaces(rules: Rules) -> list[normalizers.Normalizer]:
    return [normalizers.Replace(Regex(rule.pattern), rule.content) for rule in rules]


def build_normalizer() -> normalizers.Normalizer:
    """Return the chain; the order matters and each step says what it needs."""
    return normalizers.Sequence(
        [
            *_replaces(symbols.PREFIX_RULES),
            *_replaces(symbols.WRITTEN_RULES),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.NFKC(),
            *_replaces(symbols.CASED_RULES),
            *_replaces(calendar.CASED_RULES),
            *_replaces(abbreviations.CASED_RULES),
            normalizers.Lowercase(),
            *_replaces(abbreviations.RULES),
            *_replaces(symbols.SIGN_RULES),
            *_replaces(numbers.MARK_RULES),
            *_replaces(calendar.RULES),
            *_replaces(money.RULES),
            *_replaces(symbols.REST_RULES),
            *_replaces(numbers.WORD_RULES),
            *_replaces(symbols.CLEAN_RULES),
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
    """Return the words of `text` as the model sees them behind its prefix.

    Only `CHARACTERS` and single spaces are in it; empty where nothing can be spoken.
    """
    return _normalizer().normalize_str(_PREFIX + text).removeprefix(_PREFIX)
