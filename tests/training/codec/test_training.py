"""The codec's trainings from a corpus to codes, on a codec small enough to watch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.native.build import NativeUnavailable
from services.tokenizer.codec.config import MimiConfig
from tests.training.tiny import CODEC as CONFIG
from training import checkpoint, pause
from training.codec import codes as stored
from training.codec import polish, polisher, train
from training.codec.data import Ahead, Crops, PredictedCrops, even_chances, phone_labels
from training.codec.decoder import FROZEN
from training.codec.encode import encode
from training.codec.listener import Listener
from training.corpus.store import Corpus, Phone, Utterance

SETTINGS = train.Settings(minutes=60, rows=2, frames=4, unquantized_steps=4, warmup_steps=2)
POLISH = polisher.Settings(
    minutes=60, rows=2, predicted_rows=1, frames=4, adversary_steps=2, warmup_steps=2
)


def trained(work: Path, steps: int, settings: train.Settings = SETTINGS) -> dict[str, torch.Tensor]:
    train.train(work, CONFIG, settings, most_steps=steps, log_every=1)
    state = checkpoint.load(checkpoint.path_of(work, train.STAGE))
    assert state is not None
    weights: dict[str, torch.Tensor] = state["model"]
    return weights


def test_labels_are_the_phones_in_the_middle_of_each_20_ms() -> None:
    phones = (Phone(0, 480, -1, -1), Phone(7, 1000, 0, 1), Phone(9, 1920, 1, 2))
    utterance = Utterance("ab", 0, 0, 1920, phones)
    assert phone_labels(utterance, 0, 2, 1920).tolist() == [0, 7, 9, 9, 0, 0, 0, 0]
    assert phone_labels(utterance, 480, 1, 1920).tolist() == [7, 9, 9, 0]


def test_crops_depend_on_step_and_seed_alone(work_of_tones: Path) -> None:
    corpus = Corpus.open(work_of_tones / "corpus", "train")
    first, again, other = (Crops(corpus, frames=4, frame_samples=1920, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.batch(3, 2).audio, again.batch(3, 2).audio)
    assert not torch.equal(first.batch(3, 2).audio, first.batch(4, 2).audio)
    assert not torch.equal(first.batch(3, 2).audio, other.batch(3, 2).audio)
    batch = first.batch(0, 3)
    assert batch.audio.shape == (3, 1, 4 * 1920)
    assert set(batch.phones.unique().tolist()) <= {0, 5}


def test_crops_made_ahead_are_those_of_their_step(work_of_tones: Path) -> None:
    crops = Crops(
        Corpus.open(work_of_tones / "corpus", "train"), frames=4, frame_samples=1920, seed=1
    )
    ahead = Ahead(crops, steps=2)
    # In turn, further on, back, and with other rows.
    for step, rows in ((0, 2), (1, 2), (7, 2), (3, 2), (4, 3), (4, 3)):
        have, want = ahead.batch(step, rows), crops.batch(step, rows)
        assert torch.equal(have.audio, want.audio)
        assert torch.equal(have.phones, want.phones)


def test_every_speaker_is_drawn_as_often() -> None:
    lengths, speakers = np.array([10.0, 30.0, 5.0, 5.0, 50.0]), np.array([0, 0, 2, 2, 2])
    chances = np.diff(even_chances(lengths, speakers), prepend=0.0)
    np.testing.assert_allclose(chances, [0.125, 0.375, 1 / 24, 1 / 24, 10 / 24])


def test_training_learns_and_draws_its_curves(work_of_tones: Path) -> None:
    held = Crops(
        Corpus.open(work_of_tones / "corpus", "validation"), frames=4, frame_samples=1920, seed=0
    )
    before = train.CodecTrainer(CONFIG, SETTINGS, "cpu").validate(held)
    trained(work_of_tones, 60)
    trainer = train.CodecTrainer(CONFIG, SETTINGS, "cpu")
    state = checkpoint.load(checkpoint.path_of(work_of_tones, train.STAGE))
    assert state is not None
    trainer.restore(state)
    assert trainer.validate(held)["held_mel"] < 0.7 * before["held_mel"]
    assert (work_of_tones / "curves" / "codec.png").stat().st_size > 10000


@pytest.mark.parametrize("cut", [7])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(
    work_of_tones: Path, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "corpus").symlink_to(work_of_tones / "corpus")
    # Equal time at every step: the learning rate follows the clock.
    whole = trained(work_of_tones, 10, train.Settings(**{**vars(SETTINGS), "minutes": 1e9}))
    trained(other, cut, train.Settings(**{**vars(SETTINGS), "minutes": 1e9}))
    resumed = trained(other, 10, train.Settings(**{**vars(SETTINGS), "minutes": 1e9}))
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0, msg=name)


@pytest.mark.slow
def test_a_checkpoint_of_another_shape_is_refused(work_of_tones: Path) -> None:
    trained(work_of_tones, 1)
    bigger = MimiConfig(**{**vars(CONFIG), "hidden_size": 32, "upsample_groups": 32})
    with pytest.raises(ValueError, match="another shape"):
        train.train(work_of_tones, bigger, SETTINGS, most_steps=2)


@pytest.mark.slow
def test_polishing_changes_the_sound_and_no_code(work_of_tones: Path) -> None:
    trained(work_of_tones, 8)
    plain = train.trained_codec(work_of_tones)
    polish.polish(work_of_tones, POLISH, most_steps=6, log_every=1)
    shiny = polish.polished_codec(work_of_tones)
    audio = torch.from_numpy(Corpus.open(work_of_tones / "corpus", "validation").audio(0) / 32768)
    codes = plain.encode(audio.float()[None, None])
    assert torch.equal(codes, shiny.encode(audio.float()[None, None]))
    assert not torch.equal(plain.decode(codes), shiny.decode(codes))


@pytest.mark.slow
def test_polishing_another_codec_is_refused(work_of_tones: Path) -> None:
    trained(work_of_tones, 6)
    polish.polish(work_of_tones, POLISH, most_steps=1)
    trained(work_of_tones, 12)
    with pytest.raises(ValueError, match="polished another codec"):
        polish.polish(work_of_tones, POLISH, most_steps=2)
    # Nor is it taken for this one's, by an export or an evaluation.
    with pytest.raises(ValueError, match="polished another codec"):
        polish.polished_codec(work_of_tones)


@pytest.mark.slow
def test_a_finished_training_that_runs_again_leaves_its_checkpoint(work_of_tones: Path) -> None:
    trained(work_of_tones, 6)
    path = checkpoint.path_of(work_of_tones, "codec")
    before = path.stat().st_mtime_ns
    trained(work_of_tones, 6)
    assert path.stat().st_mtime_ns == before
    trained(work_of_tones, 7)
    assert path.stat().st_mtime_ns > before


@pytest.mark.parametrize("native", [True, False])
def test_codes_are_those_of_each_utterance_alone(
    work_of_tones: Path, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*arguments: object) -> None:
        raise NativeUnavailable("no compiler")

    if not native:
        monkeypatch.setattr("training.codec.encode.NativeEncoder", unavailable)
    trained(work_of_tones, 6)
    codec = train.trained_codec(work_of_tones)
    corpus = Corpus.open(work_of_tones / "corpus", "train")
    found = encode(codec, corpus)
    assert len(found) == len(corpus)
    for index, got in enumerate(found):
        audio = torch.from_numpy(corpus.audio(index) / np.float32(32768))
        want = codec.encode(audio[None, None])[0].T.numpy()
        assert got.dtype == np.uint16
        assert (got == want).mean() > 0.98  # a tie may fall otherwise in a batch
        assert len(got) == len(want)


def predict_tones(work: Path, speaker: str) -> Corpus:
    """Have the model say frame t of utterance u of a part as the codes (u + 1, t, 7)."""
    name = f"train-{speaker}-000"
    corpus = Corpus.open(work / "corpus", "train", [name])
    counts = [-(-utterance.samples // 1920) for utterance in corpus.utterances]
    said = [
        np.stack([np.full(n, u + 1), np.arange(n), np.full(n, 7)], axis=1)
        for u, n in enumerate(counts)
    ]
    stored.write(stored.codes_path(work, name, predicted=True), said)
    return corpus


@pytest.mark.parametrize("frames", [4, 40])
def test_predicted_codes_lie_beside_their_audio(work_of_tones: Path, frames: int) -> None:
    corpus = predict_tones(work_of_tones, "michael")
    crops = PredictedCrops(work_of_tones, frames=frames, frame_samples=1920, seed=1)
    assert len(crops) == len(corpus)
    heard = set()
    for step in range(6):
        codes, audio = crops.batch(step, 2)
        assert codes.shape == (2, 3, frames)
        assert audio.shape == (2, 1, frames * 1920)
        for row, frame in np.ndindex(2, frames):
            utterance, place = int(codes[row, 0, frame]) - 1, int(codes[row, 1, frame])
            want = corpus.audio(utterance)[place * 1920 :][:1920] / np.float32(32768)
            got = audio[row, 0, frame * 1920 :][:1920].numpy()
            assert np.array_equal(got[: len(want)], want)
            assert not got[len(want) :].any()
            heard.add((utterance, place))
    assert len(heard) > 20
    again = PredictedCrops(work_of_tones, frames=frames, frame_samples=1920, seed=1)
    assert torch.equal(again.batch(5, 2)[0], codes)


@pytest.mark.slow
def test_polishing_reads_predicted_codes_where_there_are_any(work_of_tones: Path) -> None:
    trained(work_of_tones, 8)
    polish.polish(work_of_tones, POLISH, most_steps=6, log_every=1)
    alone = polish.polished_codec(work_of_tones).state_dict()
    checkpoint.path_of(work_of_tones, polisher.STAGE).unlink()
    predict_tones(work_of_tones, "heart")
    polish.polish(work_of_tones, POLISH, most_steps=6, log_every=1)
    both = polish.polished_codec(work_of_tones).state_dict()
    assert any(not torch.equal(alone[name], both[name]) for name in alone)
    with pytest.raises(ValueError, match="predicted_rows: 3 is not allowed"):
        polish.polish(work_of_tones, replace(POLISH, predicted_rows=3), most_steps=7)


@pytest.mark.slow
@pytest.mark.parametrize(("predicted_rows", "judged"), [(0, [3]), (2, [1]), (3, [])])
def test_models_of_hearing_judge_the_encoders_codes_alone(
    work_of_tones: Path, predicted_rows: int, judged: list[int]
) -> None:
    trained(work_of_tones, 8)
    predict_tones(work_of_tones, "heart")
    settings = replace(POLISH, rows=3, predicted_rows=predicted_rows, adversary_steps=0)
    crops = Crops(
        Corpus.open(work_of_tones / "corpus", "train"), frames=4, frame_samples=1920, seed=0
    )
    predicted = PredictedCrops(work_of_tones, frames=4, frame_samples=1920, seed=1)
    listener = Listener().eval().requires_grad_(False)
    codec = train.trained_codec(work_of_tones)
    trainer = polisher.PolishTrainer(codec, settings, "cpu", predicted, listener)
    rows: list[int] = []
    trainer.perception.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    figures = trainer.step(crops)
    assert rows == judged
    assert ("loudness" in figures) == bool(judged)
    assert "apart" in figures
    held = trainer.validate(crops, batches=1)
    assert held["held_envelopes"] >= 0.0
    assert ("predicted_apart" in held) == (predicted_rows > 0)


@pytest.mark.slow
def test_a_paused_training_goes_on_from_its_averaged_weights(work_of_tones: Path) -> None:
    trained(work_of_tones, 8)
    path = checkpoint.path_of(work_of_tones, train.STAGE)
    state = checkpoint.load(path)
    assert state is not None
    small = pause.compact(train.STAGE, state)
    checkpoint.save(path, pause.expand(train.STAGE, small))
    resumed = train.trained_codec(work_of_tones)
    for name, tensor in resumed.state_dict().items():
        torch.testing.assert_close(tensor, state["average"][name], rtol=1e-3, atol=1e-3, msg=name)
    trained(work_of_tones, 9)
    full = checkpoint.load(path)
    assert full is not None
    assert full["step"] == 9
    assert "optimizer" in full


def test_a_paused_polish_is_small_and_goes_on(work_of_tones: Path) -> None:
    trained(work_of_tones, 6)
    codec = train.trained_codec(work_of_tones)
    settings = polisher.Settings(rows=2, frames=6, predicted_rows=0, adversary_steps=1)
    trainer = polisher.PolishTrainer(codec, settings, "cpu")
    corpus = Corpus.open(work_of_tones / "corpus", "train")
    crops = Crops(corpus, frames=6, frame_samples=1920, seed=1)
    for _ in range(3):
        trainer.step(crops)
    small = pause.compact(polisher.STAGE, trainer.state())
    assert not [name for name in small["model"] if name.startswith(FROZEN)]
    with pytest.raises(ValueError, match="codec is None"):
        pause.expand(polisher.STAGE, small)
    again = polisher.PolishTrainer(codec, settings, "cpu")
    again.restore(pause.expand(polisher.STAGE, small, codec.state_dict()))
    assert (again.step_number, again.warm_from) == (3, 3)
    own = trainer.average.state_dict()
    for name, tensor in again.average.state_dict().items():
        assert (tensor - own[name]).abs().max() <= own[name].abs().max() / 250, name
    again.step(crops)
    assert again.step_number == 4
