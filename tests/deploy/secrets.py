"""What pods take from Secrets and ConfigMaps, and what the commands of docs/kubernetes.md put
there."""

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.deploy.facts import ROOT
from tests.deploy.manifests import Objects, of_kind, pod_templates

DOCUMENT = ROOT / "docs" / "kubernetes.md"


class ConfigMapOrSecret(NamedTuple):
    """One object with values."""

    kind: str
    name: str


def wanted(objects: Objects) -> dict[ConfigMapOrSecret, set[str]]:
    """The keys of each that pods, the ingress and its policy take, and `objects` do not bring."""
    found: dict[ConfigMapOrSecret, set[str]] = {}
    brought = {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "ConfigMap")}

    def take(kind: str, name: str, *keys: str) -> None:
        if kind == "ConfigMap" and set(keys) <= set(brought.get(name, ())):
            return
        found.setdefault(ConfigMapOrSecret(kind, name), set()).update(keys)

    for _, template in pod_templates(objects):
        (container,) = template["spec"]["containers"]
        paths = [each["value"] for each in container.get("env", []) if "value" in each]
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        for volume in template["spec"].get("volumes", []):
            if "secret" in volume:
                under = mounts[volume["name"]] + "/"
                keys = [each["key"] for each in volume["secret"].get("items", [])]
                keys += [path.removeprefix(under) for path in paths if path.startswith(under)]
                take("Secret", volume["secret"]["secretName"], *keys)
        for each in container.get("env", []):
            if "valueFrom" in each:
                ((reference, source),) = each["valueFrom"].items()
                kind = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}[reference]
                take(kind, source["name"], source["key"])
    for gateway in of_kind(objects, "Gateway"):
        for listener in gateway["spec"]["listeners"]:
            for each in listener["tls"]["certificateRefs"]:
                take("Secret", each["name"], "tls.crt", "tls.key")
    for policy in of_kind(objects, "BackendTLSPolicy"):
        for each in policy["spec"]["validation"]["caCertificateRefs"]:
            take(each["kind"], each["name"], "ca.crt")
    return found


def commands() -> list[list[str]]:
    """The words of each `kubectl ... create` in the document, continued lines joined."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", "\n".join(blocks)).splitlines()
    split = [shlex.split(line, comments=True) for line in lines if " create " in line]
    return [words for words in split if words[0] == "kubectl"]


def made_by_the_docs() -> dict[ConfigMapOrSecret, set[str]]:
    """The keys that `kubectl create secret` and `create configmap` there fill."""
    found: dict[ConfigMapOrSecret, set[str]] = {}
    for words in commands():
        at = words.index("create")
        kind, *rest = words[at + 1 :]
        if kind == "secret":
            form, name, *rest = rest
            keys = {"tls.crt", "tls.key"} if form == "tls" else set()
            what = ConfigMapOrSecret("Secret", name)
        elif kind == "configmap":
            name, *rest = rest
            keys, what = set(), ConfigMapOrSecret("ConfigMap", name)
        else:
            continue
        for word in rest:
            option, _, value = word.partition("=")
            if option in ("--from-file", "--from-literal"):
                keys.add(value.split("=")[0])
        found.setdefault(what, set()).update(keys)
    return found


def shell_blocks(heading: str) -> str:
    """The commands under a heading of the document."""
    _, _, rest = DOCUMENT.read_text().partition(f"\n### {heading}\n")
    section = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n".join(re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))


Made = dict[ConfigMapOrSecret, dict[str, bytes]]


def run_the_docs(folder: Path, *headings: str) -> Made:
    """Runs the commands under these headings in a folder, and returns what they would put into a
    cluster: `csm` is ours, and each `kubectl` runs dry."""
    programs = folder / "programs"
    programs.mkdir()
    kubectl = shutil.which("kubectl")
    for name, line in {
        "csm": f'exec {sys.executable} -m csm.cli.main "$@"',
        "kubectl": f'{kubectl} "$@" --dry-run=client -o yaml && echo ---',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HF_TOKEN": "hf_token"}
    made: Made = {}
    for heading in headings:
        done = subprocess.run(
            ["sh", "-e", "-c", shell_blocks(heading)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        for each in yaml.safe_load_all("kind: none\n---\n" + _objects(done.stdout)):
            if each and each["kind"] != "none":
                what = ConfigMapOrSecret(each["kind"], each["metadata"]["name"])
                decode = base64.b64decode if each["kind"] == "Secret" else str.encode
                made[what] = {key: decode(value) for key, value in each["data"].items()}
    return made


def _objects(output: str) -> str:
    """What kubectl said, without the words of other commands."""
    return "---\n".join(
        "apiVersion:" + each for each in re.findall(r"apiVersion:(.*?)^---$", output, re.S | re.M)
    )
