"""A turn's sound from the tokenizer to the client's format: as it is, or through what changes it.

Where nothing is done to it the tokenizer makes the client's format itself, and its bytes pass
untouched but for a few milliseconds beside a pause. Otherwise it makes mono float32 at the client's
rate, which the chain works on and which becomes the client's format here. Where another voice joins
whose loudness is evened, the chain works from there on on what the tokenizer makes already.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from csm import errors
from csm.audio.pcm import pcm_bytes, pcm_samples
from gateway.commands import StreamFormat
from gateway.conversations.timeline import Timeline
from gateway.marks.turn_marks import SubmittedSentence
from gateway.sound.chain import Chain, Item, Pausing
from gateway.sound.options import Processing
from gateway.sound.seams import CUT_OFF, audible, dying_away, fade_in, fade_samples, joined
from gateway.speaking.marking import Marked
from gateway.speaking.sentence_gains import SentenceGains, Stretch
from gateway.text.sentence import Sentence

Samples = NDArray[np.float32]


class SoundSink(Protocol):
    """Who takes the sound on."""

    def sound(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """The next chunk, by whose end `num_frames` and `text_chars` of the turn have begun."""

    def taken_in(self) -> None:
        """All that was put is with the sink, or held back for what is still to come."""

    def failed(self, error: errors.ServiceError) -> None:
        """Nothing more comes: what was to be sent may not be."""


class SoundPath:
    """The way of one turn's sound."""

    def __init__(
        self,
        form: StreamFormat,
        frame_ms: float,
        processing: Processing,
        sink: SoundSink,
        sentences: Callable[[], Sequence[SubmittedSentence]] = tuple,
    ) -> None:
        """`form` is what the client gets; `sentences` are those that were submitted so far."""
        self.decoded_form = form.worked_on if processing.changes else form
        """What the tokenizer is to make."""
        self._form = form
        self._frame_ms = frame_ms
        self._processing = processing
        self._sink = sink
        self._marked: Marked | None = None
        self._gains = SentenceGains(processing, form.sample_rate_hz * frame_ms / 1000, sentences)
        self.begin_again()

    @property
    def pending(self) -> bool:
        """Whether sound waits for the watermark."""
        return self._marked is not None and self._marked.pending

    def ahead_frames(self, max_pcm_bytes: int) -> int:
        """Frames of the model that may be decoded ahead of what the client has taken, so that no
        more than so many bytes wait here."""
        processing = self._processing
        if processing.max_trailing_silence_ms is not None:
            max_pcm_bytes -= processing.max_held_bytes
        frame_s = self._frame_ms / 1000 / processing.speed
        return max_pcm_bytes // max(1, round(self._form.bytes_per_s * frame_s))

    def begin_again(self) -> None:
        """Nothing has been sent: the turn starts anew."""
        self.stop()
        processing, rate_hz = self._processing, self._form.sample_rate_hz
        self.timeline = Timeline(speed=processing.speed)
        """Of what has come out."""
        self._chain: Chain | None = None
        if processing.changes:
            self._chain = Chain(processing, rate_hz, self._frame_ms)
        if processing.watermark is not None:
            self._marked = Marked(
                processing.watermark, rate_hz, self._out, self._sink.taken_in, self._sink.failed
            )
        self._gains.begin_again()
        self._last = b""
        """The last sample that went out, of all channels."""
        self._last_in = b""
        """The last sample that came in, of all channels."""
        self._after_pause = self._finished = self._seam = False
        self._chars: deque[tuple[int, int]] = deque()
        """(frames, characters of the text that have begun by their end), of what the chain has."""
        self._num_frames = self._text_chars = 0

    def put(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """The next sound in `decoded_form`, by whose end the turn has `num_frames` and has begun
        `text_chars`."""
        self._num_frames, self._text_chars = num_frames, text_chars
        if self._seam and pcm:
            pcm = self._joined(pcm)
        self._last_in = pcm[-self.decoded_form.sample_bytes :] or self._last_in
        width, at = self.decoded_form.sample_bytes, 0
        for stretch in self._gains.stretches(len(pcm) // width, num_frames, text_chars):
            if stretch.other:
                self._other_voice(stretch)
            part = pcm[at : at + stretch.num_samples * width]
            self._sound(part, stretch.num_frames, stretch.text_chars)
            at += len(part)

    def expect(self, sentences: Iterable[Sentence]) -> list[Sentence]:
        """These will be spoken; the same."""
        expected = list(sentences)
        self._gains.expect(expected)
        return expected

    def pause(self, duration_ms: int, num_frames: int, text_chars: int) -> None:
        """Nothing is heard for so long, when the turn has that many frames."""
        self._num_frames, self._text_chars = num_frames, text_chars
        self.timeline.add(num_frames, duration_ms)
        if self._chain is None:
            self._silence(duration_ms, num_frames, text_chars)
            return
        self._chars.append((num_frames, text_chars))
        self._take(self._chain.pause(duration_ms, num_frames))

    def seam(self) -> None:
        """What comes next was made by another decoder than what came before: no jump is heard."""
        self._seam = bool(self._last_in)

    async def finish(self) -> None:
        """There is no more of the turn. Returns when the sink has everything, or after `stop`."""
        if self._finished:
            return
        self._finished = True
        if self._chain is not None:
            self._take(self._chain.finish())
            if cut_ms := self._chain.cut_ms:
                self.timeline.end_frames, self.timeline.cut_ms = self._num_frames, cut_ms
        if self._last and audible(last := self._last_sample(), CUT_OFF):
            count = fade_samples(self._form.sample_rate_hz)
            rest = dying_away(last, count, self._form.sample_rate_hz)
            self._last = b""
            self._floats(rest, self._num_frames, self._text_chars)
        if self._marked is not None:
            await self._marked.finish()

    def stop(self) -> None:
        """Nobody listens any more."""
        if self._marked is not None:
            self._marked.stop()
            self._marked = None

    # --- inside ---

    def _sound(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """Bytes in `decoded_form`."""
        if self._chain is None:
            self._send(pcm, num_frames, text_chars)
            return
        self._chars.append((num_frames, text_chars))
        form = self.decoded_form
        # All channels of it are alike.
        samples = pcm_samples(pcm, form.encoding)[:: form.channels]  # type: ignore[arg-type]
        self._take(self._chain.feed(samples, num_frames))

    def _other_voice(self, stretch: Stretch) -> None:
        if self._chain is None:
            # Nothing had to be done to the turn's own voice.
            self._chain = Chain(
                self._processing, self._form.sample_rate_hz, self._frame_ms, stretch.first_sample
            )
        self._take(self._chain.other_voice(stretch.gain))

    def _take(self, items: Iterable[Item]) -> None:
        for item in items:
            chars = self._chars_of(item.num_frames)
            if isinstance(item, Pausing):
                self._silence(item.duration_ms, item.num_frames, chars)
            else:
                self._floats(item.samples[:, None], item.num_frames, chars)
        if self._chain is not None:
            self.timeline.skipped_ms = self._chain.skipped_ms

    def _chars_of(self, num_frames: int) -> int:
        while len(self._chars) > 1 and self._chars[0][0] < num_frames:
            self._chars.popleft()
        return self._chars[0][1] if self._chars else self._text_chars

    def _silence(self, duration_ms: int, num_frames: int, text_chars: int) -> None:
        """In chunks as long as those of speech."""
        rate_hz, channels = self._form.sample_rate_hz, self._form.channels
        chunk_ms = round(self._frame_ms)
        if self._last and audible(last := self._last_sample()):
            first_ms = min(duration_ms, chunk_ms)
            self._floats(dying_away(last, rate_hz * first_ms // 1000, rate_hz),
                         num_frames, text_chars)  # fmt: skip
            duration_ms -= first_ms
        # One chunk's bytes serve all: ten seconds wait in the memory of a frame.
        whole, rest_ms = divmod(duration_ms, chunk_ms)
        for length_ms, count in ((chunk_ms, whole), (rest_ms, 1)):
            silence = np.zeros((rate_hz * length_ms // 1000, channels), np.float32)
            pcm = self._bytes(silence)
            for _ in range(count if len(silence) else 0):
                self._out_or_mark(silence, pcm, num_frames, text_chars)
        self._last, self._after_pause = b"", True

    def _floats(self, samples: Samples, num_frames: int, text_chars: int) -> None:
        """Samples [N, 1] or [N, channels]."""
        if not len(samples):
            return
        if self._after_pause and audible(samples[0]):
            samples = fade_in(samples, self._form.sample_rate_hz)
        self._after_pause = False
        pcm = self._bytes(samples)
        self._last = pcm[-self._form.sample_bytes :]
        self._out_or_mark(samples, pcm, num_frames, text_chars)

    def _send(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        """Bytes that nothing is done to."""
        if self._after_pause and pcm:
            self._after_pause = False
            count = self._form.sample_bytes * fade_samples(self._form.sample_rate_hz)
            first = self._samples(pcm[:count])
            if audible(first[0]):
                pcm = self._bytes(fade_in(first, self._form.sample_rate_hz)) + pcm[count:]
        self._last = pcm[-self._form.sample_bytes :]
        self._sink.sound(pcm, num_frames, text_chars)

    def _out_or_mark(self, samples: Samples, pcm: bytes, num_frames: int, text_chars: int) -> None:
        if self._marked is not None:
            self._marked.feed(samples[:, 0], num_frames, text_chars)
        elif self._processing.watermark is None:
            self._sink.sound(pcm, num_frames, text_chars)

    def _out(self, samples: Samples, num_frames: int, text_chars: int) -> None:
        """Marked samples [N]."""
        self._sink.sound(self._bytes(samples[:, None]), num_frames, text_chars)

    def _joined(self, pcm: bytes) -> bytes:
        """Bytes in `decoded_form`, their beginning moved to where the sound before them ended."""
        self._seam = False
        form = self.decoded_form
        both = pcm_samples(self._last_in + pcm, form.encoding)  # type: ignore[arg-type]
        both = both.reshape(-1, form.channels)
        moved = joined(both[0], both[1:], form.sample_rate_hz).reshape(-1)
        return pcm_bytes(np.clip(moved, -1.0, 1.0), form.encoding)  # type: ignore[arg-type]

    def _last_sample(self) -> Samples:
        return self._samples(self._last)[0]

    def _samples(self, pcm: bytes) -> Samples:
        samples = pcm_samples(pcm, self._form.encoding)  # type: ignore[arg-type]
        return samples.reshape(-1, self._form.channels)

    def _bytes(self, samples: Samples) -> bytes:
        """Samples [N, 1] or [N, channels] in the client's format, clipped to full scale."""
        if samples.shape[1] != self._form.channels:
            samples = np.repeat(samples, self._form.channels, axis=1)
        clipped = np.clip(samples.reshape(-1), -1.0, 1.0)
        return pcm_bytes(clipped, self._form.encoding)  # type: ignore[arg-type]
