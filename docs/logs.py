"""Writes docs/logs.md from csm/serving/logs/access.py: `make docs`. A test keeps it fresh."""

import json
import logging
from collections.abc import Mapping

from csm.serving.logs.access import CALL_FIELDS, TURN_FIELDS
from csm.serving.logs.format import TextLines

INTRODUCTION = """\
# Logs

Written by `make docs`; the fields are those of `csm/serving/logs/access.py`. Each process writes to standard error, a record a line: JSON with `LOG_FORMAT=json` (as the images set), else text with the same fields as `key=value`, quoted as in JSON where need be. Line breaks and control characters in a value are escaped in both: no client can forge a line.

| setting | default | |
|---|---|---|
| `CSM_<SERVICE>_LOG_LEVEL` | INFO | DEBUG, INFO, WARNING or ERROR; of our own loggers. Others' libraries are heard from WARNING on, whatever it says |
| `CSM_<SERVICE>_LOG_FORMAT` | text | text or json |
| `CSM_<SERVICE>_ACCESS_LOG` | true | a line for each call and turn; false: only for calls that ended otherwise than well |
| `CSM_<SERVICE>_LOG_TEXT` | false | the line of a turn (for one text: of its call) has the first 500 characters of what was spoken or heard, in `text` |

`csm serve` has one form for its three services: `--log-level`, `--log-format`; the variables of those two are for services by themselves.

Every line has `time` (UTC), `level`, `logger`, `message`; `request_id` where it belongs to a call; `exception` where there is one.

## What is never logged

What a person said, heard or wrote, names of files, credentials, metadata and headers, at any level, unless `LOG_TEXT` is true; then the turn's line alone has its text. Errors are told by kind, field and place, never by their message, which may repeat what a client sent; our own faults (INTERNAL, 500) are told by where they were raised. Ids that a client chose (conversation, turn, request) and names of principals are logged.

## Access lines

One at the end of every RPC and every HTTP request, and of a WebSocket, whether it went well or not (`"message": "call ended"`). INFO; ERROR where the fault is ours. `/healthz`, `/readyz`, reflection and what gateways ask model services every few seconds (`GetLoad`, `GetModelInfo`, `GetTokenizerInfo`) are told at DEBUG alone; gRPC's health checks, `/metrics` and methods that no service has are not told. In a conversation (Converse, WebSocket) each turn, spoken or heard, is a line too (`"message": "turn ended"`). A field is left out where there is nothing to tell: empty, 0, or false.

"""

AFTER = """\
## Drain

At SIGTERM a service says what it waits for (`draining`), again every five seconds (`drain waits`), a WARNING with what is left when the time is up (`drain cuts what has not ended in time`), and at the end `drained`.

| field | |
|---|---|
| `service` | that drains |
| `calls`, `turns` | under way; in `drained`: calls at the beginning |
| `oldest_s` | age of the oldest call |
| `methods` | of the calls, each once |
| `request_ids`, `conversation_ids` | of the five oldest |
| `finish_s`, `left_s` | how long they may go on in all (`DRAIN_DELAY_S` and `DRAIN_FINISH_S`), and still |
| `cut` | calls that had not ended when the time was up |
| `left` | calls still open when the server had stopped |
| `seconds` | that the drain took |

## Request ids

`x-request-id`, 1..64 letters, digits and `_.:-`, is taken from a gRPC call's metadata or an HTTP request's (or WebSocket handshake's) header; where there is none that fits, the gateway makes one. It is in all lines about the call, is passed on to generator and tokenizer (so a search for it finds the call in the logs of all three), and goes back: over gRPC in the trailing metadata, of errors too; over HTTP as a header, of errors too; at a WebSocket in the answer to its handshake. An INTERNAL status says it in its message as well. In Python:

```python
try:
    client.synthesize("Hello.", voice="nobody").read_pcm()
except errors.ServiceError as error:
    print(error.request_id)
```

To give ids of your own: `Client(target, metadata=[("x-request-id", "order-17")])`. A call that went well is found by `turn_id` or `conversation_id`, which the SDK's events have.

## Others who write

Warnings, uncaught exceptions (of threads and tasks too) and what other libraries log are records like any. gRPC's core is silent, unless `GRPC_VERBOSITY` is set. With JSON, whatever is written to standard error beside the logs (gRPC's core, C++ libraries, child processes, `print`) comes as a record of the logger `stderr`. Plain all the same: a refusal of wrong settings, before the form of logs is known, and the stacks that `faulthandler` prints as native code crashes the process.
"""


