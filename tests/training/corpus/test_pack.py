"""A corpus that travels comes out as it went in, but for what Opus loses."""

from pathlib import Path

import numpy as np
import pytest

from training.corpus.pack import PackError, pack, unpack
from training.corpus.store import Corpus


def test_a_corpus_comes_out_in_time_and_nearly_as_it_was(work_of_tones: Path) -> None:
    corpus, out, there = (work_of_tones / name for name in ("corpus", "packed", "there"))
    names = pack(corpus, out, most_bytes=10**6, kbit_s=64)
    assert names[:2] == ["validation-heart-000", "validation-michael-000"]
    assert sorted(unpack(out, there)) == sorted(names)
    for split in ("train", "validation"):
        before, after = Corpus.open(corpus, split), Corpus.open(there, split)
        assert before.utterances == after.utterances
        for index in range(len(before)):
            was, came = (c.audio(index).astype(float) for c in (before, after))
            assert len(was) == len(came)
            # A mean error of a tenth of the signal is 20 dB below it.
            assert np.sqrt(np.mean((was - came) ** 2)) < 0.2 * np.sqrt(np.mean(was**2))
    raw = sum(path.stat().st_size for path in corpus.glob("*.s16"))
    assert sum(path.stat().st_size for path in out.iterdir()) < raw / 3


def test_it_stops_where_the_room_ends(work_of_tones: Path) -> None:
    corpus, out = work_of_tones / "corpus", work_of_tones / "packed"
    names = pack(corpus, out, most_bytes=60_000, kbit_s=64)
    assert 0 < len(names) < 4
    assert sum(path.stat().st_size for path in out.iterdir()) <= 60_000
    assert {path.name.split(".")[0] for path in out.iterdir()} == set(names)


def test_what_cannot_be_packed_is_named(work_of_tones: Path) -> None:
    corpus, out = work_of_tones / "corpus", work_of_tones / "packed"
    with pytest.raises(PackError, match="kbit_s is 8; allowed: 24 to 128"):
        pack(corpus, out, most_bytes=10**6, kbit_s=8)
    with pytest.raises(PackError, match=r"no whole part fits into 0\.001 MB"):
        pack(corpus, out, most_bytes=1000, kbit_s=64)
    (out / "x").touch()
    with pytest.raises(PackError, match="has files in it"):
        pack(corpus, out, most_bytes=10**6, kbit_s=64)


def test_what_cannot_be_unpacked_is_named(work_of_tones: Path) -> None:
    corpus, out = work_of_tones / "corpus", work_of_tones / "packed"
    out.mkdir()
    with pytest.raises(PackError, match="no packed part"):
        unpack(out, work_of_tones / "there")
    pack(corpus, out, most_bytes=10**6, kbit_s=64)
    (out / "train-heart-000.opus").unlink()
    with pytest.raises(PackError, match=r"train-heart-000\.opus: no such file"):
        unpack(out, work_of_tones / "there")
