"""The listener's clock."""

import pytest

from gateway.speaking.pacing import Playout


def test_without_a_lead_nothing_waits() -> None:
    playout = Playout(0, 80)
    assert not playout.paced
    for n in range(100):
        assert playout.delay_s(0.08, 0.001 * n) <= 0
        playout.sent(0.08, 0.001 * n)
    assert playout.underrun_s == 0


def test_chunks_end_at_most_the_lead_ahead_of_real_time() -> None:
    playout = Playout(400, 80)
    now, sent = 10.0, []
    for _ in range(50):
        wait = max(0.0, playout.delay_s(0.08, now))
        now += wait
        assert playout.sent(0.08, now) <= 0.4 + 1e-9
        sent.append(now)
    assert sent[4] == sent[0]
    assert sent[-1] - sent[0] == pytest.approx(50 * 0.08 - 0.4)
    assert playout.underrun_s == 0


def test_a_lead_shorter_than_two_frames_is_raised_so_that_nothing_is_late() -> None:
    playout, now = Playout(1, 80), 0.0
    for _ in range(20):
        now += max(0.0, playout.delay_s(0.08, now))
        playout.sent(0.08, now)
    assert playout.underrun_s == 0


def test_a_late_chunk_is_an_underrun_and_the_listener_goes_on_from_there() -> None:
    playout = Playout(0, 80)
    playout.sent(0.08, 0.0)
    assert playout.sent(0.08, 0.1) == pytest.approx(0.08)
    assert playout.underrun_s == pytest.approx(0.02)
    playout.sent(0.08, 0.15)
    assert playout.underrun_s == pytest.approx(0.02)


def test_waiting_for_text_is_no_underrun() -> None:
    playout = Playout(0, 80)
    playout.sent(0.08, 0.0)
    playout.text_starved(5.0)
    playout.sent(0.08, 5.05)
    assert playout.underrun_s == 0
