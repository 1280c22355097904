"""Refusals as HTTP has them: never a time to come back that is too early."""

import pytest

from csm import errors
from gateway.http.errors import error_response


@pytest.mark.parametrize(
    ("wait_s", "seconds", "ms"), [(0.0, "1", "1"), (1.4, "2", "1400"), (29.0003, "30", "29001")]
)
def test_who_waits_as_long_as_it_is_told_is_not_too_early(
    wait_s: float, seconds: str, ms: str
) -> None:
    refusal = errors.QuotaExceeded("tenant:acme/requests_per_minute", "used up", wait_s)
    headers = error_response(refusal).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == (seconds, ms)
    told = errors.from_status_message(errors.status_message(refusal), "gateway")
    assert isinstance(told, errors.QuotaExceeded)
    assert told.retry_after_s >= wait_s
