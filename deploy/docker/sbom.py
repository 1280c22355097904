"""Writes what an image consists of, as CycloneDX 1.6 in JSON, one file a name.

    sbom.py --venv /venv --dpkg /var/lib/dpkg --out FOLDER gateway

Used by the Dockerfile only, with cyclonedx-bom installed beside it. The Python packages and their
licences are what cyclonedx-bom finds in the virtual environment, the Debian packages what dpkg
knows. The same packages give the same file: it holds no time and no serial number.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = "csm-server"
SPECIFICATION = "1.6"
_FIELDS = ("Package", "Version", "Architecture", "source:Package", "source:Version", "Maintainer")


def bill(name: str, python: dict[str, Any], debian: list[dict[str, Any]]) -> dict[str, Any]:
    """The document of the image csm-`name`, from the one of its Python environment.

    python: what `cyclonedx-py environment` writes, with this project among the components.
    debian: components of Debian packages.
    """
    versions = {one["name"]: one["version"] for one in python["components"]}
    root = f"csm-{name}"
    refs = [one["bom-ref"] for one in [*python["components"], *debian]]
    return {
        **python,
        "metadata": {
            **python.get("metadata", {}),
            "component": {
                "bom-ref": root,
                "type": "container",
                "name": root,
                "version": versions[PROJECT],
            },
        },
        "components": [*python["components"], *debian],
        "dependencies": [*python.get("dependencies", ()), {"ref": root, "dependsOn": sorted(refs)}],
    }


def python_packages(venv: Path) -> dict[str, Any]:
    """The document of a virtual environment."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    done = subprocess.run(
        [tool, "environment", "--sv", SPECIFICATION, "--output-reproducible", venv / "bin/python"],
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    return dict(found)


def debian_packages(dpkg: Path) -> list[dict[str, Any]]:
    """A component for each installed package; `dpkg` is a copy of /var/lib/dpkg."""
    line = "\\t".join(f"${{{field}}}" for field in ("db:Status-Abbrev", *_FIELDS)) + "\\n"
    done = subprocess.run(
        ["dpkg-query", f"--admindir={dpkg}", "--show", f"--showformat={line}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return [_debian_component(*rest) for status, *rest in lines if status[1:2] == "i"]


def _debian_component(
    name: str, version: str, architecture: str, source: str, source_version: str, maintainer: str
) -> dict[str, Any]:
    """One package; vulnerabilities of Debian are told by source package, hence `upstream`."""
    plain = version.replace(":", "%3A").replace("+", "%2B")
    upstream = source if source_version == version else f"{source}@{source_version}"
    upstream = upstream.replace(":", "%3A").replace("+", "%2B").replace("@", "%40")
    return {
        "bom-ref": f"deb:{name}:{architecture}",
        "type": "library",
        "name": name,
        "version": version,
        "publisher": maintainer,
        "purl": f"pkg:deb/debian/{name}@{plain}?arch={architecture}&upstream={upstream}",
    }


def interpreter(debian: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Python itself, where it is none of Debian's packages, as in the python images."""
    if any(one["name"].startswith("python3.") for one in debian):
        return []
    version = platform.python_version()
    return [
        {
            "bom-ref": f"python:{version}",
            "type": "platform",
            "name": "python",
            "version": version,
            "purl": f"pkg:generic/python@{version}",
        }
    ]


def _check(text: str) -> None:
    from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
    from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found]

    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"sbom.py: {wrong}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Bills of materials of images.")
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--dpkg", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("names", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    python = python_packages(arguments.venv)
    debian = debian_packages(arguments.dpkg)
    debian += interpreter(debian)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        text = json.dumps(bill(name, python, debian), indent=1, sort_keys=True) + "\n"
        _check(text)
        (arguments.out / f"{name}.cdx.json").write_text(text)


if __name__ == "__main__":
    main()
