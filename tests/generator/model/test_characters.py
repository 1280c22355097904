"""Which characters a model can read, told by its tokenizer."""

from __future__ import annotations

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from services.generator.model.characters import readable_characters
from services.generator.model.config import TokenIds
from services.generator.model.text import TextTokenizer
from tests.generator.model.test_text import PICO, TEMPLATES, llama_like


def of_characters(letters: str, normalizer: normalizers.Normalizer | None = None) -> TextTokenizer:
    """A tokenizer of single characters, made as pico's."""
    words = {letter: number for number, letter in enumerate(["<unk>", "<bos>", *letters])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<bos>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return TextTokenizer(tokenizer, TokenIds(1, 1))


def test_pico_reads_letters_digits_and_the_marks_that_its_normalizer_leaves() -> None:
    read = readable_characters(TextTokenizer.from_directory(PICO))
    assert read == "!',-.0123456789?abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_vocabulary_of_bytes_reads_anything(name: str) -> None:
    assert readable_characters(TextTokenizer(llama_like(TEMPLATES[name]))) == ""


def test_a_vocabulary_of_parts_of_words_reads_anything() -> None:
    words = {"<unk>": 0, "<bos>": 1, "a": 2, "b": 3, "ab": 4}
    tokenizer = Tokenizer(models.BPE(words, [("a", "b")], unk_token="<unk>"))
    assert readable_characters(TextTokenizer(tokenizer, TokenIds(1, 1))) == ""


def test_other_alphabets_are_told_in_lower_case_and_without_accents() -> None:
    assert readable_characters(of_characters("\u0416\u0436\u00e9\u00c9z7, ")) == ",7ez\u0436"


def test_what_the_normalizer_takes_out_is_not_read() -> None:
    removing = normalizers.Replace(Regex("[!b]"), "")
    assert readable_characters(of_characters("ab!?", removing)) == "?a"
