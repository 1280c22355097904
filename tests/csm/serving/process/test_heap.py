"""The collector is set for a process that serves, and back for the other tests."""

import gc
from collections.abc import Iterator

import pytest

from csm.serving.process import heap as garbage


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_garbage_is_looked_for_seldom_and_still_found() -> None:
    garbage.collect_seldom()
    assert gc.get_threshold()[0] == garbage.NEW_OBJECTS
    assert gc.isenabled()
    garbage.freeze_heap()
    later: list[object] = []
    later.append(later)
    del later
    assert gc.collect() >= 1


def test_what_is_loaded_is_kept_out_of_collections() -> None:
    loaded = [[number] for number in range(1000)]
    garbage.freeze_heap()
    assert gc.get_freeze_count() >= len(loaded)
    assert not any(one is loaded for one in gc.get_objects())
