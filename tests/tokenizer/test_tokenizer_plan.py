"""The planner: what a step takes, and that nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from services.tokenizer.plan import CPU, CUDA, MAX_STEP_FRAMES, NATIVE, Costs, Ready, plan


@st.composite
def ready_streams(draw: st.DrawFn) -> list[Ready]:
    rows = draw(st.lists(st.integers(0, 31), min_size=1, max_size=20, unique=True))
    return [
        Ready(row, draw(st.integers(1, 100)), draw(st.booleans()), draw(st.integers(-1, 50)))
        for row in rows
    ]


@given(ready=ready_streams(), costs=st.sampled_from([CPU, CUDA, NATIVE, Costs(0, 1)]))
def test_a_plan_keeps_to_rows_that_are_ready_and_to_its_costs(
    ready: list[Ready], costs: Costs
) -> None:
    step = plan(ready, costs)
    by_row = {r.row: r for r in ready}
    assert step.rows == tuple(sorted(step.rows))
    assert (step.first, step.count) == (step.rows[0], step.rows[-1] - step.rows[0] + 1)
    assert 1 <= step.frames <= MAX_STEP_FRAMES
    for row in step.rows:
        assert step.frames <= (by_row[row].waiting_frames if by_row[row].started else 1)
    for low, high in zip(step.rows, step.rows[1:], strict=False):
        assert high - low - 1 <= costs.max_gap_rows
    if len(step.rows) > 1:
        assert step.count * step.frames <= costs.max_row_frames


@given(ready=ready_streams())
def test_whoever_was_served_longest_ago_is_in_the_next_step(ready: list[Ready]) -> None:
    oldest = min(ready, key=lambda r: (r.served_at, r.row))
    assert oldest.row in plan(ready, CPU).rows


def test_a_stream_alone_takes_several_frames_but_one_first() -> None:
    assert plan([Ready(3, 20, started=False, served_at=-1)], CPU).frames == 1
    assert plan([Ready(3, 20, started=True, served_at=5)], CPU).frames == MAX_STEP_FRAMES
    assert plan([Ready(3, 2, started=True, served_at=5)], CPU).frames == 2


def test_neighbours_advance_together_and_far_rows_do_not_join() -> None:
    ready = [Ready(row, 1, True, 0) for row in (0, 1, 3, 9)]
    assert plan(ready, CPU).rows == (0, 1, 3)
    assert plan(ready, CUDA).rows == (0, 1, 3, 9)
    assert plan(ready, NATIVE).rows == (0, 1, 3, 9)


def test_sixteen_live_streams_are_one_step() -> None:
    step = plan([Ready(row, 1, True, row) for row in range(16)], CPU)
    assert (step.rows, step.frames) == (tuple(range(16)), 1)


def test_a_backlog_beside_live_streams_does_not_make_their_steps_long() -> None:
    ready = [Ready(0, 500, True, 7), Ready(1, 1, True, 3), Ready(2, 1, True, 4)]
    step = plan(ready, CPU)
    assert (step.rows, step.frames) == ((0, 1, 2), 1)
