"""Frames to sound, as late as the listener allows: what waits for one who does not read waits as
codes, of which 80 ms take some dozens of bytes whatever the format.

A decoder that is lost is built anew from the last frames that were decoded: their sound is thrown
away, and what follows joins what was heard without a seam.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure
from gateway.backends.hedge import HedgedDecoding
from gateway.speaking.fate import Source
from gateway.speaking.watch import Owed

MIN_DECODED_FRAMES = 2
MAX_GATHERED_FRAMES = 4
"""Of one message to the tokenizer, and so of one chunk of sound: 320 ms."""
GATHERED_SHARE = 3
"""One part in so many of what the listener has in hand may be gathered: the rest outlasts a
generator that pauses."""
MAX_FED_FRAMES = 64
"""Of one message, where many frames wait: a tokenizer takes 1024, and makes a few at a time."""
HEDGED = 3
"""Calls in place of one that hangs."""
PRIMER_FRAMES = 24
"""Decoded again, and not heard, by a decoder that is built anew: 1.92 s. The codec's convolutions
see a fraction of a second; what its attention sees beyond these changes nothing that is heard
(docs/reliability.md has it measured)."""


@dataclass(frozen=True)
class DecoderFormat:
    """The size of a frame as codes, and of its sound."""

    frame_bytes: int
    """Bytes of a frame's codes."""
    frame_samples: float
    """Samples that a frame lasts, at the client's rate."""
    sample_bytes: int
    """Bytes of a sample of all channels."""
    frame_s: float
    """Seconds that a frame lasts."""


