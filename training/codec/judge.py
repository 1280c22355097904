"""Listen to the codec in training: words and ratings of validation clips that went through it.

Whisper hears the words, DNSMOS rates, both as in the evaluation (`training.evaluate`), beside the
teachers' own audio. For choosing among checkpoints, and for knowing when to stop: **never a loss**.
Every run prints a table and appends a line for each row to `logs/judge.jsonl`; with `--keep` the
checkpoint is copied to `checkpoints/<stage>.best.pt` where none before was rated as high.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from rich.progress import track

from services.tokenizer.codec.mimi import Mimi
from training import checkpoint
from training.arguments import parser
from training.codec.polish import polished_codec
from training.codec.polisher import STAGE as POLISH
from training.codec.quantizer import unquantized
from training.codec.train import STAGE as CODEC
from training.codec.train import trained_codec
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, Corpus, to_float
from training.evaluate import bootstrap, english
from training.evaluate.dnsmos import SCALES, Dnsmos, Rating
from training.evaluate.held_out import sample_of
from training.evaluate.markdown import number, table
from training.evaluate.whisper import Whisper
from training.evaluate.words import Errors, total

# More words lost than this are too many for a better sound.
_WORDS = 0.02


class Hearing(Protocol):
    """Who hears words: `training.evaluate.whisper.Whisper`."""

    def transcribe(self, clips: Sequence[np.ndarray], rate_hz: int) -> list[str]: ...


class Rater(Protocol):
    """Who rates: `training.evaluate.dnsmos.Dnsmos`."""

    def rate(self, clips: Sequence[np.ndarray], rate_hz: int) -> list[Rating]: ...


@dataclass(frozen=True, eq=False)
class Sentence:
    """A validation clip: who says what; `audio` float32 [samples] at the corpus's rate."""

    speaker: int
    text: str
    audio: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """The judges' figures of one kind of clips by one speaker ("all": by everybody)."""

    kind: str
    speaker: str
    clips: int
    word_error_rate: float
    ovrl: float
    ovrl_low: float
    ovrl_high: float
    sig: float
    bak: float
    p808: float


def sentences(work: Path, clips: int) -> list[Sentence]:
    """`clips` validation utterances of every speaker there is, spread evenly.

    Raises:
        ValueError: `clips` is below 1.
        FileNotFoundError: there is no validation part.
    """
    if clips < 1:
        raise ValueError(f"clips: {clips} is not allowed, must be at least 1")
    corpus = Corpus.open(work / "corpus", "validation")
    chosen = sample_of(corpus, clips, range(len(SPEAKERS)))
    found = [(corpus.utterances[index], to_float(corpus.audio(index))) for index in chosen]
    return [Sentence(one.speaker, one.text, audio) for one, audio in found]


@torch.no_grad()
def round_trip(mimi: Mimi, audio: np.ndarray, *, quantized: bool = True) -> np.ndarray:
    """Audio, float32 [samples], through the codec and back; `quantized` False: not by codes."""
    padded = mimi.pad(torch.from_numpy(audio)[None, None])
    if quantized:
        heard = mimi.decode(mimi.encode(padded))
    else:
        heard = mimi.synthesize(unquantized(mimi.quantizer, mimi.latents(padded)))
    return heard[0, 0, : len(audio)].numpy().clip(-1, 1)


def judge(
    kind: str,
    said: Sequence[Sentence],
    clips: Sequence[np.ndarray],
    hearing: Hearing,
    rater: Rater,
) -> list[Verdict]:
    """The verdict on `clips`, one for each of `said`: by speaker, and over all."""
    errors, ratings = [], []
    # One after another: each verdict is kept as soon as it is there.
    for sentence, clip in track(list(zip(said, clips, strict=True)), description=kind):
        heard = hearing.transcribe([clip], SAMPLE_RATE_HZ)[0]
        errors.append(english.errors(sentence.text, heard))
        ratings += rater.rate([clip], SAMPLE_RATE_HZ)
    groups = {
        name: [place for place, sentence in enumerate(said) if sentence.speaker == number]
        for number, name in enumerate(SPEAKERS)
    }
    groups["all"] = list(range(len(said)))
    return [
        _verdict(kind, name, [errors[p] for p in places], [ratings[p] for p in places])
        for name, places in groups.items()
        if places
    ]


