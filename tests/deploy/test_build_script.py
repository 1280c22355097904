"""build.sh: which images it makes, of what, and what it refuses. The engine is a stand-in."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.facts import DEPLOY, SERVICES, VERSION


@pytest.mark.parametrize(
    ("arguments", "images"),
    [
        (["7"], "gateway tokenizer generator"),
        (["7", "gpu"], "generator-gpu"),
        (["7", "all"], "gateway tokenizer generator generator-gpu"),
    ],
)
def test_the_build_script_makes_the_images_it_is_asked_for(
    arguments: list[str], images: str, tmp_path: Path
) -> None:
    engine = tmp_path / "docker"
    engine.write_text(
        '#!/bin/sh\necho "$@" >> "$LOG"\ncase "$*" in *cdx*) echo "bill of $8";; esac\n'
    )
    engine.chmod(0o700)
    log = tmp_path / "log"
    done = subprocess.run(
        [DEPLOY / "docker" / "build.sh", *arguments],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(log), "CSM_ENGINE": "docker",
            "HOME": str(tmp_path), "CSM_SOURCE": "https://example.org/csm",
            "CSM_EXTRAS": "av,recognition", "CSM_SBOM": str(tmp_path / "sbom"),
        },
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    builds = [line.split() for line in log.read_text().splitlines() if line.startswith("build ")]
    assert [line[line.index("-t") + 1] for line in builds] == [
        f"csm-{name}:7" for name in images.split()
    ]
    for line in builds:
        is_gpu = "csm-generator-gpu:7" in line
        assert line[line.index("--target") + 1] in SERVICES
        assert f"TORCH_BACKEND={'cu130' if is_gpu else 'cpu'}" in line
        assert f"VERSION={VERSION}" in line
        assert "SOURCE=https://example.org/csm" in line
        assert "EXTRAS=av,recognition" in line
        assert any(re.fullmatch(r"REVISION=([0-9a-f]{40}|unknown)", one) for one in line)
    # What is in an image is told by the image itself, and laid beside it.
    bills = {path.name: path.read_text() for path in (tmp_path / "sbom").iterdir()}
    assert bills == {
        f"csm-{name}-7.cdx.json": "bill of /usr/share/doc/csm/sbom.cdx.json\n"
        for name in images.split()
    }
    printed = [line for line in log.read_text().splitlines() if "cdx" in line]
    assert [f"csm-{name}:7" in line for name, line in zip(images.split(), printed, strict=True)]


def test_the_build_script_refuses_a_gpu_image_whose_torch_uses_no_gpu(tmp_path: Path) -> None:
    engine = tmp_path / "docker"
    log = tmp_path / "log"
    engine.write_text('#!/bin/sh\necho "$@" >> "$LOG"\n[ "$1" != run ]\n')
    engine.chmod(0o700)
    done = subprocess.run(
        [DEPLOY / "docker" / "build.sh", "7", "gpu"],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin", "CSM_ENGINE": "docker", "HOME": str(tmp_path),
            "CSM_TORCH_GPU_BACKEND": "pip", "LOG": str(log),
        },
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "csm-generator-gpu:7 had a torch that uses no GPU" in done.stderr
    assert "CSM_TORCH_GPU_BACKEND (it is pip)" in done.stderr
    assert log.read_text().splitlines()[-1] == "image rm csm-generator-gpu:7"


def test_the_build_script_refuses_an_image_it_does_not_know() -> None:
    script = [DEPLOY / "docker" / "build.sh", "7", "tpu"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 2
    assert "tpu is not allowed, must be cpu, gpu or all" in done.stderr
