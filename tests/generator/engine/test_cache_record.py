import numpy as np
import pytest

from services.generator.engine.cache_rows import CacheRecord
from tests.generator.harness import random_rows


def record(slots: int = 2, chunk: int = 4, *, cuts_freely: bool = False) -> CacheRecord:
    return CacheRecord(slots, 32, 5, chunk, cuts_freely=cuts_freely)


def test_the_common_prefix_ends_at_the_first_row_that_differs() -> None:
    rows = random_rows(10, 1)
    held = record()
    held.append(0, rows, prefilled=True)
    assert held.common_prefix(0, rows) == 10
    assert held.common_prefix(0, rows[:6]) == 6
    assert held.common_prefix(0, np.concatenate([rows, random_rows(3, 2)])) == 10
    changed = rows.copy()
    changed[7, 4] += 1
    assert held.common_prefix(0, changed) == 7
    assert held.common_prefix(1, rows) == 0


def test_truncation_is_a_length_and_what_follows_overwrites() -> None:
    rows, other = random_rows(10, 1), random_rows(4, 2)
    held = record()
    held.append(0, rows, prefilled=True)
    held.truncate(0, 5)
    held.append(0, other, prefilled=False)
    np.testing.assert_array_equal(held.rows(0), np.concatenate([rows[:5], other]))


def test_only_whole_chunks_on_the_grid_are_shared() -> None:
    rows = random_rows(14, 1)
    held = record(chunk=4)
    for start, end in ((0, 4), (4, 8), (8, 10)):
        held.append(0, rows[start:end], prefilled=True)
    held.append(0, rows[10:], prefilled=False)
    assert held.common_prefix(0, rows) == 14
    assert held.shareable_prefix(0, rows) == 8
    assert held.shareable_prefix(0, rows[:7]) == 4


def test_a_chunk_computed_in_two_parts_is_not_shared() -> None:
    rows = random_rows(12, 1)
    held = record(chunk=4)
    for start, end in ((0, 4), (4, 6), (6, 8), (8, 12)):
        held.append(0, rows[start:end], prefilled=True)
    assert held.shareable_prefix(0, rows) == 4


def test_rows_computed_off_the_grid_or_by_decoding_are_never_shared() -> None:
    rows = random_rows(12, 1)
    held = record(chunk=4)
    held.append(0, rows[:2], prefilled=False)
    held.append(0, rows[2:4], prefilled=True)
    held.append(0, rows[4:8], prefilled=True)
    assert held.shareable_prefix(0, rows) == 0
    single = record(chunk=1)
    for row in rows:
        single.append(0, row[None], prefilled=False)
    assert single.shareable_prefix(0, rows) == 0


def test_a_truncation_inside_a_chunk_ends_the_sharing_before_it() -> None:
    rows = random_rows(12, 1)
    held = record(chunk=4)
    for start in (0, 4, 8):
        held.append(0, rows[start : start + 4], prefilled=True)
    held.truncate(0, 7)
    held.append(0, rows[7:8], prefilled=True)
    held.append(0, rows[8:12], prefilled=True)
    assert held.shareable_prefix(0, rows) == 4


def test_chunks_end_on_the_grid_wherever_they_begin() -> None:
    held = record(chunk=4)
    assert [held.chunk_end(start, 11) for start in (0, 1, 3, 4, 8, 10)] == [4, 4, 4, 8, 11, 11]


def test_where_cuts_cannot_be_seen_all_rows_count_and_whole_chunks_are_shared() -> None:
    rows = random_rows(12, 1)
    held = record(chunk=4, cuts_freely=True)
    assert [held.chunk_end(start, 11) for start in (0, 1, 3, 7, 8)] == [4, 5, 7, 11, 11]
    held.append(0, rows[:3], prefilled=True)
    held.append(0, rows[3:4], prefilled=False)
    held.append(0, rows[4:11], prefilled=True)
    assert held.shareable_prefix(0, rows) == 8
    held.truncate(0, 6)
    assert held.shareable_prefix(0, rows) == 4
    held.append(0, rows[6:9], prefilled=True)
    assert held.shareable_prefix(0, rows) == 8
    held.copy(0, 1, 8)
    assert held.shareable_prefix(1, rows) == 8


def test_a_copy_holds_exactly_what_was_copied() -> None:
    rows = random_rows(8, 1)
    held = record(chunk=4)
    held.append(0, rows[:4], prefilled=True)
    held.append(0, rows[4:8], prefilled=True)
    held.append(1, random_rows(20, 3), prefilled=True)
    held.copy(0, 1, 4)
    np.testing.assert_array_equal(held.rows(1), rows[:4])
    with pytest.raises(ValueError, match="12 rows of slot 0; 8 are shared"):
        held.copy(0, 1, 12)


def test_rows_beyond_the_last_position_are_refused() -> None:
    held = record()
    with pytest.raises(ValueError, match="33 positions in slot 0; it has 32"):
        held.append(0, random_rows(33, 1), prefilled=True)
