"""trim.py on a virtual environment that is made up, but for its one real library."""

import shutil
import struct
from pathlib import Path

import pytest

from deploy.docker import trim

LIBRARY = next(iter(Path("/usr/lib").rglob("libz.so*")), None)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    it = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in (
        "numpy/__init__.py", "numpy/__init__.pyi", "numpy/lib/tests/test_lib.py",
        "numpy/f2py/__init__.py", "pygments/lexers/python.py", "pygments/lexers/cobol.py",
        "pygments/lexers/__pycache__/python.cpython-311.pyc",
        "pygments/lexers/__pycache__/cobol.cpython-311.pyc",
        "sympy/__init__.py", "sympy-1.14.0.dist-info/RECORD", "isympy.py",
        "__pycache__/isympy.cpython-311.pyc", "setuptools/__init__.py",
        "torch/__init__.py", "torch/include/torch.h", "torch/_inductor/ir.py",
        "torch/testing/__init__.py", "torch/testing/_internal/__init__.py",
        "torch/testing/_internal/common_dtype.py", "torch/testing/_internal/common_utils.py",
    ):  # fmt: skip
        (it / name).parent.mkdir(parents=True, exist_ok=True)
        (it / name).touch()
    return it


def names(site: Path) -> set[str]:
    return {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}


def test_what_is_left_is_what_is_imported(site: Path) -> None:
    trim.trim(site.parents[2], uses_gpu=False)
    assert names(site) == {
        "numpy/__init__.py", "pygments/lexers/python.py",
        "pygments/lexers/__pycache__/python.cpython-311.pyc",
        "torch/__init__.py", "torch/testing/__init__.py", "torch/testing/_internal/__init__.py",
        "torch/testing/_internal/common_dtype.py",
    }  # fmt: skip


def test_a_gpu_keeps_what_compiles_models(site: Path) -> None:
    trim.trim(site.parents[2], uses_gpu=True)
    left = names(site)
    assert {"sympy/__init__.py", "torch/_inductor/ir.py", "torch/include/torch.h"} <= left
    assert "numpy/f2py/__init__.py" not in left


@pytest.mark.skipif(LIBRARY is None, reason="no library of the system to strip")
@pytest.mark.skipif(shutil.which("strip") is None, reason="strip is not installed (binutils)")
def test_a_library_is_stripped_and_another_file_of_that_name_left(site: Path) -> None:
    assert LIBRARY is not None
    library = site / "numpy" / "libz.so"
    shutil.copy(LIBRARY, library)
    whole = library.read_bytes()
    (site / "numpy" / "notes.so").write_text("no library")
    trim.trim(site.parents[2], uses_gpu=False)
    assert library.read_bytes()[:4] == b"\x7fELF"
    assert library.stat().st_size <= len(whole)
    assert (site / "numpy" / "notes.so").read_text() == "no library"
    assert not list(site.rglob("*.stripped"))


@pytest.mark.parametrize(("address", "is_loadable"), [(0x2000, True), (0x2010, False)])
def test_a_library_that_the_loader_would_refuse_is_known(address: int, is_loadable: bool) -> None:
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", head, 0x20, 64)
    struct.pack_into("<HH", head, 0x36, 56, 1)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x1000, address, address, 64, 64, 0x1000)
    assert trim._is_loadable(bytes(head) + segment) is is_loadable