class LateDecoder:
    """A StreamingDecode call, fed with no more frames than the listener has room for."""

    def __init__(
        self,
        decoding: Callable[[], Decoding],
        form: DecoderFormat,
        ahead_frames: int,
        go_on: Callable[[BackendFailure], Awaitable[bool]],
        got_on: Callable[[Source], None],
        lead_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`decoding` opens a call. `ahead_frames` may be decoded beyond what was written. `go_on`
        is asked after a failure whether to open another; `got_on` hears of every sound; `lead_s`
        gives the seconds that the listener has in hand."""
        self._open = decoding
        self.decoding: Decoding | HedgedDecoding = decoding()
        """The call under way."""
        self.form = form
        self._ahead_frames = max(MIN_DECODED_FRAMES, ahead_frames)
        self._go_on, self._got_on, self._lead_s = go_on, got_on, lead_s
        self._undecoded = bytearray()
        """Codes of frames that wait: to be more, or for the listener."""
        self._gathering: asyncio.TimerHandle | None = None
        """Set while those are to be more; what ends it."""
        self._wanted_frames = 1
        """Then: as many."""
        self._recent: deque[tuple[bytes, int]] = deque()
        """What was fed, from `PRIMER_FRAMES` before the end of the sound so far."""
        self._recent_frames = 0
        self._written_frames = 0
        self._first_frame = 0
        """The first one that the call under way was fed with."""
        self._heard_bytes = self._unheard_bytes = 0
        """Of sound: what was handed over, and what is still to be thrown away of a new call's."""
        self._ended = self._stopped = False
        self._sounds = False
        """The call under way has answered."""
        self.owed = Owed()
        """Sound that the tokenizer owes."""
        self.fed_frames = 0
        self.decoded_frames = 0

    def feed(self, codes: bytes, num_frames: int) -> None:
        """These frames come after those before."""
        self._undecoded += codes
        if not self._gathers():
            self._pump()

    def withdraw(self, from_frame: int) -> bool:
        """Takes back what was fed from that frame on; False where some of it is being decoded."""
        if self.fed_frames > from_frame:
            return False
        del self._undecoded[(from_frame - self.fed_frames) * self.form.frame_bytes :]
        return True

    def written(self, num_frames: int) -> None:
        """The listener has taken the sound of the first `num_frames`."""
        if num_frames > self._written_frames:
            self._written_frames = num_frames
            if self._undecoded and self._gathering is None:
                self._pump()

    def close(self) -> None:
        """No more frames come."""
        self._ended = True
        self._pump()

    def stop(self) -> None:
        """Nobody listens any more."""
        self._stopped = True
        self._end_gathering()
        self.decoding.cancel()

    async def run(self, on_sound: Callable[[bytes, int], None]) -> None:
        """Hands over PCM and the frames decoded by its end, to the last.

        Raises `BackendFailure` where the tokenizer ends before that and there is no other.
        """
        while True:
            try:
                await self._run(on_sound)
                return
            except BackendFailure as failure:
                self.owed.end()
                if self._stopped:
                    raise
                if not await self._go_on(failure):
                    if self._has_all_sound():
                        return
                    raise
                self._begin_anew(hangs=failure.hangs)

    async def _run(self, on_sound: Callable[[bytes, int], None]) -> None:
        try:
            while (sound := await self.decoding.sound()) is not None:
                pcm, num_frames = sound
                num_frames += self._first_frame
                if num_frames > self.decoded_frames:
                    self.decoded_frames = num_frames
                    self._forget_old()
                self._sounds = True
                if self.decoded_frames < self.fed_frames or self.decoding.closed:
                    self.owed.begin(flowing=True)
                else:
                    self.owed.end()
                if self._unheard_bytes:
                    dropped = min(self._unheard_bytes, len(pcm))
                    self._unheard_bytes -= dropped
                    pcm = pcm[dropped:]
                if pcm and not self._stopped:
                    self._heard_bytes += len(pcm)
                    self._got_on(Source.TOKENIZER)
                    on_sound(pcm, self.decoded_frames)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        self.owed.end()
        early = not self.decoding.closed or self.decoded_frames < self.fed_frames
        if early and not self._stopped:
            raise BackendFailure.ended(Source.TOKENIZER)

    def _has_all_sound(self) -> bool:
        """Only the end of the call is missing: a turn does not fail for that."""
        return self._ended and not self._undecoded and self.decoded_frames >= self.fed_frames

    def _begin_anew(self, *, hangs: bool) -> None:
        """Another call, fed with the frames behind which it is to go on, and with those that the
        one before still owed. Several, where it may come to the same tokenizer, that hangs."""
        self.decoding.cancel()
        self._sounds = False
        self.decoding = HedgedDecoding(self._open, HEDGED) if hangs else self._open()
        form, recent = self.form, b"".join(codes for codes, _ in self._recent)
        kept = min(self._recent_frames, self.fed_frames - self.decoded_frames + PRIMER_FRAMES)
        self._first_frame = self.fed_frames - kept
        begins_at = round(self._first_frame * form.frame_samples) * form.sample_bytes
        self._unheard_bytes = max(0, self._heard_bytes - begins_at)
        for first in range(self._first_frame, self.fed_frames, MAX_FED_FRAMES):
            num_frames = min(MAX_FED_FRAMES, self.fed_frames - first)
            begin = len(recent) - (self.fed_frames - first) * form.frame_bytes
            self.decoding.feed(recent[begin : begin + num_frames * form.frame_bytes], num_frames)
        if kept:
            self.owed.begin()
        self._pump()

    def _forget_old(self) -> None:
        first = self.fed_frames - self._recent_frames
        while self._recent and first + self._recent[0][1] + PRIMER_FRAMES <= self.decoded_frames:
            _, num_frames = self._recent.popleft()
            self._recent_frames -= num_frames
            first += num_frames

    def _gathers(self) -> bool:
        """Whether the frames that wait are to be more before they are decoded."""
        waiting = len(self._undecoded) // self.form.frame_bytes
        if self._gathering is None:
            share_s = self._lead_s() / GATHERED_SHARE
            self._wanted_frames = min(MAX_GATHERED_FRAMES, int(share_s / self.form.frame_s))
            if waiting < self._wanted_frames:
                # At the latest then, or a generator that waits for credit would wait for ever.
                loop = asyncio.get_running_loop()
                self._gathering = loop.call_later(share_s, self._pump)
        return waiting < self._wanted_frames

    def _end_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _pump(self) -> None:
        self._end_gathering()
        form = self.form
        room = self._written_frames + self._ahead_frames - self.fed_frames
        left = min(room, len(self._undecoded) // form.frame_bytes)
        while left > 0 and not self._stopped:
            num_frames = min(left, MAX_FED_FRAMES)
            left -= num_frames
            codes = bytes(self._undecoded[: num_frames * form.frame_bytes])
            del self._undecoded[: len(codes)]
            self.decoding.feed(codes, num_frames)
            self._recent.append((codes, num_frames))
            self._recent_frames += num_frames
            self.fed_frames += num_frames
            if not self.owed.for_s:
                self.owed.begin(flowing=self._sounds)
        if self._ended and (self._stopped or not self._undecoded):
            self.decoding.close()
            # The end is owed too, or a tokenizer that hangs there holds the turn for ever.
            if not (self._stopped or self.owed.for_s):
                self.owed.begin(flowing=self._sounds)
