"""The lines of calls and turns: which, at which level, and what they cost."""

import contextvars
import io
import logging
import time

import pytest

from csm.serving.auth.identity import Principal, current
from csm.serving.calls.record import CallRecord
from csm.serving.calls.recorder import CallRecorder
from csm.serving.logs.access import CALL_ENDED, CALL_FIELDS, AccessLog, log
from csm.serving.logs.format import JsonLines, TextLines
from csm.serving.logs.setup import _Context
from csm.serving.rpc.message_bytes import counting_in, counting_out
from tests.csm.serving.logs.logged import logged

MOST_US = 50.0
"""That a call's record and line may cost, as the middle one of many."""


def ended(status: str, access: AccessLog, *, failed: bool = False, **fields: object) -> None:
    record = CallRecord("s/M", "grpc", "r", "127.0.0.1", (access,))
    for name, value in fields.items():
        setattr(record, name, value)
    record.end(status, failed=failed)


@pytest.mark.parametrize(
    ("status", "failed", "level"),
    [
        ("OK", False, "INFO"),
        ("200", False, "INFO"),
        ("101", False, "INFO"),
        ("INVALID_ARGUMENT", False, "INFO"),
        ("gone", False, "INFO"),
        ("INTERNAL", True, "ERROR"),
        ("500", True, "ERROR"),
    ],
)
def test_only_our_own_faults_are_errors(
    status: str, failed: bool, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ended(status, AccessLog(), failed=failed)
    assert [one.levelname for one in caplog.records] == [level]


@pytest.mark.parametrize("status", ["OK", "200", "101", "302"])
def test_without_successes_what_ended_well_is_not_told(
    status: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    ended(status, AccessLog(successes=False))
    assert caplog.records == []
    for other in ("NOT_FOUND", "404", "gone"):
        ended(other, AccessLog(successes=False))
    assert len(caplog.records) == 3


def test_probes_are_told_at_debug_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ended("200", AccessLog(), probe=True)
    assert caplog.records == []


def test_a_line_names_who_called_and_leaves_out_what_is_not_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

    def call() -> None:
        current.set(Principal('eve" status=OK\nforged', "tenant", frozenset()))
        ended("OK", AccessLog(), num_frames=3)

    contextvars.Context().run(call)
    (told,) = logged(caplog, CALL_ENDED)
    assert (told["principal"], told["tenant"], told["frames"]) == (
        'eve" status=OK\nforged',
        "tenant",
        3,
    )
    assert set(told) < set(CALL_FIELDS)
    assert not {"conversation_id", "first_audio_ms", "error", "text"} & set(told)
    line = TextLines().format(caplog.records[0])
    assert 'principal="eve\\" status=OK\\nforged" tenant=tenant' in line
    assert "\n" not in line


def test_a_call_costs_little_and_a_message_nothing_that_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(_Context())
    handler.setFormatter(JsonLines())
    level, log.propagate = log.level, False
    log.addHandler(handler)
    log.setLevel("INFO")
    recorder = CallRecorder((AccessLog(),))

    def call() -> None:
        record = recorder.begin("csm.v1.SpeechService/Synthesize", "grpc", "0123456789", "::1")
        record.conversation_id = "c"
        turn = record.begin_turn(time.monotonic())
        turn.turn_id, turn.num_frames = "t", 100
        record.end_turn(turn, time.monotonic())
        record.end("OK")

    def passed(data: bytes) -> bytes:
        return data

    counted_in, counted_out = counting_in(passed), counting_out(passed)
    assert counted_in is not None
    assert counted_out is not None

    def message() -> None:
        counted_out(counted_in(b"12345"))

    for name in ("logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, False)  # as `configure` does
    try:
        calls_us = contextvars.Context().run(lambda: middle_us(call))
        messages_us = middle_us(message)
    finally:
        log.removeHandler(handler)
        log.propagate, log.level = True, level
    print(f"{calls_us:.1f} us a call, {messages_us:.2f} us for a message in and one out")
    # Others may slow the processor down, by what they leave in its caches.
    assert calls_us < 3 * MOST_US
    assert messages_us < 3.0


def middle_us(work: object, rounds: int = 30, each: int = 30) -> float:
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(each):
            work()  # type: ignore[operator]
        times.append((time.thread_time() - began) / each)
    return 1e6 * sorted(times)[rounds // 2]
