"""The corpus packed to travel to a machine that is lent for minutes: Ogg Opus instead of raw audio.

`python -m training.corpus.pack --work build/pico --out DIR --megabytes 45` packs whole parts of the
training split, the speakers' first parts first, until the room is used, and all of the validation
split; `python -m training.corpus.pack --unpack DIR --work build/pico` makes a corpus of them there.
Opus keeps the number of samples and their places; at 64 kbit/s a minute takes 0.45 MB instead of
2.9, and what it changes lies 22 dB below the speech.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.arguments import parser
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, part_names

LEAST_KBIT_S, MOST_KBIT_S = 24, 128
# libsndfile's scale: level 1 is 6 kbit/s, level 0 is 256.
_AT_LEVEL_1_KBIT_S, _SPAN_KBIT_S = 6, 250
_AUDIO, _LINES = ".opus", ".jsonl.xz"
_BLOCK_SAMPLES = SAMPLE_RATE_HZ * 60


class PackError(ValueError):
    """What is to be packed or unpacked is not there or not whole; the message names it."""


def pack(corpus: Path, out: Path, *, most_bytes: int, kbit_s: int) -> list[str]:
    """Write parts of `corpus` into `out`; returns their names.

    A part that would not fit is left out, and so are those behind it of its speaker.

    Raises:
        PackError: `kbit_s` is out of range, there is nothing to pack, or `out` has files already.
    """
    if not LEAST_KBIT_S <= kbit_s <= MOST_KBIT_S:
        raise PackError(f"kbit_s is {kbit_s}; allowed: {LEAST_KBIT_S} to {MOST_KBIT_S}")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise PackError(f"{out} has files in it; allowed: an empty folder")
    packed, used, full = [], 0, set[str]()
    for name in _in_order(corpus):
        speaker = name.split("-")[1]
        if speaker in full:
            continue
        audio, lines = (out / f"{name}{suffix}" for suffix in (_AUDIO, _LINES))
        _write_opus(corpus / f"{name}.s16", audio, kbit_s)
        lines.write_bytes(lzma.compress((corpus / f"{name}.jsonl").read_bytes()))
        size = audio.stat().st_size + lines.stat().st_size
        if used + size > most_bytes:
            audio.unlink()
            lines.unlink()
            full.add(speaker)
            continue
        used += size
        packed.append(name)
    if not packed:
        raise PackError(f"{corpus}: no whole part fits into {most_bytes / 1e6:g} MB")
    return packed


def unpack(packed: Path, corpus: Path) -> list[str]:
    """Make whole parts in `corpus` of what `pack` left in `packed`; returns their names.

    Raises:
        PackError: there is nothing in it, or a part is not whole.
    """
    import soundfile

    names = sorted(path.name.removesuffix(_LINES) for path in packed.glob(f"*{_LINES}"))
    if not names:
        raise PackError(f"{packed}: no packed part; `python -m training.corpus.pack` makes them")
    corpus.mkdir(parents=True, exist_ok=True)
    for name in names:
        source = packed / f"{name}{_AUDIO}"
        if not source.is_file():
            raise PackError(f"{source}: no such file; its lines are there")
        lines = lzma.decompress((packed / f"{name}{_LINES}").read_bytes())
        with soundfile.SoundFile(source) as file, (corpus / f"{name}.s16").open("wb") as raw:
            for block in file.blocks(_BLOCK_SAMPLES, dtype="int16"):
                raw.write(block.astype("<i2").tobytes())
        (corpus / f"{name}.jsonl").write_bytes(lines)
        (corpus / f"{name}.done").write_text(str(lines.count(b"\n")))
    return names


def _in_order(corpus: Path) -> Iterator[str]:
    """The validation split, then the training split: one part of every speaker, then the next."""
    yield from part_names(corpus, "validation")
    of_speakers = [
        [name for name in part_names(corpus, "train") if name.split("-")[1] == speaker]
        for speaker in SPEAKERS
    ]
    for place in range(max(map(len, of_speakers))):
        yield from (names[place] for names in of_speakers if place < len(names))


def _write_opus(raw: Path, path: Path, kbit_s: int) -> None:
    import soundfile

    audio = np.memmap(raw, dtype="<i2", mode="r")
    level = 1 - (kbit_s - _AT_LEVEL_1_KBIT_S) / _SPAN_KBIT_S
    with soundfile.SoundFile(
        path, "w", SAMPLE_RATE_HZ, 1, "OPUS", format="OGG", compression_level=level
    ) as file:
        for start in range(0, len(audio), _BLOCK_SAMPLES):
            file.write(np.asarray(audio[start : start + _BLOCK_SAMPLES]))


def main() -> None:
    options = parser("corpus.pack", __doc__)
    options.add_argument("--out", type=Path, help="an empty folder for what is packed")
    options.add_argument("--unpack", type=Path, help="a packed folder, instead of --out")
    options.add_argument("--megabytes", type=float, default=45, help="room for what is packed")
    options.add_argument("--kbit-s", type=int, default=64, help="of the audio")
    given = options.parse_args()
    if (given.out is None) == (given.unpack is None):
        options.error("either --out or --unpack is needed")
    corpus = given.work / "corpus"
    if given.unpack is not None:
        names = unpack(given.unpack, corpus)
    else:
        most_bytes = round(given.megabytes * 1e6)
        names = pack(corpus, given.out, most_bytes=most_bytes, kbit_s=given.kbit_s)
    seconds = sum((corpus / f"{n}.s16").stat().st_size for n in names) / 2 / SAMPLE_RATE_HZ
    print(f"{len(names)} parts, {seconds / 3600:.2f} hours")


if __name__ == "__main__":
    main()
