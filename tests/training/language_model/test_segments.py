"""Segments on disk: the prompt's own frames, and what stands beside them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from services.generator.model.prompt import PromptSegment, segment_frames
from services.generator.model.text import TextTokenizer
from tests.training.language_model.voice import codes_of
from training.codec.codes import codes_path
from training.corpus.store import Corpus
from training.language_model import segments
from training.language_model.material import open_table
from training.language_model.shape import TOKEN_IDS


def material(work: Path) -> tuple[Corpus, np.ndarray, np.ndarray]:
    return Corpus.open(work / "corpus", "train"), *codes_of(work, "train")


def test_frames_are_those_of_the_prompt(work: Path, tokenizer: Tokenizer) -> None:
    corpus, codes, offset = material(work)
    table = open_table(work, "train", tokenizer)
    encoder = TextTokenizer(tokenizer, TOKEN_IDS)
    assert len(table) == len(corpus) == 48
    for index in (0, 20, 47):
        said = corpus.utterances[index]
        segment = PromptSegment(said.speaker, said.text, codes[offset[index] : offset[index + 1]])
        own = slice(table.offset[index], table.offset[index + 1])
        assert np.array_equal(table.frames[own], segment_frames(segment, encoder, 3))
        assert table.speaker[index] == said.speaker


def test_places_are_positions_of_the_text(work: Path, tokenizer: Tokenizer) -> None:
    corpus, _, _ = material(work)
    table = open_table(work, "train", tokenizer)
    for index, said in enumerate(corpus.utterances):
        own = slice(table.offset[index], table.offset[index + 1])
        frames, places, phones = table.frames[own], table.places[own], table.phones[own]
        audio = frames[:, 0] >= 0
        assert (places[~audio] == -1).all()
        assert (phones[~audio] == -1).all()
        # The EOS frame looks at the text's EOS token and has no phones.
        assert frames[places[-1, 0], -1] == TOKEN_IDS.eos_token_id
        assert (phones[-1] == -1).all()
        # The first frame is a pause: it looks at the prefix's bracket.
        assert frames[places[audio][0, 0], -1] == tokenizer.token_to_id("]")
        # Between them, each place holds the letter that is there in the text, behind BOS and [0].
        spoken = {int(place) for place in places[audio].flatten()} - {3, int(places[-1, 0])}
        assert len(spoken) >= 2
        for place in spoken:
            assert frames[place, -1] == tokenizer.token_to_id(said.text[place - 4])


def test_a_table_is_laid_out_once(
    work: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_table(work, "train", tokenizer)
    monkeypatch.setattr(segments, "lay_out", None)
    again = open_table(work, "train", tokenizer)
    for field in dataclasses.fields(first):
        assert np.array_equal(getattr(first, field.name), getattr(again, field.name))
    monkeypatch.undo()
    path = codes_path(work, "train-b-0")
    with np.load(path) as arrays:
        codes, offset = arrays["codes"], arrays["offset"]
    codes[0, 1] = (codes[0, 1] + 1) % 16
    np.savez(path, codes=codes, offset=offset)
    changed = open_table(work, "train", tokenizer)
    assert not np.array_equal(first.frames, changed.frames)


def test_material_that_does_not_fit_is_refused(work: Path, tokenizer: Tokenizer) -> None:
    corpus, codes, offset = material(work)
    encoder = TextTokenizer(tokenizer, TOKEN_IDS)
    said = corpus.utterances
    with pytest.raises(ValueError, match="offset: 48 entries"):
        segments.lay_out(said, codes, offset[:-1], encoder)
    shifted = offset.copy()
    shifted[1] += 1
    with pytest.raises(ValueError, match=r"utterance 0 .*frames are not allowed"):
        segments.lay_out(said, codes, shifted, encoder)
    silent = codes.copy()
    silent[2, 0] = 0
    with pytest.raises(ValueError, match=r"codes\[2\]\[0\]: 0 is not allowed"):
        segments.lay_out(said, silent, offset, encoder)
    raw = [dataclasses.replace(said[0], text="42"), *said[1:]]
    with pytest.raises(ValueError, match="is it not normalised"):
        segments.lay_out(raw, codes, offset, encoder)


def test_missing_codes_are_named(work: Path, tokenizer: Tokenizer) -> None:
    codes_path(work, "train-b-0").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-b-0.npz: no such file"):
        open_table(work, "train", tokenizer)
