"""What docs/kubernetes.md has readers write into an overlay of theirs, written there."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.facts import SERVICES
from tests.deploy.manifests import (
    KUBERNETES,
    Objects,
    check_schemas,
    container_of,
    find,
    kustomized,
    variables,
)
from tests.deploy.secrets import DOCUMENT

BLOCKS = [
    yaml.safe_load(block)
    for block in re.findall(
        r"^```yaml\n# in overlays/ours/kustomization.yaml\n(.*?)^```$",
        DOCUMENT.read_text(),
        re.DOTALL | re.MULTILINE,
    )
]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """Production with all of it."""
    copy: Path = tmp_path_factory.mktemp("manifests") / "deploy"
    shutil.copytree(KUBERNETES.parent, copy)
    overlay = copy / "kubernetes" / "overlays" / "ours"
    shutil.copytree(overlay.with_name("production"), overlay)
    path = overlay / "kustomization.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    for block in BLOCKS:
        for key, values in block.items():
            content.setdefault(key, []).extend(values)
    path.write_text(yaml.safe_dump(content))
    return kustomized(overlay)


def test_the_patches_of_the_docs_apply_and_keep_the_schemas(ours: Objects) -> None:
    assert len(BLOCKS) >= 2
    check_schemas(ours)


def test_the_names_of_the_docs_reach_the_ingress_whole(ours: Objects) -> None:
    listeners = find(ours, "Gateway", "csm")["spec"]["listeners"]
    routes = [find(ours, kind, "csm") for kind in ("GRPCRoute", "HTTPRoute")]
    assert [each["hostname"] for each in listeners] == [
        name for route in routes for name in route["spec"]["hostnames"]
    ]
    for name in (each["hostname"] for each in listeners):
        assert name in DOCUMENT.read_text()


def test_the_settings_of_the_docs_are_those_of_the_gateway(ours: Objects) -> None:
    told = variables(container_of(ours, "gateway"))
    settings = SERVICES["gateway"].configured(told)
    (patch,) = (p["patch"] for block in BLOCKS for p in block["patches"] if "target" not in p)
    (container,) = yaml.safe_load(patch)["spec"]["template"]["spec"]["containers"]
    for each in container["env"]:
        field = each["name"].removeprefix("CSM_GATEWAY_").lower()
        value = getattr(settings, field)
        value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        assert str(value) == told[each["name"]] == each.get("value", told[each["name"]])
    assert len(container["env"]) >= 2


def test_the_collector_of_the_docs_is_the_one_that_pods_are_told(ours: Objects) -> None:
    (patch,) = (
        patch
        for block in BLOCKS
        for patch in block["patches"]
        if patch.get("target", {}).get("kind") == "ConfigMap"
    )
    wanted = {
        each["path"].removeprefix("/data/"): each["value"]
        for each in yaml.safe_load(patch["patch"])
    }
    assert find(ours, "ConfigMap", patch["target"]["name"])["data"] == wanted
