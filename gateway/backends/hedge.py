"""Several decoders for one turn, until the first of them answers.

A tokenizer that stands still keeps its connection, and calls are spread in turns: the next one may
come to the very process that was just left.
"""

import asyncio
from collections.abc import Callable

from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure


class HedgedDecoding:
    """A `Decoding` made of several; the one that sounds first is kept."""

    def __init__(self, decoding: Callable[[], Decoding], count: int) -> None:
        """`decoding` opens one."""
        self._decodings = [decoding() for _ in range(count)]
        self._chosen: Decoding | None = None

    @property
    def closed(self) -> bool:
        """Whether no more frames come."""
        return all(one.closed for one in self._decodings)

    def feed(self, codes: bytes, num_frames: int) -> None:
        """See `Decoding`."""
        for one in self._decodings:
            one.feed(codes, num_frames)

    def close(self) -> None:
        """See `Decoding`."""
        for one in self._decodings:
            one.close()

    def cancel(self) -> None:
        """See `Decoding`."""
        for one in self._decodings:
            one.cancel()

    def fail(self, failure: BackendFailure) -> None:
        """See `Decoding`."""
        for one in self._decodings:
            one.fail(failure)

    async def sound(self) -> tuple[bytes, int] | None:
        """See `Decoding`. Raises what the last of them failed with, where all did."""
        if self._chosen is not None:
            return await self._chosen.sound()
        waiting = {asyncio.create_task(one.sound()): one for one in self._decodings}
        try:
            while True:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    one = waiting.pop(task)
                    try:
                        sound = task.result()
                    except BackendFailure:
                        if not waiting:
                            raise
                        continue
                    self._choose(one)
                    return sound
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _choose(self, chosen: Decoding) -> None:
        for one in self._decodings:
            if one is not chosen:
                one.cancel()
        self._chosen, self._decodings = chosen, [chosen]
