"""What is left of the time that a caller gave."""

import time


def left_s(deadline: float | None) -> float | None:
    """Seconds until `deadline`, a time of the monotonic clock; 0 behind it. None: there is none."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())
