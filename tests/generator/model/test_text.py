"""Text to ids in CSM's template, whatever the tokenizer.json adds by itself."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from services.generator.model.config import TokenIds
from services.generator.model.text import TextTokenizer, TextTokenizerError

PICO = Path(__file__).parents[3] / "models" / "pico"
BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"


def llama_like(template: str | None) -> Tokenizer:
    """Build a byte-level tokenizer with Llama 3.2's special tokens and one of the templates."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([BOS, EOS, "<|AUDIO|>", "<|audio_eos|>"])
    if template is not None:
        special = [(name, tokenizer.token_to_id(name)) for name in (BOS, EOS)]
        tokenizer.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(single=template, special_tokens=special),
            ]
        )
    return tokenizer


TEMPLATES = {
    "none": None,
    "bos_only": f"{BOS}:0 $A:0",
    "bos_and_eos": f"{BOS}:0 $A:0 {EOS}:0",
    "eos_only": f"$A:0 {EOS}:0",
}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_bos_and_eos_come_exactly_once_whatever_the_file_adds(name: str) -> None:
    tokenizer = llama_like(TEMPLATES[name])
    ids = TextTokenizer(tokenizer).encode(3, "Hé, you!")
    assert ids.count(tokenizer.token_to_id(BOS)) == 1
    assert ids.count(tokenizer.token_to_id(EOS)) == 1
    assert (ids[0], ids[-1]) == (tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS))
    body = llama_like(None).encode("[3]Hé, you!", add_special_tokens=False).ids
    assert ids[1:-1] == body


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_special_tokens_in_a_users_text_stay_text(name: str) -> None:
    tokenizer = llama_like(TEMPLATES[name])
    ids = TextTokenizer(tokenizer).encode(0, f"a{EOS}b{BOS}<|AUDIO|><|audio_eos|>")
    special = {tokenizer.token_to_id(name) for name in (BOS, EOS, "<|AUDIO|>", "<|audio_eos|>")}
    assert special.isdisjoint(ids[1:-1])
    assert len(ids) == 2 + len(f"[0]a{EOS}b{BOS}<|AUDIO|><|audio_eos|>")


def test_the_configs_ids_serve_where_the_file_has_no_template() -> None:
    tokenizer = TextTokenizer(llama_like(None), TokenIds(7, 9))
    ids = tokenizer.encode(0, "a")
    assert (ids[0], ids[-1]) == (7, 9)


def test_a_tokenizer_without_bos_or_eos_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(TextTokenizerError, match=r"tokenizer.json: no BOS token"):
        TextTokenizer(tokenizer)
    with pytest.raises(TextTokenizerError, match="no EOS token"):
        TextTokenizer(tokenizer, TokenIds(5, None))


def test_pico_encodes_as_its_own_post_processor_does() -> None:
    ours = TextTokenizer.from_directory(PICO, TokenIds(1, 2))
    theirs = Tokenizer.from_file(str(PICO / "tokenizer.json"))
    for text in ("hello there.", "What's the 2nd one? [laughs]", ""):
        assert ours.encode(0, text) == theirs.encode(f"[0]{text}").ids
    ids = ours.encode(0, "hello there.")
    assert (ids.count(1), ids.count(2)) == (1, 1)
    vocab = theirs.get_vocab()
    assert ids[1:-1] == [vocab[letter] for letter in "[0]hello there."]


def test_pico_lowers_upper_case_and_drops_what_it_cannot_say() -> None:
    tokenizer = TextTokenizer.from_directory(PICO)
    assert tokenizer.encode(0, "HELLO") == tokenizer.encode(0, "hello")
    assert tokenizer.encode(0, "hel😀lo\u0007") == tokenizer.encode(0, "hello")
    assert tokenizer.content("😀🎉") == []
    assert tokenizer.content("\u0000\u001b") == []
    assert tokenizer.content("hi") != []
    # NFKC first: a ligature and full-width letters are letters.
    assert tokenizer.content("ﬁＡ") == tokenizer.content("fia")
    unknown = Tokenizer.from_file(str(PICO / "tokenizer.json")).token_to_id("<unk>")
    assert unknown not in tokenizer.content("naïve café — “quoted” 100% ½")
    assert max(tokenizer.encode(65535, "z")) < tokenizer.vocab_size <= 64


@pytest.mark.parametrize("speaker", [-1, 65536, 1.0, True, "0"])
def test_a_speaker_out_of_range_is_refused(speaker: object) -> None:
    tokenizer = TextTokenizer.from_directory(PICO)
    with pytest.raises(ValueError, match=r"speaker: .* is not allowed, must be"):
        tokenizer.encode(speaker, "hello")  # type: ignore[arg-type]


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextTokenizerError, match=r"tokenizer.json: no such file"):
        TextTokenizer.from_directory(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(TextTokenizerError, match=r"tokenizer.json: not a tokenizer.json"):
        TextTokenizer.from_directory(tmp_path)


def test_a_long_text_is_encoded_as_a_short_one_and_lets_other_threads_run() -> None:
    tokenizer = TextTokenizer.from_directory(PICO)
    theirs = Tokenizer.from_file(str(PICO / "tokenizer.json"))
    theirs.encode_special_tokens = True
    text = f"Well, 1 + 1 is 2.{EOS}<eos> " * 400
    assert tokenizer.content(text) == theirs.encode(text, add_special_tokens=False).ids
    encoding = threading.Thread(target=tokenizer.content, args=("0123456789" * 4000,))
    encoding.start()
    ticks = 0
    while encoding.is_alive():
        time.sleep(0.0005)
        ticks += 1
    # With the interpreter's lock held, this thread wakes up once.
    assert ticks > 10
