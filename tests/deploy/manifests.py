"""The manifests as kustomize writes them, and what tests look up in them."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy import custom_resources
from tests.deploy.facts import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ["base", "overlays/dev", "overlays/cpu", "overlays/gpu", "overlays/production"]
COMPONENTS = sorted(each.name for each in (KUBERNETES / "components").iterdir())
Manifest = dict[str, Any]
Objects = tuple[Manifest, ...]

REFERRED_VALUES = {
    "url": "redis://:password@redis:6379/0",
    "token": "token",
    "tracing-endpoint": "http://collector:4317",
    "tracing-sample-ratio": "0.5",
}
"""What stands in tests for a key of a Secret or ConfigMap that is a variable of a container."""


@cache
def rendered(overlay: str) -> Objects:
    """The objects of an overlay, as `kubectl kustomize` (or kustomize) writes them."""
    return kustomized(KUBERNETES / overlay)


@cache
def composed(base: str, *components: str) -> Objects:
    """The objects of `base` (base, overlays/cpu) with components beside it, in that order."""
    with TemporaryDirectory() as made:
        folder = Path(made).resolve()
        # Kustomize takes relative paths only.
        root = "../" * (len(folder.parts) - 1) + str(KUBERNETES)[1:]
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{root}/{base}"],
            "components": [f"{root}/components/{each}" for each in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return kustomized(folder)


def kustomized(folder: Path) -> Objects:
    """What kustomize makes of a folder."""
    path = str(folder)
    for command in (["kubectl", "kustomize", path], ["kustomize", "build", path]):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return tuple(yaml.safe_load_all(done.stdout))
    pytest.skip("neither kubectl nor kustomize is installed")


def check_schemas(objects: Objects) -> None:
    """Each object follows its schema: Kubernetes' own, or ours of the custom resources."""
    for each in objects:
        if not custom_resources.check(each):
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def of_kind(objects: Objects, kind: str) -> list[Manifest]:
    """All objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def find(objects: Objects, kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def pod_templates(objects: Objects) -> Iterator[tuple[str, Manifest]]:
    """The pod template of everything that makes pods, by its name."""
    for kind in ("Deployment", "StatefulSet", "Job"):
        for each in of_kind(objects, kind):
            yield each["metadata"]["name"], each["spec"]["template"]


def pod_of(objects: Objects, name: str) -> Manifest:
    """The pod that a Deployment makes."""
    return dict(find(objects, "Deployment", name)["spec"]["template"]["spec"])


def container_of(objects: Objects, name: str) -> Manifest:
    """Its only container."""
    (only,) = pod_of(objects, name)["containers"]
    return dict(only)


def variables(container: Manifest) -> dict[str, str]:
    """The variables of a container; those of Secrets and ConfigMaps with a value that could be."""
    found: dict[str, str] = {}
    for each in container.get("env", []):
        assert each["name"] not in found, f"{each['name']} is set twice"
        if "value" in each:
            found[each["name"]] = each["value"]
        else:
            (source,) = each["valueFrom"].values()
            found[each["name"]] = REFERRED_VALUES[source["key"]]
    return found


def names(objects: Iterable[Manifest]) -> set[str]:
    """What they are called."""
    return {each["metadata"]["name"] for each in objects}
