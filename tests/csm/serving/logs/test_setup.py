"""What a log says, and in which form."""

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from csm import errors
from csm.serving.logs.access import CALL_ENDED
from csm.serving.logs.format import where
from csm.v1 import generator_pb2
from tests.csm.serving.logs.logged import logged
from tests.csm.serving.running import Running

ROOT = Path(__file__).resolve().parents[4]
WORDS = "my secret words"

LOUD = """
import asyncio, logging, os, subprocess, threading, warnings, sys
handler = logging.StreamHandler()
for name in ("uvicorn", "uvicorn.access", "grpc"):
    logging.getLogger(name).addHandler(handler)
    logging.getLogger(name).propagate = False
from csm.serving.logs.setup import configure_logging
configure_logging("INFO", sys.argv[1])
for name in ("uvicorn", "uvicorn.access", "grpc", "anything"):
    logging.getLogger(name).warning("of %s", name)
warnings.warn("of warnings")
os.write(2, b"of a library\\n")
subprocess.run(["sh", "-c", "echo of a child >&2"])
print("of print", file=sys.stderr)
log = logging.getLogger("csm.test")
log.info("with\\nfields", extra={"fields": {
    "plain": "a/b:c", "number": 1.5, "quoted": 'a "b" c', "yes": True,
    "forged": "x\\n2026-01-01T00:00:00.000Z INFO    csm.access call ended\\u2028\\x1b[31m\\ud800"}})
thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()
class Gone:
    def __del__(self): raise ValueError("unraisable")
Gone()
async def fails(): raise KeyError("task")
async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
asyncio.run(main())
raise RuntimeError("the end")
"""


def lines_of(form: str) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-c", LOUD, form], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 1
    assert process.stdout == ""
    return process.stderr.splitlines()


def test_all_lines_of_a_process_are_json_whoever_says_them() -> None:
    lines = [json.loads(line) for line in lines_of("json")]
    told = " ".join(line["message"] + line.get("exception", "") for line in lines)
    for what in ("of uvicorn.access", "of grpc", "of anything", "of warnings", "ZeroDivisionError"):
        assert what in told
    for what in ("unraisable", "KeyError in fails", "the end"):
        assert what in told
    for what in ("of a library", "of a child", "of print"):
        assert (what, "stderr") in [(line["message"], line["logger"]) for line in lines]
    fields = next(line for line in lines if line["logger"] == "csm.test")
    assert (fields["plain"], fields["number"], fields["quoted"]) == ("a/b:c", 1.5, 'a "b" c')
    assert len([line for line in lines if line["message"] == "of uvicorn"]) == 1


def test_a_child_that_outlives_the_process_neither_holds_it_up_nor_hides_its_last_lines() -> None:
    program = (
        "import os, subprocess, time\n"
        "from csm.serving.logs.setup import configure_logging\n"
        "configure_logging('INFO', 'json')\n"
        "sleeper = subprocess.Popen(['sleep', '30'], stdout=subprocess.DEVNULL)\n"
        "began = time.monotonic()\n"
        "for number in range(300): os.write(2, b'line %d\\n' % number)\n"
        "os.write(2, b'no end')\n"
        "import logging; logging.shutdown()\n"
        "print(time.monotonic() - began); sleeper.kill()\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    told = [json.loads(line)["message"] for line in process.stderr.splitlines()]
    assert told == [*(f"line {number}" for number in range(300)), "no end"]
    assert float(process.stdout) < 5


def test_plain_lines_are_told_once_too_with_the_same_fields() -> None:
    lines = lines_of("text")
    assert len([line for line in lines if line.endswith("of uvicorn")]) == 1
    (told,) = [line for line in lines if " csm.test " in line]
    assert 'with\\u000afields plain=a/b:c number=1.5 quoted="a \\"b\\" c" yes=true' in told
    assert told.endswith('call ended\\u2028\\u001b[31m\\ud800"')


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_value_makes_a_line_of_its_own_nor_speaks_to_a_terminal(form: str) -> None:
    lines = lines_of(form)
    assert not [line for line in lines if line.startswith("2026-01-01T00:00:00")]
    assert not any(character in "".join(lines) for character in "\x1b\u2028")


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (errors.invalid("text", f"{WORDS!r} is not allowed"), "fields text"),
        (
            errors.InvalidArgument(
                errors.FieldViolation("a", WORDS), errors.FieldViolation("b.c", WORDS)
            ),
            "fields a, b.c",
        ),
        (errors.NotFound("voice", WORDS), "no such voice"),
        (errors.FailedPrecondition(WORDS), "reason FAILED_PRECONDITION"),
        (errors.QueueFull(WORDS, 2.0), "reason QUEUE_FULL; retry after 2000 ms"),
        (
            errors.UpstreamError(grpc.StatusCode.UNIMPLEMENTED, WORDS, []),
            "UpstreamError",
        ),
        (
            errors.UpstreamError(
                grpc.StatusCode.INVALID_ARGUMENT,
                WORDS,
                [error_details_pb2.BadRequest(field_violations=[{"field": "x"}])],
            ),
            "fields x",
        ),
        (errors.Internal("internal error, request id 7"), "internal error, request id 7"),
    ],
)
def test_the_summary_of_an_error_has_no_words_of_a_client(
    error: errors.ServiceError, summary: str
) -> None:
    assert error.summary() == summary


def test_where_an_exception_was_raised_is_told_without_what_it_says() -> None:
    def inner() -> None:
        raise ValueError(WORDS)

    def outer() -> None:
        try:
            inner()
        except ValueError as error:
            raise RuntimeError(WORDS) from error

    with pytest.raises(RuntimeError) as caught:
        outer()
    told = where(caught.value)
    assert told.startswith("RuntimeError in ")
    assert "ValueError in inner (" in told
    assert WORDS not in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "failure", [errors.invalid("text", WORDS), errors.NotFound("voice", WORDS), KeyError(WORDS)]
)
async def test_what_a_call_fails_by_is_logged_without_a_clients_words(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    running = await (await Running().listening()).ready()
    running.service.servicer.failure = failure
    with pytest.raises(grpc.aio.AioRpcError):
        await running.stub.GetLoad(generator_pb2.GetLoadRequest())
    await running.channel.close()
    await running.host.stop(finish_s=0)
    (call,) = logged(caplog, CALL_ENDED)
    assert call["method"] == "csm.v1.GeneratorService/GetLoad"
    assert call["error"]
    assert WORDS not in caplog.text + repr([vars(record) for record in caplog.records])
