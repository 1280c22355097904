"""What is done to the sound of a turn: the call's options, the server's settings, its voice."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from csm import errors
from csm.audio.loudness import SILENCE_LUFS, joined_lufs, loudness_lufs
from csm.audio.pcm import FLOAT_ENCODING, pcm_samples
from gateway.backends.backends import Backends
from gateway.backends.calls import Decoding
from gateway.backends.failure import BackendFailure
from gateway.commands import StreamFormat
from gateway.conversations.segment import Segment
from gateway.settings import GatewaySettings
from gateway.sound.options import AS_SET, Processing, SoundRules
from gateway.sound.trim import MAX_HELD_BYTES
from gateway.sound.voice_gain import VoiceGain
from gateway.sound.watermark import Watermark, load_watermark, probe
from gateway.voices.cast import Cast
from gateway.voices.voice import LibraryVoice, VoiceId

log = logging.getLogger(__name__)

MAX_VOICES = 4096
"""Whose gains are kept; the one that was not used for longest goes first."""
MEASURE_TIMEOUT_S = 10.0
MAX_MEASURED_BESIDE = 16
"""Voices that wait to be measured while turns go on; others wait for their next sentence."""


class Sounds:
    """Makes the processing of a turn, and keeps the gain of each voice."""

    def __init__(self, settings: GatewaySettings, backends: Backends) -> None:
        self._settings = settings
        self._backends = backends
        self._gains: OrderedDict[VoiceId, tuple[tuple[Segment, ...], VoiceGain]] = OrderedDict()
        """By voice, with the prompts that it was measured by."""
        self._measuring = asyncio.Lock()
        self._tasks: dict[VoiceId, asyncio.Task[VoiceGain]] = {}
        """Voices that are measured while others speak."""
        self.watermark: Watermark | None = None

    async def load_watermark(self) -> None:
        """Loads and tries the operator's watermark, where there is one; raises `ValueError`."""
        target = self._settings.watermark
        if not target:
            return
        key = self._settings.watermark_key.get_secret_value()
        watermark = await asyncio.to_thread(load_watermark, target, key)
        await asyncio.to_thread(probe, watermark)
        self.watermark = watermark

    async def measure(self, voices: Iterable[LibraryVoice]) -> None:
        """Has the gain of voices whose loudness is evened by default, before anybody asks."""
        for voice in voices:
            if self._evened(AS_SET, voice):
                await self._gain(voice)

    async def processing(self, options: SoundRules, cast: Cast) -> Processing:
        """What is done to a turn of the cast's own voice; measures that voice where it was not done
        yet. Others that speak in it are not waited for."""
        settings, own = self._settings, cast.own.voice
        gain = _needed(await self._gain(own)) if self._evened(options, own) else None
        if self._settings.watermark and self.watermark is None:
            raise errors.Unavailable("the watermark is not loaded")

        def gain_of(name: str) -> VoiceGain | None:
            if name in ("", own.name):
                return gain
            voice = next((one.voice for one in cast.voices if one.voice.name == name), None)
            if voice is None or not self._evened(options, voice):
                return None
            return _needed(self._gain_now(voice))

        first, last = options.max_leading_silence_ms, options.max_trailing_silence_ms
        return Processing(
            settings.speed if options.speed is None else options.speed,
            gain,
            settings.max_leading_silence_ms if first is None else first,
            settings.max_trailing_silence_ms if last is None else last,
            self.watermark,
            min(MAX_HELD_BYTES, settings.max_pcm_bytes // 2),
            gain_of,
        )

    def close(self) -> None:
        """Measures nothing any more."""
        for task in self._tasks.values():
            task.cancel()

    # --- inside ---

    def _evened(self, options: SoundRules, voice: LibraryVoice) -> bool:
        if options.even_loudness is not None:
            return options.even_loudness
        if self._settings.even_loudness == "prompted":
            return bool(voice.prompts)
        return self._settings.even_loudness == "on"

    async def _gain(self, voice: LibraryVoice) -> VoiceGain:
        """The voice's gain. Without one where its recordings cannot be measured now."""
        known = self._known(voice)
        if known is not None:
            return known
        async with self._measuring:
            known = self._known(voice)
            if known is not None:
                return known
            if (told := self._told(voice)) is not None:
                return self._keep(voice, told)
            target_lufs = self._settings.loudness_lufs
            try:
                loudness = await self._prompts_lufs(voice.prompts)
            except (BackendFailure, TimeoutError) as failure:
                log.warning(
                    "voice %s: its loudness cannot be measured now (%s)",
                    voice.name,
                    type(failure).__name__,
                )
                return VoiceGain(target_lufs, target_lufs)
            return self._keep(voice, self._of(loudness))

    def _gain_now(self, voice: LibraryVoice) -> VoiceGain | None:
        """The voice's gain, without waiting. Where it has to be measured that begins, and until it
        is there: the one that its owner's voice of that name had last, or None."""
        known = self._known(voice)
        if known is not None:
            return known
        if (told := self._told(voice)) is not None:
            return self._keep(voice, told)
        if voice.id not in self._tasks and len(self._tasks) < MAX_MEASURED_BESIDE:
            task = self._tasks[voice.id] = asyncio.create_task(self._gain(voice))
            task.add_done_callback(lambda _: self._tasks.pop(voice.id, None))
        return self._gains.get(voice.id, ((), None))[1]

    def _told(self, voice: LibraryVoice) -> VoiceGain | None:
        """The gain of a voice that needs no measuring: it has no recordings, or what they are like
        is known. None: it needs it."""
        if not voice.prompts:
            return VoiceGain(self._settings.loudness_lufs)
        if len(voice.qualities) != len(voice.prompts):
            return None
        return self._of(joined_lufs((one.loudness_lufs, one.audio_ms) for one in voice.qualities))

    def _of(self, recordings_lufs: float) -> VoiceGain:
        """What recordings of that loudness need; silent ones need nothing."""
        target_lufs = self._settings.loudness_lufs
        known = recordings_lufs if recordings_lufs > SILENCE_LUFS else target_lufs
        return VoiceGain(target_lufs, known)

    def _known(self, voice: LibraryVoice) -> VoiceGain | None:
        prompts, gain = self._gains.get(voice.id, ((), None))
        if gain is None or prompts != voice.prompts:
            return None
        self._gains.move_to_end(voice.id)
        return gain

    def _keep(self, voice: LibraryVoice, gain: VoiceGain) -> VoiceGain:
        self._gains[voice.id] = (voice.prompts, gain)
        self._gains.move_to_end(voice.id)
        if len(self._gains) > MAX_VOICES:
            self._gains.popitem(last=False)
        return gain

    async def _prompts_lufs(self, prompts: Iterable[Segment]) -> float:
        """Loudness of prompts as the codec speaks them. Raises `BackendFailure`, `TimeoutError`."""
        form = StreamFormat(FLOAT_ENCODING, self._backends.info.tokenizer.sample_rate_hz, 1)
        decoding = Decoding(self._backends, form, MEASURE_TIMEOUT_S)
        for prompt in prompts:
            if prompt.num_frames:
                decoding.feed(prompt.codes, prompt.num_frames)
        decoding.requests.close()
        made = []
        async with asyncio.timeout(MEASURE_TIMEOUT_S):
            while (sound := await decoding.sound()) is not None:
                made.append(pcm_samples(sound[0], FLOAT_ENCODING))
        samples = np.concatenate(made) if made else np.zeros(0, np.float32)
        return await asyncio.to_thread(loudness_lufs, samples, form.sample_rate_hz)


def _needed(gain: VoiceGain | None) -> VoiceGain | None:
    """None where nothing is to be done, now and later, or nothing is known."""
    return None if gain is None or (gain.settled and not gain.wanted_db) else gain
