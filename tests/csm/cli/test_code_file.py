"""Codes on disk: what is written is read, and what cannot be decoded is named."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from csm.cli.code_file import CodeFile
from csm.cli.reporting import CommandError

CODES = np.arange(24, dtype=np.uint16).reshape(3, 8)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    CodeFile(CODES, 5000, 24_000, "pico", "abc").write(file)
    read = CodeFile.read(file)
    np.testing.assert_array_equal(read.codes, CODES)
    assert (read.num_samples, read.sample_rate_hz) == (5000, 24_000)
    assert (read.model, read.digest) == ("pico", "abc")
    with safe_open(file, framework="numpy") as stored:
        assert stored.get_tensor("codes").dtype == np.int32
    assert [one.name for one in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int64, np.uint8])
def test_a_bare_tensor_of_any_integers_will_do(tmp_path: Path, dtype: type) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"codes": CODES.astype(dtype)}, file)
    read = CodeFile.read(file)
    np.testing.assert_array_equal(read.codes, CODES)
    assert read.num_samples == 0


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ({"other": CODES}, {}, "no tensor 'codes' .*other"),
        ({"codes": CODES.astype(np.float32)}, {}, r"float32 \[3, 8\]"),
        ({"codes": CODES[0]}, {}, r"uint16 \[8\]"),
        ({"codes": CODES[:0]}, {}, r"\[0, 8\]"),
        ({"codes": CODES.astype(np.int32) - 1}, {}, r"-1\.\.22"),
        ({"codes": CODES.astype(np.int32) + 65_530}, {}, r"65530\.\.65553"),
        ({"codes": CODES}, {"num_samples": "many"}, "num_samples is 'many'"),
        ({"codes": CODES}, {"num_samples": "-5"}, "num_samples is '-5'"),
    ],
)
def test_a_file_that_will_not_do_is_named_with_the_reason(
    tmp_path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str], words: str
) -> None:
    file = tmp_path / "x.safetensors"
    save_file(tensors, file, metadata)
    with pytest.raises(CommandError, match=words) as caught:
        CodeFile.read(file)
    assert str(file) in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    for content in (b"", b"RIFF", b"\xff" * 100):
        file.write_bytes(content)
        with pytest.raises(CommandError, match="not a safetensors file"):
            CodeFile.read(file)
    with pytest.raises(CommandError, match="no such file"):
        CodeFile.read(tmp_path / "none")
    with pytest.raises(CommandError, match="is a directory"):
        CodeFile.read(tmp_path)


def test_a_codec_of_other_sizes_is_refused() -> None:
    stored = CodeFile(CODES, 0, 24_000)
    stored.check(Path("x"), 8, 24)
    with pytest.raises(CommandError, match="frames of 8 codes; this codec has 32"):
        stored.check(Path("x"), 32, 2048)
    with pytest.raises(CommandError, match=r"code 23 .* 0\.\.22"):
        stored.check(Path("x"), 8, 23)
