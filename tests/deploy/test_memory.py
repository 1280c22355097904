"""The limits that we ship hold what the models take that run under them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.generator import bounds
from services.generator.model import hub
from services.generator.model.config import CsmConfig
from services.generator.settings import GeneratorSettings
from tests.deploy import compose_file
from tests.deploy.facts import DEPLOY, ROOT
from tests.generator.sparse import sparse_model

GIB = 2**30
PROCESS_BYTES = GIB // 2
"""Python, torch, calls and their threads: 0.25 GiB were measured."""


def size(text: str) -> float:
    """`5g`, `512m`, `6Gi`, `512Mi` in bytes."""
    match = re.fullmatch(r"(\d+)(g|m|Gi|Mi)", text)
    assert match is not None, text
    return int(match[1]) * {"g": GIB, "m": GIB // 1024}[match[2][0].lower()]


def needed(model: Path, dtype: str = "auto") -> float:
    settings = GeneratorSettings(model=model, device="cpu", dtype=dtype)  # type: ignore[arg-type]
    return sum(bounds.memory_bytes(hub.describe(model), settings).values()) + PROCESS_BYTES


@pytest.fixture(scope="module")
def csm_1b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("csm-1b")
    sparse_model(directory, CsmConfig.named("csm-1b"))
    return directory


def resources(path: str, kind: str) -> Any:
    (found,) = (
        each
        for each in yaml.safe_load_all((DEPLOY / "kubernetes" / path).read_text())
        if each["kind"] == kind
    )
    return found["spec"]["template"]["spec"]["containers"][0]["resources"]


def component_memory(deployment: str) -> dict[str, str]:
    """What the component of another model sets, by `requests` and `limits`."""
    path = DEPLOY / "kubernetes" / "components" / "model-volume" / "kustomization.yaml"
    found = {}
    for patch in yaml.safe_load(path.read_text())["patches"]:
        if patch["target"]["name"] == deployment:
            for one in yaml.safe_load(patch["patch"]):
                where = one["path"].split("/")
                if where[-1] == "memory":
                    found[where[-2]] = one["value"]
    return found


@pytest.mark.parametrize("dtype", ["auto", "int8"])
def test_csm_1b_fits_the_generator_of_compose(csm_1b: Path, dtype: str) -> None:
    service = compose_file.load()["services"]["generator"]
    assert needed(csm_1b, dtype) < size(service["deploy"]["resources"]["limits"]["memory"])


@pytest.mark.parametrize("dtype", ["auto", "int8"])
def test_csm_1b_fits_the_generator_of_the_component_for_other_models(
    csm_1b: Path, dtype: str
) -> None:
    memory = component_memory("generator")
    assert needed(csm_1b, dtype) < size(memory["limits"])
    # Scheduled where there is room for what is sure to be taken.
    assert needed(csm_1b, dtype) - PROCESS_BYTES < size(memory["requests"])


def test_pico_fits_what_the_base_gives_and_asks_for() -> None:
    given = resources("base/generator.yaml", "Deployment")
    pico = ROOT / "models" / "pico"
    assert needed(pico) < size(given["requests"]["memory"]) < size(given["limits"]["memory"])


def test_what_the_docs_say_is_what_is_set() -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    assert f"`{component_memory('generator')['limits']}`" in text
    limit = compose_file.load()["services"]["generator"]["deploy"]["resources"]["limits"]["memory"]
    assert f"`{limit}`" in text
