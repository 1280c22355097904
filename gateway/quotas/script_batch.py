"""Scripts that are asked for at once go to Redis as one message, and are answered at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.commands.core import AsyncScript


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    script: AsyncScript
    key: str
    arguments: tuple[Any, ...]
    answer: asyncio.Future[Any]


class ScriptBatch:
    """The scripts of one client, each of one key."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[_Run] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, script: AsyncScript, key: str, *arguments: Any) -> asyncio.Future[Any]:
        """The answer, which may raise what redis raises."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Behind all that the loop has to do already, and so behind those of the same call.
            loop.call_soon(self._send)
        run = _Run(script, key, arguments, loop.create_future())
        self._waiting.append(run)
        return run.answer

    def _send(self) -> None:
        runs, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._execute(runs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, runs: list[_Run]) -> None:
        try:
            answers = await self._pipeline(runs)
            unknown = [n for n, a in enumerate(answers) if isinstance(a, exceptions.NoScriptError)]
            if unknown:
                for source in {runs[n].script.script for n in unknown}:
                    await self._client.script_load(source)
                again = await self._pipeline([runs[n] for n in unknown])
                for n, answer in zip(unknown, again, strict=True):
                    answers[n] = answer
        except Exception as error:
            answers = [error] * len(runs)
        for run, answer in zip(runs, answers, strict=True):
            if run.answer.done():
                continue  # nobody waits for it any more
            if isinstance(answer, Exception):
                run.answer.set_exception(answer)
            else:
                run.answer.set_result(answer)

    async def _pipeline(self, runs: Sequence[_Run]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for run in runs:
                pipeline.evalsha(run.script.sha, 1, run.key, *run.arguments)
            return list(await pipeline.execute(raise_on_error=False))
