"""Created voices: made, changed, forgotten, and followed as other gateways change them."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from csm import errors
from gateway.backends.backends import Backends
from gateway.hearing.encoder import AudioEncoder
from gateway.places import Places
from gateway.settings import GatewaySettings
from gateway.voices.created.asked import MAX_RECORDING_S, NewVoice, VoiceRecording, VoiceUpdate
from gateway.voices.created.record import VoiceRecord
from gateway.voices.created.store import VoiceStore
from gateway.voices.created.usage import VoiceUsage
from gateway.voices.names import key_of
from gateway.voices.owned import OwnedVoices
from gateway.voices.prompt_check import check_prompts
from gateway.voices.prompts import check_sounds, prompt_of
from gateway.voices.voice import LibraryVoice, VoiceId, VoiceOrigin

FOLLOW_S = 1.0
"""Between two looks for what other gateways have changed."""
CHECK_TIMEOUT_S = 60.0
MAX_MADE_AT_ONCE = 8
"""Voices under way from their first message: each holds its recordings."""

log = logging.getLogger(__name__)


class VoiceKeeper:
    """Keeps `voices` as the store has them."""

    def __init__(
        self,
        settings: GatewaySettings,
        backends: Backends,
        encoder: AudioEncoder,
        store: VoiceStore,
        voices: OwnedVoices,
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._encoder = encoder
        self.store = store
        self._voices = voices
        self.usage = VoiceUsage()
        """How much the owners have, as this gateway sees it: within seconds of another's change."""
        self._of_other_codecs: deque[VoiceRecord] = deque()
        self._away = False
        self._looking = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._places = Places("voices are made", MAX_MADE_AT_ONCE)

    @contextlib.contextmanager
    def creating(self, client: str) -> Iterator[Callable[[int], None]]:
        """A place for a voice to be made, by a client's address; gives what counts the bytes of
        its recordings for as long as the block runs. Both raise `QueueFull`."""
        with contextlib.ExitStack() as held:
            held.enter_context(self._places.taken(client))
            yield lambda size: held.enter_context(self._encoder.holding_bytes(size))

    def check(self, asked: NewVoice, *, owner: str) -> None:
        """Before its recordings are there. Raises `AlreadyExists` where a voice of the owner's, or
        everybody's, or an alias has the name, and `InvalidArgument` where the speaker is none of
        the model's."""
        voices = self._voices.of(owner)
        taken = voices.taken_by(asked.name)
        if taken is None and voices.why_unusable(asked.name) is not None:
            taken = "a voice of that name is kept, and cannot be used"
        if taken is not None:
            raise errors.AlreadyExists(f"name: {asked.name!r}: {taken}")
        if asked.speaker is not None:
            voices.check_speaker("config.speaker", asked.speaker)

    async def create(
        self,
        asked: NewVoice,
        recordings: Sequence[VoiceRecording],
        deadline: float | None,
        *,
        owner: str,
    ) -> LibraryVoice:
        """Makes a voice of an owner's of checked data, or only says what it would be
        (`validate_only`).

        Raises, beside what `check` does:
            InvalidArgument: a recording is none, too long or silent, or all are more than the
                model's context holds.
            LimitReached: there are as many voices, or bytes of them, as may be.
            ServiceError: of the backends and the store, as they come.
        """
        self.check(asked, owner=owner)
        speaker = self._voices.of(owner).first_speaker if asked.speaker is None else asked.speaker
        made = VoiceRecord(
            asked.name,
            speaker,
            self._codec,
            description=asked.description,
            language=asked.language,
            sampling=asked.sampling,
            lexicon=asked.lexicon,
            consent=asked.consent,
            updated_unix_s=int(time.time()),
            revision=uuid.uuid4().hex,
            owner=owner,
        )
        record = await self._encoded(made, recordings, deadline)
        await check_prompts(self._backends, speaker, record.prompts, CHECK_TIMEOUT_S)
        self.check(asked, owner=owner)
        self._check_room(record)
        if not asked.validate_only:
            await self.store.create(record, [recording.audio for recording in recordings])
            self._put(record)
        return record.as_voice()

    async def update(self, asked: VoiceUpdate, *, owner: str) -> LibraryVoice:
        """Changes what is said of an owner's voice. Raises `NotFound`, and `FailedPrecondition` for
        one that was not created."""
        await self.look_for(asked.name, owner=owner)
        name = self._created(asked.name, owner)

        def change(record: VoiceRecord) -> VoiceRecord:
            changed = asked.of(record)
            return replace(changed, updated_unix_s=int(time.time()), revision=uuid.uuid4().hex)

        record = await self.store.update(name, change, owner=owner)
        self._take(record)
        return record.as_voice()

    async def delete(self, name: str, *, owner: str) -> None:
        """Forgets an owner's voice; calls that speak with it do so to their end. Raises `NotFound`,
        and `FailedPrecondition` for one that was not created, and for the default voice."""
        await self.look_for(name, owner=owner)
        name = self._created(name, owner)
        if self._voices.of(owner).default == name:
            raise errors.FailedPrecondition(
                f"voice {name!r} is the default voice (default_voice): it cannot be deleted"
            )
        await self.store.delete(name, owner=owner)
        self._drop(VoiceId(owner, key_of(name)))

    async def follow(self) -> None:
        """Takes in what other gateways have changed, until `stop`."""
        while not self._stopping.is_set():
            # Not by a cancel, which the client of Redis may swallow.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_S):
                    await self._stopping.wait()
                    return
            await self.look()
            if self._of_other_codecs and self._backends.ready():
                await self._encode_anew(self._of_other_codecs.popleft())

    def stop(self) -> None:
        """Ends `follow`, after what it is at."""
        self._stopping.set()

    async def look_for(self, name: str, *, owner: str) -> None:
        """Looks at once where nothing is known of that name of the owner's: another gateway may
        just have made it, and the client's next call came here."""
        voices = self._voices.of(owner)
        known = not name or voices.find(name) or voices.why_unusable(name)
        if self.store.lasting and not known and not self._away:
            await self.look()

    async def look(self) -> None:
        """Takes in what has changed. A store that is away leaves the voices as they are."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            changes = await self.store.changes()
        except errors.ServiceError as error:
            if not self._away:
                log.warning("created voices: %s", error.message)
            self._away = True
            return
        if self._away:
            log.info("the store of voices answers")
        self._away = False
        for voice_id in changes.gone:
            self._drop(voice_id)
        for voice_id, why in changes.foreign.items():
            log.warning("voice %s: %s", voice_id.key, why)
            self._set_aside(voice_id, f"{why}; delete it, or name another")
        for record in changes.put:
            self._take(record)
            # Ten thousand are no reason to hold up who speaks.
            await asyncio.sleep(0)

    # --- inside ---

    @property
    def _codec(self) -> str:
        return self._backends.info.tokenizer.digest

    def _take(self, record: VoiceRecord) -> None:
        voices = self._voices.of(record.owner)
        taken = voices.taken_by(record.name)
        there = voices.find(record.name)
        if taken and (there is None or there.origin is not VoiceOrigin.CREATED):
            log.warning("voice %s of the store is left out: %s", record.name, taken)
        elif not voices.speaks(record.speaker):
            self._set_aside(record.id, voices.speaker_problem(record.speaker))
        elif record.codec != self._codec and record.prompts:
            self._set_aside(record.id, "it is being encoded for the codec that speaks now")
            self._of_other_codecs.append(record)
        else:
            self._put(record)

    def _put(self, record: VoiceRecord) -> None:
        try:
            self._check_room(record)
        except errors.LimitReached as error:
            self._set_aside(record.id, error.message)
            return
        self.usage.put(record.id, record.num_bytes)
        self._voices.put(record.as_voice())

    def _drop(self, voice_id: VoiceId) -> None:
        self.usage.drop(voice_id)
        self._voices.remove(voice_id)

    def _set_aside(self, voice_id: VoiceId, why: str) -> None:
        self.usage.put(voice_id, 0)
        self._voices.set_aside(voice_id, why)

    def _check_room(self, record: VoiceRecord) -> None:
        most = self._settings.max_created_voices_bytes
        others = self.usage.total_bytes - self.usage.of(record.id)
        if others + record.num_bytes > most:
            # How many those are is partly other owners' business.
            raise errors.LimitReached(
                f"voice {record.name!r} takes {record.num_bytes} bytes, and beside other voices "
                f"there is no room for it; allowed are {most} (max_created_voices_bytes); delete "
                "one"
            )

    def _created(self, name: str, owner: str) -> str:
        """The true name of an owner's voice that may be changed."""
        voices = self._voices.of(owner)
        if voices.why_unusable(name) is not None:
            return name
        voice = voices.find(name)
        if voice is None:
            voices.get(name)  # raises, and says which there are
            raise errors.NotFound("voice", name[:64])
        if key_of(voice.name) != key_of(name):
            raise errors.FailedPrecondition(
                f"name: {name!r} is an alias of the voice {voice.name!r}; name the voice"
            )
        if voice.origin is not VoiceOrigin.CREATED:
            raise errors.FailedPrecondition(
                f"voice {voice.name!r} is {voice.origin.value}; allowed are voices that "
                "CreateVoice made"
            )
        return voice.name

    async def _encoded(
        self, record: VoiceRecord, recordings: Sequence[VoiceRecording], deadline: float | None
    ) -> VoiceRecord:
        """The record with its recordings as prompts."""
        prompts, qualities = [], []
        for number, recording in enumerate(recordings):
            field = f"recordings[{number}].audio"
            segment, quality = await prompt_of(
                self._backends,
                self._encoder,
                record.speaker,
                recording.text,
                recording.audio,
                field,
                deadline=deadline,
                max_s=MAX_RECORDING_S,
                language=record.language,
            )
            check_sounds(field, quality)
            prompts.append(segment)
            qualities.append(quality)
        return replace(
            record, codec=self._codec, prompts=tuple(prompts), qualities=tuple(qualities)
        )

    async def _encode_anew(self, record: VoiceRecord) -> None:
        """Of a voice whose frames are of another codec: from its recordings, where they are kept.
        Where they are not, it is refused by name."""
        try:
            kept = await self.store.recordings(record.name, owner=record.owner)
            if len(kept) != len(record.prompts):
                self._set_aside(
                    record.id,
                    "its frames are of another codec than the one that speaks, and its recordings "
                    "are not kept here; delete it and create it anew",
                )
                return
            pairs = zip(record.prompts, kept, strict=True)
            recordings = [VoiceRecording(prompt.text, audio) for prompt, audio in pairs]
            new = await self._encoded(record, recordings, None)
            revision = uuid.uuid4().hex
            self._put(
                await self.store.update(
                    record.name,
                    lambda there: replace(
                        there,
                        codec=new.codec,
                        prompts=new.prompts,
                        qualities=new.qualities,
                        revision=revision,
                    ),
                    owner=record.owner,
                )
            )
            log.info("voice %s was encoded anew for another codec", record.name)
        except errors.RetryableError:
            self._of_other_codecs.append(record)
        except errors.NotFound:
            self._drop(record.id)
        except errors.ServiceError as error:
            log.warning("voice %s cannot be encoded anew: %s", record.name, error.summary())
            self._set_aside(
                record.id,
                "its frames are of another codec than the one that speaks, and its recordings "
                "could not be encoded anew; delete it and create it anew",
            )
