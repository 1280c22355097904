"""The autoscaler's rule."""

from itertools import pairwise

import pytest

from benchmarks.fleet.autoscaler import Autoscaler, AutoscalerOptions

RULE = AutoscalerOptions(target=0.5, min_replicas=2, max_replicas=20)


@pytest.mark.parametrize(
    ("load", "current", "replicas"),
    [
        (2.0, 4, 4),
        (2.15, 4, 4),  # within the tolerance
        (2.5, 4, 5),
        (4.0, 4, 6),  # half again as many in a minute
        (1.0, 2, 2),
        (1.9, 2, 4),  # or two, whichever is more
    ],
)
def test_load_over_target_is_what_is_wished_and_policies_bound_it(
    load: float, current: int, replicas: int
) -> None:
    assert Autoscaler(RULE).replicas(0.0, load, current) == replicas


def test_it_goes_up_by_half_a_minute_and_no_faster() -> None:
    rule, current, seen = Autoscaler(RULE), 4, []
    for number in range(9):
        current = rule.replicas(15.0 * number, 9.0, current)
        seen.append(current)
    assert seen == [6, 6, 6, 6, 9, 9, 9, 9, 14]


def test_it_stays_within_its_bounds() -> None:
    rule = Autoscaler(AutoscalerOptions(target=0.5, max_replicas=5))
    assert rule.replicas(0.0, 50.0, 4) == 5
    assert rule.replicas(10_000.0, 0.0, 2) == 2


def test_it_goes_down_late_and_one_by_one() -> None:
    rule, current, changes = Autoscaler(RULE), 8, []
    for number in range(200):
        now_s = 15.0 * number
        wanted = rule.replicas(now_s, 4.0 if number < 10 else 1.0, current)
        if wanted != current:
            changes.append((now_s, current - wanted))
            current = wanted
    assert [down for _, down in changes] == [1] * len(changes)
    # The last wish for eight was at 135 s.
    assert changes[0][0] == 135 + RULE.down_window_s + RULE.interval_s
    assert all(b[0] - a[0] >= RULE.down_period_s for a, b in pairwise(changes))
