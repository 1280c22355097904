"""Pico's tokenizer: the characters that are left, the template's prefix, ids, `transformers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from services.generator.model.text import TextTokenizer
from tests.pico import PICO
from training.tokenizer import (
    CHARACTERS,
    VOCAB_SIZE,
    build_tokenizer,
    normalize,
    vocabulary,
)

SIGNS = [
    ("a & b", "a and b"),
    ("me @ home", "me at home"),
    ("a/b", "a slash b"),
    ("caf\xe9", "cafe"),
    ("na\xefve Stra\xdfe", "naive strasse"),
    ("\u201cyes\u201d", "yes"),
    ("don\u2019t", "don't"),
    ("'quoted' dogs'", "quoted dogs"),
    ("a \u2014 b", "a, b"),
    ("a--b", "a, b"),
    ("one (two) three", "one, two, three"),
    ("this: that; more", "this, that, more"),
    ("so\u2026 yes", "so, yes"),
    ("so... Yes", "so. yes"),
    ("a  b\t c\nd", "a b c d"),
    ("One\n\nTwo", "one. two"),
    ("[laughs] yes", "laughs, yes"),
    ("see example.com", "see example dot com"),
    ("hi \U0001f600 there", "hi there"),
    ("\u65e5\u672c hello", "hello"),
    ("\uff14\uff12", "forty two"),
    ("hello ,you", "hello, you"),
]
ENDED = [
    ("Hello", "hello."),
    ("Hello.", "hello."),
    ("Really?!", "really?"),
    ("No!!!", "no!"),
    ("wait...", "wait."),
    ("well,", "well,"),
    ("(yes)", "yes,"),
    ("", ""),
    ("!!!", ""),
    ("...", ""),
    ("\U0001f600", ""),
    ("\ue000\ue110", ""),
]


@pytest.mark.parametrize(("written", "spoken"), SIGNS)
def test_reads_what_is_written(written: str, spoken: str) -> None:
    assert normalize(written).removesuffix(".") == spoken
    # The same at the end of a sentence and within one.
    assert normalize(f"So it was {written}, yes?").startswith("so it was")
    assert normalize(f"So it was {written}, yes?").endswith("yes?")


@pytest.mark.parametrize(("written", "spoken"), ENDED)
def test_a_sentence_ends_with_one_mark(written: str, spoken: str) -> None:
    assert normalize(written) == spoken


def test_the_prefix_stays_and_only_at_the_start() -> None:
    tokenizer = build_tokenizer()
    for speaker in (0, 3, 12, 42, 1984, 65535):
        for text, spoken in (("Apples", "apples."), ("[yes] x", "yes, x."), ("", "")):
            read = tokenizer.normalizer.normalize_str(f"[{speaker}]{text}")
            assert read == f"[{speaker}]{spoken}"
    assert tokenizer.normalizer.normalize_str("say [12] now") == "say, one two, now."


def test_only_known_characters_are_left() -> None:
    printable = "".join(chr(code) for code in range(32, 0x2200))
    odd = [printable[start : start + 40] for start in range(0, len(printable), 40)]
    odd += [
        f"{a}{b}5{a} 1{b}" for a in "$\u20ac%#@/-.,:'\"([\u00b0" for b in "$\u20ac%#@/-.,:'\")]"
    ]
    for text in odd:
        read = normalize(text)
        assert set(read) <= set(CHARACTERS + " "), (text, read)
        assert read == " ".join(read.split()), (text, read)


def test_what_is_read_reads_as_itself() -> None:
    for written, _ in (*SIGNS, *ENDED):
        once = normalize(written)
        assert normalize(once).removesuffix(".") == once.removesuffix("."), written


def test_a_text_in_spoken_form_keeps_the_ids_that_pico_was_trained_with() -> None:
    tokenizer = build_tokenizer()
    text = "At ten thirty A M, the U S A\u2019s F B I said \u2014 \u201cHmm\u201d; caf\u00e9 (ok)?!"
    read = "[3]at ten thirty ay m, the u s ay's f b i said, hum, cafe, okay?"
    tokens = vocabulary()
    assert tokenizer.encode(f"[3]{text}").ids == [1, *(tokens[char] for char in read), 2]


def test_digits_that_nobody_put_into_words_are_not_lost() -> None:
    read = build_tokenizer().normalizer.normalize_str
    assert read("[1]Room 12b") == "[1]room one two b."


def test_the_voice_that_ships_has_this_tokenizer() -> None:
    shipped = (PICO / "tokenizer.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == json.loads(build_tokenizer().to_str())


def test_ids_are_those_of_the_first_voice() -> None:
    tokens = vocabulary()
    assert (tokens["<pad>"], tokens["<bos>"], tokens["<eos>"], tokens[" "]) == (0, 1, 2, 3)
    assert (tokens["a"], tokens["z"], tokens["'"], tokens["["], tokens["9"]) == (4, 29, 30, 36, 47)
    assert (tokens["<unk>"], tokens["<|AUDIO|>"], tokens["<|audio_eos|>"]) == (61, 62, 63)
    assert max(tokens.values()) < VOCAB_SIZE
    assert len(set(tokens.values())) == len(tokens)


def test_saved_file_loads_in_ours_and_in_transformers(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    path = tmp_path / "tokenizer.json"
    build_tokenizer().save(str(path))
    assert json.loads(path.read_text())["model"]["type"] == "WordLevel"
    ours = TextTokenizer.from_directory(tmp_path)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path))
    plain = Tokenizer.from_file(str(path))
    tokens = vocabulary()
    for text in (
        "It's forty at ten thirty!",
        "Doctor Ray's caf\u00e9",
        "",
        "\u20ac",
        "!!!",
        "[no] yes",
    ):
        expected = [1, *(tokens[char] for char in plain.normalizer.normalize_str(f"[12]{text}")), 2]
        assert ours.encode(12, text) == expected
        assert theirs(f"[12]{text}")["input_ids"] == expected
        # The chat template of CSM writes BOS and EOS itself.
        assert theirs(f"<bos>[12]{text}<eos>", add_special_tokens=False)["input_ids"] == expected
        assert plain.encode(f"[12]{text}").ids == expected
    assert ours.content("\ue000") == []
