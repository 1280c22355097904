"""A small corpus of tones, for the stages that read one."""

from pathlib import Path

import numpy as np
import pytest

from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, PartWriter, Phone


def write_part(directory: Path, split: str, speaker: int, utterances: int) -> None:
    """Utterances of one second and a bit: a pause, then a gliding tone as phone 5."""
    random = np.random.default_rng((speaker, utterances))
    writer = PartWriter(directory, f"{split}-{SPEAKERS[speaker]}-000")
    for _ in range(utterances):
        samples = SAMPLE_RATE_HZ + int(random.integers(4000))
        time = np.arange(samples) / SAMPLE_RATE_HZ
        tone = 0.3 * np.sin(2 * np.pi * (150 + 80 * speaker + 60 * time) * time)
        tone[:2400] = 0.0
        phones = (Phone(0, 2400, -1, -1), Phone(5, samples, 0, 5))
        writer.add("hello", speaker, (tone * 32767).astype(np.int16), phones)
    writer.close(whole=True)


@pytest.fixture
def work_of_tones(tmp_path: Path) -> Path:
    """A work directory with `train` and `validation` of two speakers."""
    for split, count in (("train", 6), ("validation", 2)):
        for speaker in (0, 1):
            write_part(tmp_path / "corpus", split, speaker, count)
    return tmp_path
