"""A turn's audio on its way to the client: what was put, what left, what was taken."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from csm.audio.pcm import pcm_bytes
from gateway.commands import StreamFormat
from gateway.conversations.silences import Silences
from gateway.conversations.turn import Turn
from gateway.speaking.events import Audio
from gateway.speaking.meter import TurnMeter
from gateway.speaking.outbox import Outbox
from gateway.speaking.pacing import Playout


@dataclass(frozen=True)
class DeliveryPorts:
    """What a delivery is connected to."""

    outbox: Outbox
    meter: TurnMeter
    on_taken: Callable[[], None]
    """A chunk is on its way."""
    on_written: Callable[[int, int], None]
    """The client has the first so many frames, so many of them anew."""


class Delivery:
    """The audio of one turn; an `AudioSource`."""

    def __init__(
        self,
        turn_id: str,
        form: StreamFormat,
        frame_ms: float,
        max_lead_ms: int,
        ports: DeliveryPorts,
    ) -> None:
        self.turn_id = turn_id
        self.silences = Silences()
        self.so_far: Callable[[int], Turn] | None = None
        """Gives the first so many frames of the turn; set by who makes it."""
        self.sent_frames = 0
        """Frames whose audio has left."""
        self._form = form
        self._frame_ms = frame_ms
        self._ports = ports
        self._playout = Playout(max_lead_ms, frame_ms)
        self._stopped = False
        self._heard_ms: int | None = None
        self._num_samples = 0
        self._unwritten = 0
        self._credited_frames = 0
        self._changed = asyncio.Event()

    @property
    def underrun_s(self) -> float:
        """Seconds that a listener who plays at once would have waited."""
        return self._playout.underrun_s

    @property
    def kept_frames(self) -> int:
        """Frames that the client has got, and has heard where it says so."""
        if self._heard_ms is None:
            return self.sent_frames
        return min(self.sent_frames, self.silences.heard_frames(self._heard_ms, self._frame_ms))

    def put(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """The next chunk, by whose end the turn has `num_frames` and has begun `text_chars`."""
        num_samples = len(pcm) // self._form.sample_bytes
        duration_s = num_samples / self._form.sample_rate_hz
        self._unwritten += 1
        audio = Audio(self, pcm, self._num_samples, num_frames, text_chars, duration_s)
        self._ports.outbox.put(audio)
        self._num_samples += num_samples

    def put_silence(self, duration_ms: int, num_frames: int, text_chars: int) -> None:
        """Nothing is heard for so long, in chunks as long as those of speech."""
        if not duration_ms:
            return
        self.silences.add(num_frames, duration_ms)
        # One chunk's bytes serve all: ten seconds wait in the memory of a frame.
        frame = self._silent(round(self._frame_ms))
        whole, rest_ms = divmod(duration_ms, round(self._frame_ms))
        for _ in range(whole):
            self.put(frame, num_frames, text_chars)
        if rest_ms:
            self.put(self._silent(rest_ms), num_frames, text_chars)

    def begin_again(self) -> None:
        """Nothing has left: what waits is dropped, and the turn starts anew."""
        self._ports.outbox.discard_audio(self)
        self._num_samples = self._unwritten = self._credited_frames = 0
        self.silences = Silences()

    def stop(self, heard_ms: int | None) -> None:
        """What waits is dropped; `heard_ms` of what left were heard, None: all."""
        self._stopped, self._heard_ms = True, heard_ms
        self._ports.outbox.discard_audio(self)
        self._changed.set()

    def text_starved(self) -> None:
        """The listener waits for text that nobody has written yet."""
        self._playout.text_starved(time.monotonic())

    async def all_written(self) -> None:
        """Returns when the client has everything, or the delivery was stopped."""
        while self._unwritten and not self._stopped:
            self._changed.clear()
            await self._changed.wait()

    # --- what the writer asks and tells (AudioSource) ---

    def codes(self, first_frame: int, end_frame: int) -> bytes:
        """Packed codes of frames [first_frame, end_frame), as far as there are any."""
        segments = self.so_far(end_frame).segments if self.so_far is not None else []
        codes = b"".join(segment.codes for segment in segments)
        frame_bytes = len(codes) // max(1, sum(segment.num_frames for segment in segments))
        return codes[first_frame * frame_bytes : end_frame * frame_bytes]

    def delay_s(self, audio: Audio) -> float:
        """Seconds until the chunk may leave."""
        if not self._playout.paced:
            return 0.0
        return self._playout.delay_s(audio.duration_s, time.monotonic())

    def taken(self, audio: Audio) -> None:
        """The chunk is on its way."""
        self.sent_frames = audio.num_frames
        self._ports.on_taken()
        self._ports.meter.taken()

    def written(self, audio: Audio) -> None:
        """The client's connection took the chunk."""
        now = time.monotonic()
        lead_s = self._playout.sent(audio.duration_s, now)
        self._ports.meter.sent(audio.duration_s, lead_s, now)
        self._ports.meter.listen(audio.pcm, self._form, now + lead_s - audio.duration_s)
        self._unwritten -= 1
        if audio.num_frames > self._credited_frames:
            self._ports.on_written(audio.num_frames, audio.num_frames - self._credited_frames)
            self._credited_frames = audio.num_frames
        if self._unwritten == 0:
            self._changed.set()

    def _silent(self, duration_ms: int) -> bytes:
        num_samples = self._form.sample_rate_hz * duration_ms // 1000
        silence = np.zeros(num_samples * self._form.channels, np.float32)
        return pcm_bytes(silence, self._form.encoding)  # type: ignore[arg-type]