EXAMPLES = {
    "call": (
        '{"time": "2026-11-29T16:10:42.533Z", "level": "INFO", "logger": "csm.access", "m'
        'essage": "call ended", "transport": "grpc", "method": "csm.v1.SpeechService/Conv'
        'erse", "status": "UNAVAILABLE", "conversation_id": "call-7f3a", "turn_id": "6b3f'
        '2f38f7d34494", "turns": 2, "heard_turns": 1, "duration_ms": 20440.5, "first_audi'
        'o_ms": 90.6, "audio_s": 53.36, "heard_s": 1.04, "frames": 667, "prompt_frames": '
        '10019, "reused_frames": 6367, "finish_reason": "EOS", "bytes_in": 48844, "bytes_'
        'out": 2579274, "peer": "127.0.0.1", "error": "reason UNAVAILABLE; retry after 10'
        '00 ms", "request_id": "814643e1ff411ff6"}'
    ),
    "turn": (
        '{"time": "2026-11-29T16:10:22.267Z", "level": "INFO", "logger": "csm.access", "m'
        'essage": "turn ended", "kind": "spoken", "method": "csm.v1.SpeechService/Convers'
        'e", "outcome": "completed", "finish_reason": "EOS", "conversation_id": "call-7f3'
        'a", "turn_id": "f958dfb7e2e04022", "duration_ms": 169.9, "first_audio_ms": 90.6,'
        ' "queue_ms": 0.2, "prefill_ms": 10.9, "audio_s": 0.72, "frames": 9, "prompt_fram'
        'es": 46, "text_tokens": 14, "text_chars": 10, "request_id": "814643e1ff411ff6"}'
    ),
    "http": (
        '{"time": "2026-11-29T16:10:22.093Z", "level": "INFO", "logger": "csm.access", "m'
        'essage": "call ended", "transport": "http", "method": "POST /v1/audio/speech", "'
        'status": "200", "turn_id": "13d9aadb3f2b4da1", "turns": 1, "duration_ms": 119.7,'
        ' "first_audio_ms": 29.4, "audio_s": 0.88, "frames": 11, "prompt_frames": 17, "fi'
        'nish_reason": "EOS", "bytes_in": 24, "bytes_out": 9360, "peer": "127.0.0.1", "re'
        'quest_id": "e302be54952d8437"}'
    ),
    "drain": (
        '{"time": "2026-11-29T16:10:27.271Z", "level": "INFO", "logger": "csm.serving.cal'
        'ls.live", "message": "drain waits", "service": "csm.v1.SpeechService", "calls": '
        '1, "turns": 1, "oldest_s": 5.2, "methods": "csm.v1.SpeechService/Converse", "req'
        'uest_ids": "814643e1ff411ff6", "conversation_ids": "call-7f3a", "left_s": 25.0}'
    ),
}
"""Lines of `csm serve --log-format json` with the model that ships."""


def as_text(line: str) -> str:
    """The same record as `LOG_FORMAT=text` writes it."""
    told = json.loads(line)
    record = logging.makeLogRecord({"name": told["logger"], "levelname": told["level"]})
    record.msg = told["message"]
    record.request_id = told.get("request_id", "")
    own = ("time", "level", "logger", "message", "request_id")
    record.fields = {name: value for name, value in told.items() if name not in own}
    return told["time"] + TextLines().format(record)[len(told["time"]) :]


def table(fields: Mapping[str, str]) -> str:
    """Names and meanings."""
    rows = (f"| `{name}` | {meaning} |" for name, meaning in fields.items())
    return "\n".join(["| field | |", "|---|---|", *rows]) + "\n\n"


def block(line: str) -> str:
    """As it is, between two lines of their own."""
    return f"```\n{line}\n```\n\n"


def document() -> str:
    """The page, whole."""
    return "".join(
        [
            INTRODUCTION,
            "### A call\n\n",
            block(EXAMPLES["call"]),
            "One over HTTP:\n\n",
            block(EXAMPLES["http"]),
            "The same as text:\n\n",
            block(as_text(EXAMPLES["http"])),
            table(CALL_FIELDS),
            "### A turn\n\n",
            block(EXAMPLES["turn"]),
            table(TURN_FIELDS),
            AFTER.replace("| field | |", block(EXAMPLES["drain"]) + "| field | |", 1),
        ]
    )


if __name__ == "__main__":
    print(document(), end="")
