"""A corpus small enough to travel to another machine, and back to what the stages read.

    python -m training.codec.pack --out build/travel              # here
    python -m training.codec.pack --unpack build/travel --work /tmp/work     # there

The first minutes of every speaker's training, and all of the validation, as Ogg Opus: an hour of
four speakers is some 30 MB. Needs soundfile on both sides, a wheel of 1.4 MB.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile

from training.arguments import parser
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, Corpus, PartWriter, part_names

# libsndfile's scale: some 70 kbit/s of speech, at which a band of 12 kHz is whole.
_COMPRESSION = 0.75
_ENDING = ".ogg"
# What libsndfile is given at once: its Opus writer keeps a whole call on the stack.
_BLOCK = SAMPLE_RATE_HZ


def pack(corpus: Path, to: Path, *, minutes: float) -> int:
    """Write up to `minutes` of each speaker's training and validation into `to`; returns bytes.

    Raises:
        ValueError: `minutes` is not above 0.
        FileNotFoundError: there is no whole part of a split.
    """
    if not minutes > 0:
        raise ValueError(f"minutes: {minutes} is not allowed, must be above 0")
    to.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        names = part_names(corpus, split)
        if not names:
            raise FileNotFoundError(f"{corpus}: no whole part of {split}")
        for speaker in range(len(SPEAKERS)):
            _pack_speaker(corpus, split, names, speaker, to, minutes)
    return sum(path.stat().st_size for path in to.iterdir())


def _pack_speaker(
    corpus: Path, split: str, names: list[str], speaker: int, to: Path, minutes: float
) -> None:
    left = round(60 * minutes * SAMPLE_RATE_HZ)
    for name in (each for each in names if f"-{SPEAKERS[speaker]}-" in each):
        part = Corpus.open(corpus, split, [name])
        writer, taken = PartWriter(to, name), []
        for index, utterance in enumerate(part.utterances):
            if left <= 0:
                break
            writer.add(utterance.text, utterance.speaker, part.audio(index), utterance.phones)
            taken.append(part.audio(index))
            left -= utterance.samples
        writer.close(whole=bool(taken))
        (to / f"{name}.s16").unlink()
        if taken:
            _write(to / f"{name}{_ENDING}", np.concatenate(taken))
        else:
            (to / f"{name}.jsonl").unlink()
            return


def _write(path: Path, audio: np.ndarray) -> None:
    with soundfile.SoundFile(
        path, "w", SAMPLE_RATE_HZ, 1, "OPUS", format="OGG", compression_level=_COMPRESSION
    ) as file:
        for start in range(0, len(audio), _BLOCK):
            file.write(audio[start : start + _BLOCK])


def unpack(source: Path, corpus: Path) -> list[str]:
    """Make parts of what `pack` wrote; returns their names.

    Raises:
        FileNotFoundError: there is nothing packed.
        ValueError: a part is shorter than its lines say.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    names = sorted(path.stem for path in source.glob(f"*{_ENDING}"))
    if not names:
        raise FileNotFoundError(f"{source}: no packed part; `python -m training.codec.pack`")
    for name in names:
        audio, _ = soundfile.read(source / f"{name}{_ENDING}", dtype="int16")
        shutil.copyfile(source / f"{name}.jsonl", corpus / f"{name}.jsonl")
        audio.astype("<i2").tofile(corpus / f"{name}.s16")
        last = Corpus.open(corpus, name.split("-")[0], [name]).utterances[-1]
        if last.offset + last.samples > len(audio):
            raise ValueError(
                f"{name}: {len(audio)} samples are not allowed, must be at least "
                f"{last.offset + last.samples}"
            )
        shutil.copyfile(source / f"{name}.done", corpus / f"{name}.done")
    return names


def main() -> None:
    options = parser("codec.pack", __doc__)
    options.add_argument("--minutes", type=float, default=20.0, help="of a speaker (%(default)s)")
    options.add_argument("--out", type=Path, default=Path("build/travel"), help="packed parts")
    options.add_argument("--unpack", type=Path, metavar="PACKED", help="make a corpus of these")
    given = options.parse_args()
    corpus = given.work / "corpus"
    if given.unpack:
        print("\n".join(unpack(given.unpack, corpus)))
        return
    print(f"{given.out}: {pack(corpus, given.out, minutes=given.minutes) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
