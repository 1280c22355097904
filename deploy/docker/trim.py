"""Takes out of a virtual environment what nothing in an image imports: `trim.py VENV`.

Used by the Dockerfile only, in the stages where packages are installed. What goes, and why, is in
the tables; packages that are not there are passed over. Symbols are stripped with binutils' strip
(of the build stage): libraries run as before, only a native backtrace loses names of functions.
"""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_EVERYWHERE = (
    "fsspec/tests",
    "google/api",
    "google/cloud",
    "google/gapic",
    "google/logging",
    "google/longrunning",
    "google/type",
    # Their imports are made when one asks for them by name; the services and `csm` never do.
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/_core/_simd.*.so",
    "numpy/_core/*_tests.*.so",
    "numpy/_pyinstaller",
    "numpy/distutils",
    "numpy/f2py",
    "numpy/random/lib",
    # Packages build with them, and services never do.
    "_distutils_hack",
    "distutils-precedence.pth",
    "pkg_resources",
    "setuptools",
    "setuptools-*.dist-info",
    "uvloop/*.pyx",
    "uvloop/*.pxd",
    "uvloop/handles",
    "uvloop/includes/*.pxd",
)
# Type stubs and sources of stubs are for who writes code.
_SUFFIXES = (".proto", ".pyi")

# What rich shows is text and tracebacks; 500 other languages stay out.
_LEXERS_KEPT = {"__init__.py", "_mapping.py", "python.py", "special.py"}

# torch.compile and exporting, which only a GPU is given (generator's `compiled`), torch's own
# tests, and headers.
_WITHOUT_GPU = (
    "functorch",
    "isympy.py",
    "mpmath",
    "mpmath-*.dist-info",
    "networkx",
    "networkx-*.dist-info",
    "sympy",
    "sympy-*.dist-info",
    "torch/_dynamo",
    "torch/_inductor",
    "torch/_vendor/quack",
    "torch/bin/*Test",
    "torch/bin/protoc*",
    "torch/bin/test_*",
    "torch/include",
    "torch/lib/*_test.so",
    "torch/lib/libaoti_custom_ops.so",
    "torch/lib/libbackend_with_compiler.so",
    "torch/onnx",
    "torch/share",
    "torch/test",
    "torch/utils/benchmark",
    "torchgen/packaged",
)
# `import torch` wants these two of its tests' helpers.
_TESTING_KEPT = {"__init__.py", "common_dtype.py", "logging_tensor.py"}

# With CUDA in them they are not ours to alter.
_NOT_STRIPPED_WITH_GPU = ("torch", "triton", "nvidia")

_LOADED = 1  # PT_LOAD


def trim(venv: Path, uses_gpu: bool) -> None:
    """Removes and strips; `uses_gpu` leaves what torch.compile needs."""
    (site,) = venv.glob("lib/python3*/site-packages")
    for pattern in _EVERYWHERE + (() if uses_gpu else _WITHOUT_GPU):
        for path in list(site.glob(pattern)):
            _remove(path)
    _keep_only(site / "pygments" / "lexers", _LEXERS_KEPT)
    if not uses_gpu:
        _keep_only(site / "torch" / "testing" / "_internal", _TESTING_KEPT)
    for path in list(site.rglob("*")):
        if path.suffix in _SUFFIXES:
            path.unlink()
    for path in _libraries(site, _NOT_STRIPPED_WITH_GPU if uses_gpu else ()):
        _strip(path)


def _strip(path: Path) -> None:
    stripped = path.with_name(path.name + ".stripped")
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path], check=True)
    # Libraries that auditwheel has patched do not survive it: the loader would refuse them.
    if _is_loadable(stripped.read_bytes()):
        shutil.copymode(path, stripped)
        stripped.replace(path)
    else:
        stripped.unlink()


def _is_loadable(elf: bytes) -> bool:
    """Whether each loaded segment of a 64-bit library lies in the file as it will in memory."""
    if elf[4:6] != b"\x02\x01":  # 64 bits, little-endian
        return False
    (start,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    for at in range(start, start + size * count, size):
        kind, _, offset, address, *_, alignment = struct.unpack_from("<IIQQQQQQ", elf, at)
        if kind == _LOADED and alignment and (offset - address) % alignment:
            return False
    return True


def _libraries(site: Path, but: tuple[str, ...]) -> Iterator[Path]:
    for path in site.rglob("*.so*"):
        top = path.relative_to(site).parts[0]
        if path.is_file() and not path.is_symlink() and top not in but:
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def _keep_only(folder: Path, names: set[str]) -> None:
    modules = {name.removesuffix(".py") for name in names}
    for path in list(folder.glob("*")) if folder.is_dir() else ():
        if path.name == "__pycache__":
            for compiled in path.glob("*.pyc"):
                if compiled.name.split(".")[0] not in modules:
                    compiled.unlink()
        elif path.name not in names:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
        compiled = path.parent / "__pycache__"
        for one in compiled.glob(f"{path.stem}.*.pyc"):
            one.unlink()


def _uses_gpu(venv: Path) -> bool:
    """Whether the torch of `venv`, where it has one, is built for CUDA or ROCm."""
    code = "import torch; print(bool(torch.version.cuda or torch.version.hip))"
    done = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, text=True)
    return done.stdout.strip() == "True"


if __name__ == "__main__":
    trim(Path(sys.argv[1]), _uses_gpu(Path(sys.argv[1])))
