"""The process that judges recordings, as the gateway sees it."""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from collections import OrderedDict

JUDGE_TIMEOUT_S = 60.0
"""For one recording, the start of the process included; then it is ended."""
IDLE_S = 60.0
"""Without work the process ends, and gives its memory back."""
MAX_WAITING = 8
"""Recordings of all calls that are judged or wait for it; others are not judged."""
MAX_KNOWN = 512
"""Verdicts that are remembered: callers send the same recording with every call."""
_MODULE = "gateway.hearing.recognition"


def available() -> bool:
    """Whether the recogniser and what reads files for it are installed."""
    return all(map(importlib.util.find_spec, ("pocketsphinx", "soundfile", "soxr")))


class JudgingProcess:
    """One process for all calls, begun when there is something to judge."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._known: OrderedDict[bytes, bool] = OrderedDict()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def wrong(self, audio: bytes, text: str) -> bool:
        """Whether an audio file says other words; False also where nobody can tell."""
        key = hashlib.blake2b(audio, digest_size=16, key=_key(text)).digest()
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            async with self._turn:
                verdict = await self._asked(audio, text)
        finally:
            self._waiting -= 1
        if verdict is None:
            return False
        self._known[key] = verdict == "wrong"
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return self._known[key]

    async def close(self) -> None:
        """Ends the process, and waits until it has ended."""
        self._end()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            ending = asyncio.create_task(_ended(process))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _asked(self, audio: bytes, text: str) -> str | None:
        """The verdict; None where the process gives none in time. It is ended then."""
        if self._idle is not None:
            self._idle.cancel()
        done = False
        try:
            async with asyncio.timeout(JUDGE_TIMEOUT_S):
                process = await self._running()
                if process.stdin is None or process.stdout is None:
                    return None
                asked = json.dumps({"text": text, "bytes": len(audio)})
                process.stdin.write(asked.encode() + b"\n")
                process.stdin.write(audio)
                await process.stdin.drain()
                line = await process.stdout.readline()
            verdict = json.loads(line)["verdict"] if line else None
            done = verdict is not None
            return verdict
        except (OSError, TimeoutError, ValueError, KeyError):
            return None
        finally:
            # Also where who asked has gone: its answer would be taken for that of the next.
            if done:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._end)
            else:
                self._end()

    async def _running(self) -> asyncio.subprocess.Process:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                _MODULE,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # It finds this package where we found it.
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return process


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    # To the end of its pipes: only then they are closed.
    await process.communicate()


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=32).digest()
