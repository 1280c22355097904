"""Cores of a container, from control groups written into a folder."""

import os
from pathlib import Path

import pytest

from csm.serving.process import cores


def groups(tmp_path: Path, own: str = "0::/\n", **files: str) -> tuple[Path, Path]:
    """A tree of control groups and the file that names the process's own; `a__b` is a/b."""
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "groups" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "groups", tmp_path / "own"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


def test_without_a_quota_it_is_where_the_process_may_run(tmp_path: Path) -> None:
    assert cores.available(*groups(tmp_path)) == 16
    assert cores.available(*groups(tmp_path, **{"cpu.max": "max 100000\n"})) == 16


@pytest.mark.parametrize(("quota", "expected"), [(200_000, 2), (150_000, 2), (50_000, 1)])
def test_a_quota_of_the_container_counts(tmp_path: Path, quota: int, expected: int) -> None:
    assert cores.available(*groups(tmp_path, **{"cpu.max": f"{quota} 100000\n"})) == expected


def test_the_smallest_quota_of_all_groups_around_it_counts(tmp_path: Path) -> None:
    files = {"a__b__cpu.max": "400000 100000\n", "a__cpu.max": "300000 100000\n"}
    assert cores.available(*groups(tmp_path, "0::/a/b\n", **files)) == 3


def test_version_1_of_control_groups(tmp_path: Path) -> None:
    files = {"cpu__cpu.cfs_quota_us": "200000\n", "cpu__cpu.cfs_period_us": "100000\n"}
    own = "4:cpu,cpuacct:/docker/1\n"
    assert cores.available(*groups(tmp_path, own, **files)) == 2
    files["cpu__cpu.cfs_quota_us"] = "-1\n"
    assert cores.available(*groups(tmp_path, own, **files)) == 16


@pytest.mark.parametrize(
    ("asked", "large", "most", "expected"), [(3, False, 8, 3), (0, False, 8, 1), (0, True, 1, 1)]
)
def test_threads_are_those_asked_for_or_fit_the_model(
    asked: int, large: bool, most: int, expected: int
) -> None:
    assert cores.threads_for(asked, large=large, most=most) == expected


def test_no_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 2)
    assert cores.threads_for(0, large=True, most=8) == 2
    assert cores.threads_for(4, large=True, most=8) == 4
