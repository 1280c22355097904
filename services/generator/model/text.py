"""Text to token ids: `tokenizer.json` through `tokenizers`, in CSM's template.

The template is `[{speaker}]{text}` between one BOS and one EOS (Sesame's `generator.py`), without a
space after the bracket. Some tokenizer.json add BOS and EOS themselves, some only BOS, some
neither; here they are always added by us, so that none is doubled or missing.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from services.generator.model.config import TokenIds

FILE_NAME = "tokenizer.json"
MAX_SPEAKER = 65535
"""The largest speaker number; models know few, the template itself has no limit."""

_BOS_NAMES = ("<|begin_of_text|>", "<bos>", "<s>")
_EOS_NAMES = ("<|end_of_text|>", "<eos>", "</s>")
_PROBE = "[0]a"
_NO_MEANING = "\ue000"
"""A private-use character: what a text tokenizer makes of it is its token for the unknown."""

PART_CHARS = 4096
"""How much of a text is looked at first."""
LOCKED_CHARS = 256
"""From here on encoding lets other threads run: the event loop among them."""
CUT_IDS = 64
"""Ids that a cut may add where the whole text has fewer, larger ones."""


class TextTokenizerError(ValueError):
    """A tokenizer.json cannot be used; the message names the file and the reason."""


class TextTokenizer:
    """Encodes turns for one model. Thread-safe: encoding changes nothing."""

    def __init__(
        self, tokenizer: Tokenizer, token_ids: TokenIds | None = None, *, source: str = FILE_NAME
    ) -> None:
        """Wrap a tokenizer; `token_ids` are the config's, `source` names it in errors.

        BOS and EOS are those its post-processor adds, else the config's, else the first of the
        usual names in its vocabulary.

        Raises:
            TextTokenizerError: no BOS or no EOS can be found.
        """
        self._tokenizer = tokenizer
        ids = token_ids or TokenIds(None, None, None, None, None)
        before, after = self._template()
        bos = before or self._known(ids.bos_token_id, _BOS_NAMES)
        eos = after or self._known(ids.eos_token_id, _EOS_NAMES)
        for name, found, names in (("BOS", bos, _BOS_NAMES), ("EOS", eos, _EOS_NAMES)):
            if not found:
                raise TextTokenizerError(
                    f"{source}: no {name} token: its post-processor adds none, the config names "
                    f"none, and none of {', '.join(names)} is in the vocabulary"
                )
        self._bos, self._eos = bos, eos
        # A user's "<|end_of_text|>" is text, not a command.
        tokenizer.encode_special_tokens = True

    @classmethod
    def from_directory(
        cls, directory: Path | str, token_ids: TokenIds | None = None
    ) -> TextTokenizer:
        """Read `tokenizer.json` of a model directory.

        Raises:
            TextTokenizerError: it is missing or broken.
        """
        path = Path(directory) / FILE_NAME
        if not path.is_file():
            raise TextTokenizerError(f"{path}: no such file")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises plain Exception
            raise TextTokenizerError(f"{path}: not a tokenizer.json: {error}") from None
        return cls(tokenizer, token_ids, source=str(path))

    def _template(self) -> tuple[list[int], list[int]]:
        """Return the ids which the tokenizer's own post-processor puts around a text."""
        whole = self._tokenizer.encode(_PROBE).ids
        plain = self._tokenizer.encode(_PROBE, add_special_tokens=False).ids
        for start in range(len(whole) - len(plain) + 1):
            if plain and whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
        return [], []

    def _known(self, configured: int | None, names: tuple[str, ...]) -> list[int]:
        if configured is not None:
            return [configured]
        found = (self._tokenizer.token_to_id(name) for name in names)
        return [token for token in found if token is not None][:1]

    @property
    def words(self) -> dict[str, int]:
        """What the vocabulary holds of text, and its ids: no special tokens, and no token for the
        unknown."""
        special = self._tokenizer.get_added_tokens_decoder()
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
        return {
            word: number
            for word, number in vocabulary.items()
            if number not in special and word != unknown
        }

    @property
    def reads_bytes(self) -> bool:
        """Whether what has no token of its own is spelled in bytes, so that any text is read."""
        return len(self.content(_NO_MEANING)) > 1

    @property
    def vocab_size(self) -> int:
        """Ids are below this."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, speaker: int, text: str) -> list[int]:
        """Return the ids of `[{speaker}]{text}` between one BOS and one EOS.

        Raises:
            ValueError: the speaker number is out of range.
        """
        if isinstance(speaker, bool) or not isinstance(speaker, int):
            raise ValueError(f"speaker: {speaker!r} is not allowed, must be an integer")
        if not 0 <= speaker <= MAX_SPEAKER:
            raise ValueError(f"speaker: {speaker} is not allowed, must be in [0, {MAX_SPEAKER}]")
        return [*self._bos, *self.content(f"[{speaker}]{text}"), *self._eos]

    def encode_within(self, speaker: int, text: str, most: int) -> list[int] | None:
        """As `encode`; None where it is more than `most` ids. What a text costs is bounded by
        `most` and not by its length: of one that is far too long only a part is looked at.

        Raises:
            ValueError: the speaker number is out of range.
        """
        size = PART_CHARS
        while size < len(text):
            if len(self.content(text[:size])) > most + CUT_IDS:
                return None
            size *= 2
        ids = self.encode(speaker, text)
        return ids if len(ids) <= most else None

    def knows(self, text: str) -> bool:
        """Whether the model has a token for any character of the text but blanks."""
        words = "".join(text.split())
        unknown = set(self.content(_NO_MEANING))
        return any(
            set(self.content(words[start : start + PART_CHARS])) - unknown
            for start in range(0, len(words), PART_CHARS)
        )

    def content(self, text: str) -> list[int]:
        """Return the ids of a text alone, without template, BOS or EOS.

        Empty where the model has no token for anything in it (pico, given only emoji).
        """
        if len(text) <= LOCKED_CHARS:
            return self._tokenizer.encode(text, add_special_tokens=False).ids
        # Of the two only this one lets go of the interpreter's lock.
        return self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
