"""The sum of what the settings cost, against limits written into a folder."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from csm import errors
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.process import memory
from csm.serving.process.memory import MemoryLimit
from csm.serving.settings import ServiceSettings
from tests.csm.serving.running import FakeService

MIB = 1 << 20


def limit(tmp_path: Path, own: str = "0::/\n", **files: str) -> MemoryLimit | None:
    """What is found in a tree of control groups; `a__b` is a/b, `machine` is /proc/meminfo."""
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "groups" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    groups = tmp_path / "groups"
    return memory.find_limit(groups, tmp_path / "own", groups / "machine")


def test_a_container_of_version_2_is_as_large_as_its_group(tmp_path: Path) -> None:
    found = limit(tmp_path, memory_dot_max=f"{512 * MIB}\n", machine="MemTotal: 1 kB\n")
    assert found == MemoryLimit(512 * MIB, "the container's limit")


def test_the_smallest_group_around_the_process_counts(tmp_path: Path) -> None:
    found = limit(
        tmp_path,
        own="0::/pod/one\n",
        pod__memory_dot_max=f"{256 * MIB}",
        pod__one__memory_dot_max="max\n",
        memory_dot_max=f"{512 * MIB}",
    )
    assert found is not None
    assert found.bytes == 256 * MIB


def test_a_container_of_version_1_has_its_limit_too(tmp_path: Path) -> None:
    found = limit(tmp_path, own="4:memory:/x\n", memory__memory_dot_limit_in_bytes=f"{64 * MIB}\n")
    assert found is not None
    assert found.bytes == 64 * MIB


def test_groups_of_version_1_count_from_the_own_one_to_the_top(tmp_path: Path) -> None:
    found = limit(
        tmp_path,
        own="5:cpu,cpuacct:/x\n4:memory:/pod/one\n0::/\n",
        memory__memory_dot_limit_in_bytes="9223372036854771712\n",
        memory__pod__memory_dot_limit_in_bytes=f"{32 * MIB}\n",
        memory__pod__one__memory_dot_limit_in_bytes=f"{96 * MIB}\n",
        cpu__pod__memory_dot_limit_in_bytes=f"{1 * MIB}\n",
    )
    assert found == MemoryLimit(32 * MIB, "the container's limit")


def test_what_is_free_is_what_others_leave_and_what_this_process_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "resident_bytes", lambda: 7 * 1024)
    (tmp_path / "machine").write_text("MemTotal: 9 kB\nMemAvailable: 3 kB\nSwapFree: 2 kB\n")
    found = memory.find_free(tmp_path / "machine")
    assert found == MemoryLimit(12 * 1024, "what the machine has free")
    assert memory.find_free(tmp_path / "none") is None


def test_what_loading_takes_for_a_moment_is_certain(tmp_path: Path) -> None:
    parts = {"process": 100 * MIB, "generator weights": 300 * MIB, "generator loading": 200 * MIB}
    assert memory.certain_bytes(parts | {"tokenizer files": MIB}) == 600 * MIB
    with pytest.raises(errors.FailedPrecondition, match=r"600 MiB, x is 512 MiB.*models fit"):
        memory.check(parts, MemoryLimit(512 * MIB, "x"), refuse=True)


def test_what_clients_may_use_is_not_held_against_what_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = {"process": 100 * MIB, "gateway conversations": 900 * MIB}
    memory.check(parts, MemoryLimit(512 * MIB, "x"), refuse=True, certain_only=True)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "files",
    [
        {"memory_dot_max": "max\n"},
        {"memory__memory_dot_limit_in_bytes": "9223372036854771712\n"},
        {},
    ],
)
def test_without_a_limit_the_machine_is_one(tmp_path: Path, files: dict[str, str]) -> None:
    found = limit(tmp_path, **files, machine="MemFree: 1 kB\nMemTotal:  2048 kB\n")
    assert found == MemoryLimit(2 * MIB, "the machine's memory")


def test_where_nothing_is_to_be_read_there_is_no_limit(tmp_path: Path) -> None:
    assert limit(tmp_path) is None
    assert memory.resident_bytes(tmp_path / "statm") == 0


def test_this_process_takes_something() -> None:
    assert memory.resident_bytes() > MIB
    assert memory.find_limit() is not None


def test_what_fits_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    memory.check({"weights": 5, "calls": 5}, MemoryLimit(10, "x"), refuse=True)
    assert caplog.text == ""


def test_what_clients_may_use_beyond_the_limit_is_warned_of_with_every_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = {"generator weights": 300 * MIB, "generator cache": 100 * MIB, "calls": 200 * MIB}
    memory.check(parts, MemoryLimit(512 * MIB, "the container's limit"), refuse=True)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in ("600 MiB in all", "the container's limit is 512 MiB"):
        assert part in record.getMessage()
    for part in ("generator weights 300 MiB", "generator cache 100 MiB", "calls 200 MiB"):
        assert part in record.getMessage()


def test_what_is_certain_beyond_the_limit_is_refused_unless_a_warning_will_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = {"process": 200 * MIB, "generator weights": 300 * MIB, "generator cache": 100 * MIB}
    with pytest.raises(errors.FailedPrecondition, match="600 MiB, the container's limit is 512"):
        memory.check(parts, MemoryLimit(512 * MIB, "the container's limit"), refuse=True)
    memory.check(parts, MemoryLimit(512 * MIB, "the container's limit"), refuse=False)
    assert "may be killed" in caplog.text


class Heavy(FakeService):
    def __init__(self, **parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.loaded.set()

    def memory_bytes(self) -> Mapping[str, int]:
        return self.parts


async def test_a_host_refuses_what_cannot_fit_before_it_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "find_limit", lambda: MemoryLimit(4096 * MIB, "the limit"))
    heavy = Heavy(weights=5000 * MIB)
    heavy.loaded.clear()
    with pytest.raises(errors.FailedPrecondition, match="generator weights 5000 MiB"):
        await Host(heavy, ServiceSettings(port=0), Metrics()).start()
    for kind in ("warn", "off"):
        service = Heavy(weights=5000 * MIB)
        host = Host(service, ServiceSettings(port=0, memory_check=kind), Metrics())
        await host.start()
        await host.stop(finish_s=0)


async def test_a_host_refuses_what_the_machine_has_not_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "find_limit", lambda: MemoryLimit(8192 * MIB, "the limit"))
    monkeypatch.setattr(memory, "find_free", lambda: MemoryLimit(4096 * MIB, "what is free"))
    monkeypatch.setattr(memory, "resident_bytes", lambda: 100 * MIB)
    heavy = Heavy(weights=5000 * MIB)
    with pytest.raises(errors.FailedPrecondition, match=r"what is free is 4096 MiB"):
        await Host(heavy, ServiceSettings(port=0), Metrics()).start()


async def test_services_of_one_process_are_added_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "find_limit", lambda: MemoryLimit(4096 * MIB, "the limit"))
    monkeypatch.setattr(memory, "resident_bytes", lambda: 100 * MIB)
    metrics = Metrics()
    hosts = []
    for name in ("csm.v1.GeneratorService", "csm.v1.TokenizerService"):
        service = Heavy(weights=100 * MIB, calls=3000 * MIB)
        service.name = name
        hosts.append(Host(service, ServiceSettings(port=0), metrics))
        await hosts[-1].start()
    (told,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "generator calls 3000 MiB" in told
    assert "tokenizer calls 3000 MiB" in told
    assert "process" in told
    for host in hosts:
        await host.stop(finish_s=0)