def _verdict(
    kind: str, speaker: str, errors: Sequence[Errors], ratings: Sequence[Rating]
) -> Verdict:
    means = {name: float(np.mean([getattr(one, name) for one in ratings])) for name in SCALES}
    ovrl = bootstrap.mean([one.ovrl for one in ratings])
    words = total(errors).rate
    sure = {"ovrl_low": ovrl.low, "ovrl_high": ovrl.high}
    return Verdict(kind, speaker, len(errors), words, **sure, **means)


def page(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table."""
    rows = [
        [
            *(f"{one.kind}, {one.speaker}", str(one.clips), number(one.word_error_rate)),
            *(number(one.ovrl, ".2f"), f"{one.ovrl_low:.2f} to {one.ovrl_high:.2f}"),
            *(number(value, ".2f") for value in (one.sig, one.bak, one.p808)),
        ]
        for one in verdicts
    ]
    return table(("clips", "count", "WER", "OVRL", "95 %", "SIG", "BAK", "P808"), rows)


def is_best(work: Path, verdict: Verdict) -> bool:
    """Whether no line of the log is of the same kind and number of clips and rated as high.

    Rated by OVRL and P808 together; one that loses two words in a hundred more than the best of
    the log is none.
    """
    path = work / "logs" / "judge.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    before = [
        line
        for line in map(json.loads, lines)
        if (line["kind"], line["speaker"], line["clips"])
        == (verdict.kind, verdict.speaker, verdict.clips)
    ]
    if not before:
        return True
    words = min(line["word_error_rate"] for line in before)
    rated = max(line["ovrl"] + line["p808"] for line in before)
    return verdict.word_error_rate <= words + _WORDS and verdict.ovrl + verdict.p808 > rated


def _log(work: Path, progress: Mapping[str, float], verdicts: Sequence[Verdict]) -> None:
    path = work / "logs" / "judge.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for one in verdicts:
            file.write(json.dumps({**progress, **asdict(one)}) + "\n")


def _progress(work: Path, stage: str) -> dict[str, float]:
    state = checkpoint.load(checkpoint.path_of(work, stage)) or {}
    return {"step": state.get("step", 0), "minutes": round(state.get("seconds", 0.0) / 60, 1)}


def main() -> None:
    options = parser("codec.judge", __doc__)
    options.add_argument("--clips", type=int, default=20, help="of each speaker (%(default)s)")
    options.add_argument("--threads", type=int, default=1, help="of the processor (%(default)s)")
    options.add_argument("--stage", choices=(CODEC, POLISH), default=CODEC)
    options.add_argument("--keep", action="store_true", help="a copy of what is the best so far")
    options.add_argument(
        "--unquantized", action="store_true", help="the codec without its codebooks as well"
    )
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    place = given.work / "judge"
    hearing = Whisper(place / "whisper", cache=place / "heard.json", threads=given.threads)
    rater = Dnsmos(cache=place / "ratings.json", threads=given.threads)
    said = sentences(given.work, given.clips)
    opened: dict[str, Callable[[Path], Mimi]] = {CODEC: trained_codec, POLISH: polished_codec}
    path = checkpoint.path_of(given.work, given.stage)
    taken = path.with_suffix(".judged")
    if given.keep:
        # The training goes on meanwhile.
        shutil.copyfile(path, taken)
    mimi, progress = opened[given.stage](given.work), _progress(given.work, given.stage)
    verdicts = judge("teacher", said, [one.audio for one in said], hearing, rater)
    for kind, quantized in ((given.stage, True), ("unquantized", False)):
        if quantized or given.unquantized:
            clips = [round_trip(mimi, one.audio, quantized=quantized) for one in said]
            verdicts += judge(kind, said, clips, hearing, rater)
    if given.keep:
        own = next(one for one in verdicts if (one.kind, one.speaker) == (given.stage, "all"))
        if is_best(given.work, own):
            taken.replace(path.with_suffix(".best.pt"))
        taken.unlink(missing_ok=True)
    _log(given.work, progress, verdicts)
    print(f"{given.stage}: step {progress['step']}, {progress['minutes']} minutes\n")
    print(page(verdicts))


if __name__ == "__main__":
    main()
