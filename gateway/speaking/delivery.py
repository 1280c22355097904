"""A turn's audio on its way to the client: what was put, what left, what was taken."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from csm import errors
from gateway.commands import StreamFormat
from gateway.conversations.timeline import Timeline
from gateway.conversations.turn import Turn
from gateway.marks.turn_marks import TurnMarks
from gateway.sound.options import UNTOUCHED, Processing
from gateway.speaking.events import Audio
from gateway.speaking.meter import TurnMeter
from gateway.speaking.outbox import Outbox
from gateway.speaking.pacing import Playout
from gateway.speaking.sound_path import SoundPath
from gateway.text.sentence import Sentence


@dataclass(frozen=True)
class DeliveryPorts:
    """What a delivery is connected to."""

    outbox: Outbox
    meter: TurnMeter
    on_taken: Callable[[], None]
    """A chunk is on its way."""
    on_written: Callable[[int, int], None]
    """The client has the first so many frames, so many of them anew; or they are held back for what
    is still to come."""
    on_failed: Callable[[errors.ServiceError], None]
    """The audio may not be sent: the turn is to end."""
    marks: TurnMarks


class Delivery:
    """The audio of one turn; an `AudioSource` and a `SoundSink`."""

    def __init__(
        self,
        turn_id: str,
        form: StreamFormat,
        frame_ms: float,
        max_lead_ms: int,
        ports: DeliveryPorts,
        processing: Processing = UNTOUCHED,
    ) -> None:
        self.turn_id = turn_id
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
        self._put_frames = 0
        self._num_samples = 0
        self._unwritten = 0
        self._credited_frames = 0
        self._heard_samples = self._kept_frames = 0
        """Of a turn that goes on: heard before, and there before."""
        self._heard_timeline = Timeline()
        """Of that."""
        self._changed = asyncio.Event()
        self._path = SoundPath(form, frame_ms, processing, self, ports.marks.sentences)

    @property
    def decoded_form(self) -> StreamFormat:
        """What the tokenizer is to make."""
        return self._path.decoded_form

    def ahead_frames(self, max_pcm_bytes: int) -> int:
        """Frames that may be decoded ahead of what the client has taken, for so many bytes."""
        return self._path.ahead_frames(max_pcm_bytes)

    @property
    def timeline(self) -> Timeline:
        """Of what was sent, as far as it is known."""
        # What another call sent comes through here anew, and may not have come yet.
        return self._heard_timeline if self._put_frames < self.sent_frames else self._path.timeline

    @property
    def underrun_s(self) -> float:
        """Seconds that a listener who plays at once would have waited."""
        return self._playout.underrun_s

    def lead_s(self) -> float:
        """Seconds that a listener who plays at once has in hand of what was sent; 0 where there is
        nothing yet, or no more."""
        return self._playout.lead_s(time.monotonic())

    @property
    def kept_frames(self) -> int:
        """Frames that the client has got, and has heard where it says so."""
        if self._heard_ms is None:
            return self.sent_frames
        return min(self.sent_frames, self.timeline.heard_frames(self._heard_ms, self._frame_ms))

    def resume(self, heard_ms: int, heard_frames: int, kept: Turn) -> None:
        """The turn goes on: so much was heard of it before, and is not sent again; the frames of
        `kept` need not be made."""
        self._heard_samples = self._form.sample_rate_hz * heard_ms // 1000
        self.sent_frames = heard_frames
        self._kept_frames = self._credited_frames = kept.num_frames
        self._heard_timeline = kept.timeline
        self._ports.marks.resume(heard_ms)

    def expect(self, sentences: Iterable[Sentence]) -> list[Sentence]:
        """These will be spoken; the same."""
        return self._path.expect(sentences)

    def put(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """The next sound in `decoded_form`, by whose end the turn has `num_frames` and has begun
        `text_chars`."""
        self._put_frames = num_frames
        self._path.put(pcm, num_frames, text_chars)
        self.taken_in()

    def put_silence(self, duration_ms: int, num_frames: int, text_chars: int) -> None:
        """Nothing is heard for so long, in chunks as long as those of speech."""
        if not duration_ms:
            return
        self._put_frames = num_frames
        self._path.pause(duration_ms, num_frames, text_chars)
        self.taken_in()

    def seam(self) -> None:
        """What is put next was made by another decoder than what was put before."""
        self._path.seam()

    def begin_again(self) -> None:
        """Nothing has left: what waits is dropped, and the turn starts anew."""
        self._ports.outbox.discard_audio(self)
        self._num_samples = self._unwritten = self._put_frames = 0
        self._credited_frames = self._kept_frames
        self._ports.marks.begin_again()
        self._path.begin_again()

    def stop(self, heard_ms: int | None) -> None:
        """What waits is dropped; `heard_ms` of what left were heard, None: all."""
        self._stopped, self._heard_ms = True, heard_ms
        self._path.stop()
        self._ports.outbox.discard_audio(self)
        self._changed.set()

    def text_starved(self) -> None:
        """The listener waits for text that nobody has written yet."""
        self._playout.text_starved(time.monotonic())

    async def all_written(self) -> None:
        """No more audio comes. Returns when the client has everything, or the delivery was
        stopped."""
        await self._path.finish()
        while self._unwritten and not self._stopped:
            self._changed.clear()
            await self._changed.wait()

    # --- what the sound's path tells (SoundSink) ---

    def sound(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """The next chunk in the client's format."""
        if self._stopped:
            return
        self._ports.marks.sound(pcm, num_frames)
        num_samples = len(pcm) // self._form.sample_bytes
        if (known := min(num_samples, self._heard_samples - self._num_samples)) > 0:
            self._num_samples += known
            pcm, num_samples = pcm[known * self._form.sample_bytes :], num_samples - known
            if not num_samples:
                self.sent_frames = max(self.sent_frames, num_frames)
                return
        duration_s = num_samples / self._form.sample_rate_hz
        self._unwritten += 1
        audio = Audio(self, pcm, self._num_samples, num_frames, text_chars, duration_s)
        self._ports.outbox.put(audio)
        self._num_samples += num_samples

    def taken_in(self) -> None:
        """All that was put waits for the client, or is held back for what is still to come. What is
        held back alone would wait for ever: it is credited as if it was written."""
        if not self._unwritten and not self._path.pending and not self._stopped:
            self._credit(self._put_frames)

    def failed(self, error: errors.ServiceError) -> None:
        """The audio may not be sent."""
        self._ports.on_failed(error)

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
        self.sent_frames = max(self.sent_frames, audio.num_frames)
        num_samples = len(audio.pcm) // self._form.sample_bytes
        audio.words = self._ports.marks.begun(audio.first_sample, num_samples)
        self._ports.on_taken()
        self._ports.meter.taken()

    def written(self, audio: Audio) -> None:
        """The client's connection took the chunk."""
        now = time.monotonic()
        lead_s = self._playout.sent(audio.duration_s, now)
        self._ports.meter.sent(audio.duration_s, lead_s, now)
        self._ports.meter.listen(audio.pcm, self._form, now + lead_s - audio.duration_s)
        self._unwritten -= 1
        self._credit(audio.num_frames)
        if self._unwritten == 0:
            self.taken_in()
            self._changed.set()

    def _credit(self, num_frames: int) -> None:
        anew = max(0, num_frames - self._credited_frames)
        if anew or num_frames <= self._kept_frames:
            self._credited_frames += anew
            self._ports.on_written(num_frames, anew)
