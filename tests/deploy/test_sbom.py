"""sbom.py: the document of an image, and Debian's packages in it."""

import platform
from pathlib import Path

from deploy.docker import sbom

STATUS = """\
Package: libssl3
Status: install ok installed
Maintainer: Debian OpenSSL Team
Architecture: amd64
Source: openssl
Version: 3.0.17-1~deb12u3

Package: libgone1
Status: deinstall ok config-files
Maintainer: Somebody
Architecture: amd64
Version: 1.0

Package: login
Status: purge ok installed
Maintainer: Shadow
Architecture: amd64
Source: shadow (1:4.13+dfsg1-1)
Version: 1:4.13+b2
"""


def test_debian_packages_are_those_installed_with_their_source(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "info").mkdir()
    (tmp_path / "updates").mkdir()
    found = {one["name"]: one for one in sbom.debian_packages(tmp_path)}
    assert set(found) == {"libssl3", "login"}
    assert found["libssl3"]["purl"] == (
        "pkg:deb/debian/libssl3@3.0.17-1~deb12u3?arch=amd64&upstream=openssl"
    )
    # Known by its source, in the version that advisories name.
    assert found["login"]["purl"] == (
        "pkg:deb/debian/login@1%3A4.13%2Bb2?arch=amd64&upstream=shadow%401%3A4.13%2Bdfsg1-1"
    )


def test_a_document_names_the_image_and_all_that_it_depends_on() -> None:
    python = {
        "bomFormat": "CycloneDX",
        "components": [
            {"bom-ref": "numpy==2", "name": "numpy", "version": "2"},
            {"bom-ref": "csm-server==0.1.0", "name": "csm-server", "version": "0.1.0"},
        ],
        "dependencies": [{"ref": "numpy==2"}],
    }
    debian = [{"bom-ref": "deb:libc6:amd64", "name": "libc6", "version": "2.36"}]
    made = sbom.bill("gateway", python, debian)
    component = made["metadata"]["component"]
    assert (component["name"], component["version"]) == ("csm-gateway", "0.1.0")
    assert [one["name"] for one in made["components"]] == ["numpy", "csm-server", "libc6"]
    (root,) = [one for one in made["dependencies"] if one["ref"] == component["bom-ref"]]
    assert set(root["dependsOn"]) == {"numpy==2", "csm-server==0.1.0", "deb:libc6:amd64"}


def test_python_is_named_where_it_is_no_package_of_debian() -> None:
    assert sbom.interpreter([{"name": "python3.11"}]) == []
    (one,) = sbom.interpreter([{"name": "libc6"}])
    assert one["purl"] == f"pkg:generic/python@{platform.python_version()}"
