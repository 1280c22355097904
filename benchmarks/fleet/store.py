"""What a conversation takes in Redis: spoken and heard by real gateways, in their own records.

`python -m benchmarks.fleet store` (options: `--help`). Codes are as wide as CSM-1B's.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

import redis

from benchmarks.fleet.engine import FRAME_MS
from benchmarks.fleet.generator import CODES
from benchmarks.fleet.listeners import Listeners
from benchmarks.fleet.stack import Stack, StackOptions
from benchmarks.fleet.streams import FRAMES_PER_S, where
from csm.serving.bootstrap import event_loop

HEARD_S = 4.0
"""Of the other side, before each spoken turn."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--conversations", type=int, default=40)
    parser.add_argument("--exchanges", type=int, default=10, help="a turn heard, a turn spoken")


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Speaks and measures."""
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        return runner.run(measure(given.conversations, given.exchanges))


async def measure(conversations: int, exchanges: int) -> dict[str, Any]:
    """So many conversations of so many exchanges, each."""
    options = StackOptions(
        generators=1, tokenizers=1, slots=64, step_ms=2.0, streams=max(16, conversations)
    )
    with tempfile.TemporaryDirectory(prefix="csm") as folder, Stack(Path(folder), options) as stack:
        client = redis.Redis.from_url(stack.store_url)
        listeners = Listeners(stack.target, conversations, lead_ms=0)
        try:
            await listeners.open()
            for _ in range(exchanges):
                await listeners.exchange(HEARD_S)
        finally:
            await listeners.close()
        heard = listeners.heard
        if heard.failed or heard.refused:
            raise RuntimeError(f"{len(heard.failed)} turns failed, {heard.refused} were refused")
        keys = list(client.scan_iter("*"))
        by_key = sum(client.memory_usage(key, samples=0) or 0 for key in keys)
        records = [one for key in keys if key.endswith(b":turns") for one in _list(client, key)]
        client.close()
    frames = heard.audio_s * FRAMES_PER_S + conversations * exchanges * HEARD_S * FRAMES_PER_S
    audio_s = frames * FRAME_MS / 1000
    return {
        "benchmark": "fleet store",
        "machine": where(),
        "conversations": conversations,
        "exchanges": exchanges,
        "turns_kept": len(records),
        "audio_s_a_conversation": round(audio_s / conversations, 1),
        "keys_a_conversation": round(len(keys) / conversations, 2),
        "record_bytes_a_turn": round(sum(map(len, records)) / len(records)),
        "redis_bytes_a_conversation": round(by_key / conversations),
        "redis_bytes_a_second_of_audio": round(by_key / audio_s),
        "codes_bytes_a_second_of_audio": round(len(CODES) * FRAMES_PER_S),
    }


def _list(client: Any, key: bytes) -> list[bytes]:
    return list(client.lrange(key, 0, -1))
