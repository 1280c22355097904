"""One try at a spoken turn: a generator stream, a decoder stream, and the sentences between.

Sentences come from a `SentenceQueue` as the text arrives. The next one is submitted when the
generator is done with the one before, not when that has been played; all frames go through one
decoder, so there is no seam.

Either stream may be lost. The other goes on, and the one that was lost is opened elsewhere: the
generator is given what it needs to go on in the same sentence, the decoder its last frames.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from csm.audio.frames import WIRE_DTYPE
from gateway.backends.backends import Backends
from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure
from gateway.conversations.store import Segment
from gateway.settings import GatewaySettings
from gateway.speaking.attempt_events import AttemptEvent, AttemptOptions
from gateway.speaking.events import FinishReason, TurnUsage
from gateway.speaking.late_decoder import DecoderFormat, LateDecoder
from gateway.speaking.meter import TurnMeter
from gateway.speaking.pauses import Pauses
from gateway.speaking.recovery import Recovery
from gateway.speaking.sentence_maker import END_TIMEOUT_S, MakerPorts, SentenceMaker
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.speaking.spoken_sentences import SpokenSentences
from gateway.speaking.watch import WATCH_INTERVAL_S, Watch


class Attempt:
    """The two streams and what came through them."""

    def __init__(
        self,
        options: AttemptOptions,
        context: Iterable[Any],
        backends: Backends,
        settings: GatewaySettings,
        meter: TurnMeter,
        recovery: Recovery,
    ) -> None:
        """`context` are segments as `context_messages` makes them."""
        self._backends, self._settings, self._meter = backends, settings, meter
        self._recovery = recovery
        self._stopping = False
        self._events: deque[AttemptEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        info, form = backends.info, options.form
        self._pauses = Pauses(form.sample_bytes)
        self._decoder = LateDecoder(
            lambda: Decoding(backends, form, options.left_s()),
            DecoderFormat(
                info.tokenizer.num_codebooks * WIRE_DTYPE.itemsize,
                form.sample_rate_hz * info.frame_ms / 1000,
                form.sample_bytes,
                info.frame_ms / 1000,
            ),
            options.ahead_frames,
            self._may_decode_on,
            recovery.got_on,
            options.lead_s,
        )
        ports = MakerPorts(
            backends, settings, meter, recovery, self._decoder, self._pauses, self._tell
        )
        self._maker = SentenceMaker(options, context, ports)
        meter.submitted()

    @property
    def spoken(self) -> SpokenSentences:
        """The sentences that were submitted, and their frames."""
        return self._maker.spoken

    @property
    def num_frames(self) -> int:
        """Frames made, of all sentences."""
        return self._maker.spoken.num_frames

    @property
    def usage(self) -> TurnUsage:
        """Of all sentences so far."""
        return self._maker.usage

    @property
    def finish_reason(self) -> FinishReason:
        """How it ended, once `events` has."""
        return self._maker.finish_reason

    @property
    def queue_ms(self) -> float:
        """That its first sentence waited for a slot."""
        return self._maker.queue_ms

    @property
    def prefill_ms(self) -> float:
        """Of its first sentence."""
        return self._maker.prefill_ms

    async def events(self, sentences: SentenceQueue) -> AsyncGenerator[AttemptEvent, None]:
        """Speaks the sentences to their end; raises `BackendFailure`."""
        work = asyncio.create_task(self._work(sentences))
        work.add_done_callback(lambda _: self._wake())
        try:
            while True:
                while self._events:
                    yield self._events.popleft()
                if work.done():
                    work.result()
                    return
                # A future of its own is cheaper than an Event, and this is waited for every frame.
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        finally:
            self._waiter = None
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def stop(self, timeout_s: float) -> None:
        """Ends the running sentence in band.

        `events` ends when the generator has said so, or after the timeout.
        """
        self._stopping = True
        self._decoder.stop()
        self._maker.stop(timeout_s)

    def written(self, num_frames: int, credit_frames: int) -> None:
        """The client has taken the audio of the first `num_frames`, `credit_frames` of it anew."""
        self._decoder.written(num_frames)
        self._maker.give_credit(credit_frames)

    def text_chars(self, num_frames: int) -> int:
        """Characters of the text whose sentence has begun within the first `num_frames`."""
        return self.spoken.text_chars(num_frames)

    def segments(self, kept_frames: int) -> list[Segment]:
        """The first `kept_frames` as segments, a sentence each."""
        return self.spoken.segments(kept_frames)

    # --- inside ---

    def _tell(self, event: AttemptEvent) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _work(self, sentences: SentenceQueue) -> None:
        generate = asyncio.create_task(self._maker.run(sentences))
        decode = asyncio.create_task(self._decoder.run(self._sound))
        watch: asyncio.Task[None] | None = None
        tasks = {generate, decode}
        try:
            pending = set(tasks)
            while pending - {watch}:
                # Who fails at once needs no watch: what it costs is behind the first sound.
                done, pending = await asyncio.wait(
                    pending,
                    timeout=WATCH_INTERVAL_S if watch is None else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if watch is None and not done:
                    watch = asyncio.create_task(self._watched())
                    tasks.add(watch)
                    pending.add(watch)
                failed = [t for t in done if not t.cancelled() and t.exception() is not None]
                if failed and decode in pending and self._decoder.fed_frames and not self._stopping:
                    # The frames that were made are good, and the client listens.
                    self._decoder.close()
                    await asyncio.wait((decode,), timeout=END_TIMEOUT_S)
                for task in failed:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._maker.generation.cancel()
            self._decoder.stop()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._maker.end()

    def _sound(self, pcm: bytes, num_frames: int) -> None:
        self._meter.decoded()
        for event in self._pauses.between(pcm, num_frames):
            self._tell(event)

    async def _may_decode_on(self, failure: BackendFailure) -> bool:
        if self._stopping:
            return False
        return await self._recovery.go_on(failure, has_frames=self.num_frames > 0)

    async def _watched(self) -> None:
        maker, decoder = self._maker, self._decoder
        watch = Watch(
            self._settings,
            lambda: maker.generation,
            maker.owed,
            lambda: decoder.decoding,
            decoder.owed,
        )
        await watch.run(self._backends, lambda: (self._recovery.route_key, self._recovery.route))
