"""What is large in images: `python -m deploy.docker.contents csm-gateway:latest ...`.

Prints a table in Markdown, in MB (10**6 bytes of files): Debian and Python as one line each, the
packages of the virtual environment, our code and the model. `--files N` adds the N largest files,
`--debian N` the N largest packages of Debian.
"""

import argparse
import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

MB = 10**6
LEAST_MB = 1.0
"""Packages below it are summed up in one line."""

_ENGINE = Path(__file__).with_name("engine.sh")

# Runs inside the image, with Python's own library alone.
_MEASURE = """
import json, os
found, seen = {}, set()
for top, folders, files in os.walk("/"):
    if top == "/":
        folders[:] = [f for f in folders if f not in ("proc", "sys", "dev", "run")]
    for name in files:
        path = os.path.join(top, name)
        info = os.lstat(path)
        if (info.st_dev, info.st_ino) not in seen:
            seen.add((info.st_dev, info.st_ino))
            found[path] = info.st_size
debian = {}
for top, _, files in os.walk("/var/lib/dpkg/info"):
    for name in files:
        if name.endswith(".list"):
            paths = open(os.path.join(top, name)).read().split("\\n")
            debian[name[:-5].split(":")[0]] = sum(found.get(os.path.realpath(p), 0) for p in paths)
print(json.dumps({"files": found, "debian": debian}))
"""


def measure(image: str) -> dict[str, dict[str, int]]:
    """`files`: path -> bytes, `debian`: package -> bytes, of an image that is here."""
    limits = ("--ulimit", "nofile=10000:10000", "--ulimit", "nproc=4096:4096")
    command = (_engine(), "run", "--rm", "--network", "none", *limits, "--user", "0")
    done = subprocess.run(
        [*command, "--entrypoint", "python", image, "-c", _MEASURE],
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(done.stdout))


def image_bytes(image: str) -> int:
    """What the engine says that all layers of an image take."""
    done = subprocess.run(
        [_engine(), "image", "inspect", image], stdout=subprocess.PIPE, check=True
    )
    (description,) = json.loads(done.stdout)
    return int(description["Size"])


def parts(files: dict[str, int]) -> Counter[str]:
    """Bytes by what a file belongs to: a package of /venv, a folder of /app, else the base."""
    found: Counter[str] = Counter()
    for path, size in files.items():
        found[_part(path)] += size
    return found


def _part(path: str) -> str:
    parts = path.strip("/").split("/")
    if parts[0] == "app":
        return "the model pico" if parts[1] == "models" else "our code"
    if parts[0] == "venv":
        if len(parts) > 4 and parts[3] == "site-packages":
            # `numpy`, `numpy.libs` and `numpy-2.0.dist-info` are one package.
            return parts[4].split("-")[0].removesuffix(".libs").removesuffix(".py").lstrip("_")
        return "other packages"
    return "Debian and Python"


def table(images: list[str]) -> str:
    """One row a part, one column an image, in MB; the sum of the engine last."""
    columns = {image: parts(measure(image)["files"]) for image in images}
    rows: dict[str, list[float]] = {}
    for name in sorted({name for column in columns.values() for name in column}):
        sizes = [column[name] / MB for column in columns.values()]
        small = max(sizes) < LEAST_MB and name not in ("our code",)
        row = "other packages" if small else name
        rows[row] = [a + b for a, b in zip(rows.get(row, [0.0] * len(images)), sizes, strict=True)]
    first = ("Debian and Python", "our code", "the model pico")
    last = "other packages"
    ordered = [name for name in first if name in rows]
    ordered += sorted((n for n in rows if n not in (*first, last)), key=lambda n: -max(rows[n]))
    ordered += [last] if last in rows else []
    lines = [
        _line("MB", [image.split("/")[-1] for image in images]),
        "|---" * (len(images) + 1) + "|",
    ]
    for name in ordered:
        lines.append(_line(name, [f"{size:.1f}" if size else "" for size in rows[name]]))
    whole = [f"**{image_bytes(image) / MB:.0f}**" for image in images]
    return "\n".join([*lines, _line("**image**", whole)])


def _line(first: str, rest: list[str]) -> str:
    return "| " + " | ".join([first, *rest]) + " |"


def _largest(sizes: dict[str, int], count: int) -> str:
    ordered = sorted(sizes.items(), key=lambda one: -one[1])[:count]
    return "\n".join(f"{size / MB:8.2f}  {name}" for name, size in ordered)


def _engine() -> str:
    done = subprocess.run([_ENGINE], stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return done.stdout.strip()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What is large in images.")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--files", type=int, default=0, metavar="N")
    parser.add_argument("--debian", type=int, default=0, metavar="N")
    arguments: Any = parser.parse_args()
    print(table(arguments.images))
    for image in arguments.images if arguments.files or arguments.debian else ():
        found = measure(image)
        print(f"\n{image}")
        print(_largest(found["debian"], arguments.debian))
        print(_largest(found["files"], arguments.files))


if __name__ == "__main__":
    main()
