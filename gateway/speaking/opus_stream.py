"""Spoken turns as Ogg Opus, at the edge: pacing, credit and what is kept go on in PCM.

Each turn with audio is one Ogg stream. It ends before the turn's terminal, however the turn ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from csm.audio.opus import OggOpusEncoder
from gateway.commands import StreamFormat
from gateway.marks.spoken_word import SpokenWord
from gateway.speaking.events import (
    Audio,
    ConversationOpened,
    Event,
    SpeechTurnCompleted,
    SpeechTurnStarted,
)


class _Stream:
    """The stream of one turn."""

    def __init__(self, form: StreamFormat) -> None:
        self._form = form
        self._encoder: OggOpusEncoder | None = None
        self._last: Audio | None = None
        self._words: list[SpokenWord] = []
        """Those that begin in audio that has no page yet."""

    async def coded(self, audio: Audio) -> Audio | None:
        """The chunk with the pages that are complete with it; None: none is."""
        self._last = audio
        self._words += audio.words
        return self._audio(audio, *await asyncio.to_thread(self._feed, audio.pcm))

    async def finished(self) -> Audio | None:
        """The rest."""
        if self._last is None or self._encoder is None:
            return None
        first_sample = self._encoder.num_samples
        return self._audio(self._last, first_sample, await asyncio.to_thread(self._encoder.finish))

    def close(self) -> None:
        """Gives the encoder up."""
        if self._encoder is not None:
            self._encoder.close()

    def _feed(self, pcm: bytes) -> tuple[int, bytes]:
        if self._encoder is None:
            self._encoder = OggOpusEncoder(self._form.sample_rate_hz, self._form.channels)
        first_sample = self._encoder.num_samples
        return first_sample, self._encoder.feed(pcm)

    def _audio(self, audio: Audio, first_sample: int, coded: bytes) -> Audio | None:
        if not coded:
            return None
        words, self._words = self._words, []
        return replace(audio, pcm=coded, first_sample=first_sample, words=words)


async def as_ogg_opus(
    events: AsyncGenerator[Event, None], encoding: int
) -> AsyncGenerator[Event, None]:
    """The events of a call whose format is PCM_S16LE, with their audio in `encoding`, Ogg Opus.

    A chunk's `first_sample` is that of the first sample in its pages. Audio that completes no page
    has no event, and counts as written at once: it is less than 60 ms.
    """
    streams: dict[str, _Stream] = {}
    async with contextlib.aclosing(events):
        try:
            async for event in events:
                match event:
                    case ConversationOpened():
                        event = replace(event, form=replace(event.form, encoding=encoding))
                    case SpeechTurnStarted():
                        streams[event.turn_id] = _Stream(event.form)
                        event = replace(event, form=replace(event.form, encoding=encoding))
                    case Audio():
                        coded = await streams[event.turn_id].coded(event)
                        if coded is None:
                            continue
                        event = coded
                    case SpeechTurnCompleted():
                        stream = streams.pop(event.turn_id, None)
                        if stream is not None and (rest := await stream.finished()) is not None:
                            yield rest
                yield event
        finally:
            for stream in streams.values():
                stream.close()
