"""Frames to sound, as late as the listener allows: what waits for one who does not read waits as
codes, of which 80 ms take some dozens of bytes whatever the format."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure
from gateway.speaking.fate import Source

MIN_DECODED_FRAMES = 2


class LateDecoder:
    """One StreamingDecode call, fed with no more frames than the listener has room for."""

    def __init__(self, decoding: Decoding, frame_bytes: int, ahead_frames: int) -> None:
        """`frame_bytes` of codes; `ahead_frames` may be decoded beyond what was written."""
        self._decoding = decoding
        self._frame_bytes = frame_bytes
        self._ahead_frames = max(MIN_DECODED_FRAMES, ahead_frames)
        self._undecoded: deque[tuple[bytes, int]] = deque()
        self._written_frames = 0
        self._owed_since: float | None = None
        self._ended = self._stopped = False
        self.fed_frames = 0
        self.decoded_frames = 0

    @property
    def owed_s(self) -> float:
        """Seconds since when the tokenizer owes sound; 0 where it owes none."""
        return 0.0 if self._owed_since is None else time.monotonic() - self._owed_since

    def feed(self, codes: bytes, num_frames: int) -> None:
        """These frames come after those before."""
        self._undecoded.append((codes, num_frames))
        self._pump()

    def withdraw(self, from_frame: int) -> bool:
        """Takes back what was fed from that frame on; False where some of it is being decoded."""
        if self.fed_frames > from_frame:
            return False
        fed = self.fed_frames
        kept: deque[tuple[bytes, int]] = deque()
        for codes, num_frames in self._undecoded:
            room = min(num_frames, from_frame - fed)
            if room > 0:
                kept.append((codes[: room * self._frame_bytes], room))
                fed += room
        self._undecoded = kept
        return True

    def written(self, num_frames: int) -> None:
        """The listener has taken the sound of the first `num_frames`."""
        if num_frames > self._written_frames:
            self._written_frames = num_frames
            if self._undecoded:
                self._pump()

    def close(self) -> None:
        """No more frames come."""
        self._ended = True
        self._pump()

    def stop(self) -> None:
        """Nobody listens any more."""
        self._stopped = True
        self._decoding.cancel()

    async def run(self, on_sound: Callable[[bytes, int], None]) -> None:
        """Hands over PCM and the frames decoded by its end, to the last.

        Raises `BackendFailure` where the tokenizer ends before that.
        """
        try:
            while (sound := await self._decoding.sound()) is not None:
                pcm, num_frames = sound
                if num_frames > self.decoded_frames:
                    self.decoded_frames = num_frames
                waits = self.decoded_frames < self.fed_frames
                self._owed_since = time.monotonic() if waits else None
                if pcm and not self._stopped:
                    on_sound(pcm, num_frames)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        if not self._stopped and not self._decoding.requests.closed:
            raise BackendFailure.ended(Source.TOKENIZER)

    def _pump(self) -> None:
        while self._undecoded and not self._stopped:
            codes, num_frames = self._undecoded[0]
            room = self._written_frames + self._ahead_frames - self.fed_frames
            if room <= 0:
                return
            if num_frames > room:
                at = room * self._frame_bytes
                self._undecoded[0] = (codes[at:], num_frames - room)
                codes, num_frames = codes[:at], room
            else:
                self._undecoded.popleft()
            self._decoding.feed(codes, num_frames)
            self.fed_frames += num_frames
            if self._owed_since is None:
                self._owed_since = time.monotonic()
        if self._ended:
            self._decoding.requests.close()
