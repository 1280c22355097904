"""From the tokenizer's sound to the client's format: no seam is heard, no byte changed in vain."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from csm import errors
from csm.audio.pcm import pcm_bytes, pcm_samples
from csm.v1 import common_pb2
from gateway.commands import StreamFormat
from gateway.sound.options import UNTOUCHED, Processing
from gateway.speaking.sound_path import SoundPath
from tests.gateway.sound.speech import click, highest_jump, speech

RATE = 24_000
S16 = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, RATE, 1)
MULAW = StreamFormat(common_pb2.AUDIO_ENCODING_MULAW, 8000, 1)
STEREO = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_F32LE, 48_000, 2)
AROUND = 3600
"""Samples of speech on either side of a cut."""


class Sink:
    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.frames: list[int] = []

    def sound(self, pcm: bytes, num_frames: int, text_chars: int) -> None:
        self.chunks.append(pcm)
        self.frames.append(num_frames)

    def taken_in(self) -> None: ...

    def failed(self, error: errors.ServiceError) -> None:
        raise error

    def samples(self, form: StreamFormat) -> np.ndarray:
        pcm = b"".join(self.chunks)
        return pcm_samples(pcm, form.encoding).reshape(-1, form.channels)[:, 0]


def worst_cut(side: int) -> int:
    """Where pico's speech is farthest above (1) or below (-1) zero, for its own steps around it.

    That is in the middle of a vowel: within an s of a full band every step is as high as a click.
    """
    samples, _ = speech()
    steps = np.abs(np.diff(samples, append=0))
    highest = sliding_window_view(steps, 2 * AROUND + 1).max(-1)
    return AROUND + int(np.argmax(side * samples[AROUND:-AROUND] / highest))


@pytest.mark.parametrize("processing", [UNTOUCHED, Processing(speed=1.25), Processing(speed=0.8)])
@pytest.mark.parametrize("pause_ms", [3, 50, 900])
async def test_no_click_where_a_pause_parts_a_sound_or_the_turn_is_cut(
    processing: Processing, pause_ms: int
) -> None:
    """Cut at the top of a wave: as a jump, it would be three times as high as its own steps."""
    samples, _ = speech()
    at = worst_cut(1)
    part = samples[at - AROUND : at + AROUND + 1]
    sink = Sink()
    path = SoundPath(S16, 80.0, processing, sink)

    def put(sound: np.ndarray, frames: int) -> None:
        path.put(pcm_bytes(sound, path.decoded_form.encoding), frames, 0)

    put(part[: AROUND + 1], 7)
    path.pause(pause_ms, 7, 0)
    put(part[AROUND:], 14)
    put(samples[: at + 1][-AROUND:], 16)
    await path.finish()
    made = sink.samples(S16)
    pause = np.zeros(RATE * pause_ms // 1000)
    hard = np.concatenate([part[: AROUND + 1], pause, part[AROUND:], np.zeros(50)])
    assert highest_jump(hard) > 2 * highest_jump(made)
    assert highest_jump(np.append(made, 0)) <= 1.1 * highest_jump(part)
    assert click(np.append(made, np.zeros(500)), RATE) <= 1.2 * click(samples, RATE)


@pytest.mark.parametrize("form", [S16, MULAW, STEREO])
async def test_a_pause_is_exact_and_nothing_else_is_longer(form: StreamFormat) -> None:
    frame = form.sample_rate_hz * 80 // 1000
    loud = pcm_bytes(np.full(frame * form.channels, 0.25, np.float32), form.encoding)
    sink = Sink()
    path = SoundPath(form, 80.0, UNTOUCHED, sink)
    path.put(loud, 1, 0)
    path.pause(250, 1, 0)
    path.put(loud, 2, 0)
    samples = sink.samples(form)
    assert len(samples) == 2 * frame + form.sample_rate_hz * 250 // 1000
    assert sink.chunks[0] == loud
    fade = form.sample_rate_hz * 5 // 1000
    assert (samples[frame + fade : frame + form.sample_rate_hz // 4] == 0).all()
    assert np.abs(np.diff(samples)).max() < 0.25 / 8
    assert path.timeline.pauses == [(1, 250)]


async def test_bytes_that_nothing_is_done_to_pass_as_they_are() -> None:
    samples, _ = speech()
    pcm = pcm_bytes(samples, S16.encoding)
    sink = Sink()
    path = SoundPath(S16, 80.0, UNTOUCHED, sink)
    for frames, at in enumerate(range(0, len(pcm), 3840), 1):
        path.put(pcm[at : at + 3840], frames, 0)
    await path.finish()
    assert b"".join(sink.chunks) == pcm


async def test_a_pause_in_silence_changes_nothing_around_it() -> None:
    quiet = pcm_bytes(np.full(1920, 0.0015, np.float32), S16.encoding)
    sink = Sink()
    path = SoundPath(S16, 80.0, UNTOUCHED, sink)
    path.put(quiet, 1, 0)
    path.pause(160, 1, 0)
    path.put(quiet, 2, 0)
    await path.finish()
    assert b"".join(sink.chunks) == quiet + bytes(2 * 3840) + quiet


async def test_after_a_stop_nothing_goes_out_and_beginning_again_begins_anew() -> None:
    samples, _ = speech()
    sink = Sink()
    path = SoundPath(S16, 80.0, Processing(speed=2.0, max_leading_silence_ms=0), sink)
    frame = pcm_bytes(samples[20_000:21_920], path.decoded_form.encoding)
    path.put(frame, 1, 0)
    path.pause(100, 1, 0)
    first = b"".join(sink.chunks)
    assert first
    path.begin_again()
    sink.chunks.clear()
    path.put(frame, 1, 0)
    path.pause(100, 1, 0)
    assert b"".join(sink.chunks) == first
    assert path.timeline.pauses == [(1, 100)]
    assert path.ahead_frames(192_000) == 100


@pytest.mark.parametrize("processing", [UNTOUCHED, Processing(speed=1.25)])
@pytest.mark.parametrize("form", [S16, StreamFormat(S16.encoding, RATE, 2)])
async def test_no_click_where_another_decoder_goes_on(
    processing: Processing, form: StreamFormat
) -> None:
    """At the worst: it begins at the lowest sample where the one before ended at the highest."""
    samples, _ = speech()
    high, low = worst_cut(1), worst_cut(-1)
    before, after = samples[high - AROUND : high + 1], samples[low : low + AROUND]
    sink = Sink()
    path = SoundPath(form, 80.0, processing, sink)

    def put(sound: np.ndarray, frames: int) -> None:
        channels = path.decoded_form.channels
        path.put(pcm_bytes(np.repeat(sound, channels), path.decoded_form.encoding), frames, 0)

    put(before, 5)
    path.seam()
    put(after, 10)
    made = sink.samples(form)
    hard = np.concatenate([before, after])
    assert highest_jump(hard) > 2 * highest_jump(made)
    assert highest_jump(made) <= 1.1 * max(highest_jump(before), highest_jump(after))
    assert click(made, RATE) <= 1.2 * max(click(before, RATE), click(after, RATE))
    if processing is UNTOUCHED:
        assert len(made) == len(hard)


async def test_a_seam_before_any_sound_is_none() -> None:
    sink = Sink()
    path = SoundPath(S16, 80.0, UNTOUCHED, sink)
    path.seam()
    loud = pcm_bytes(np.full(1920, 0.5, np.float32), S16.encoding)
    path.put(loud, 1, 0)
    assert sink.chunks == [loud]
