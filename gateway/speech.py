"""Speaking: one text, or a conversation; who may, and how a drain ends what is left."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

from csm import errors
from csm.serving.auth.identity import Scope
from csm.serving.auth.refusals import require
from csm.serving.calls.record import current_call
from csm.serving.metrics import GatewayMetrics
from gateway.backends.backends import Backends
from gateway.call_ports import CallPorts
from gateway.commands import Command, ConverseOptions, Synthesis
from gateway.conversations.store import ConversationStore, StoredConversation
from gateway.converse_call import ConverseCall
from gateway.hearing.encoder import AudioEncoder
from gateway.places import Places
from gateway.prepare import PreparedSentences, prepare
from gateway.quotas.caller import caller_of_call
from gateway.quotas.making import make_quotas
from gateway.quotas.turns import Turns
from gateway.settings import GatewaySettings
from gateway.sounds import Sounds
from gateway.speaking.events import Event
from gateway.speaking.meter import TurnMeter, outcome_of
from gateway.synthesize_call import SynthesisParts, SynthesizeCall
from gateway.text.options import TextRules
from gateway.texts import Texts
from gateway.voices.cast import Cast, CastRules
from gateway.voices.created.keeper import VoiceKeeper
from gateway.voices.created.store import VoiceStore
from gateway.voices.named import NamedVoices
from gateway.voices.owned import OwnedVoices
from gateway.voices.voice import LibraryVoice
from gateway.voices.voices import Voices

SHUTDOWN_TERMINALS_S = 2.0
GIVE_BACK_S = 0.25
"""What a call that was cancelled may need to give its conversation back to the next."""


class _Live(Protocol):
    """A call under way."""

    def drain(self) -> None:
        """Finish what runs, begin nothing."""

    def shutdown(self) -> None:
        """End now, with the terminal SHUTDOWN."""


class SpeechHandler:
    """What SpeechService does, without protobuf of its own."""

    def __init__(
        self,
        settings: GatewaySettings,
        backends: Backends,
        voices: Voices,
        store: ConversationStore,
        voice_store: VoiceStore,
        metrics: GatewayMetrics,
    ) -> None:
        self.settings = settings
        self.backends = backends
        self.store = store
        self.texts = Texts(settings, backends)
        self.sounds = Sounds(settings, backends)
        self.encoder = AudioEncoder(backends, settings)
        self._voice_store = voice_store
        self.take_voices(voices)
        self._metrics = metrics
        self.quotas = make_quotas(
            settings,
            metrics,
            voices=lambda owner: self.keeper.usage.count(owner),
            num_bytes=self._num_bytes,
        )
        self._live: set[_Live] = set()
        self._draining = self._ending = False
        self._turns = Places(
            "turns are spoken", settings.max_streams, settings.max_streams_per_client
        )
        self._converse_calls = Places("Converse calls are open", settings.max_converse_calls)
        self._calls = Places("calls", 1 << 30, on_count=metrics.streams_active.set)

    def take_voices(self, voices: Voices) -> None:
        """The voices that are everybody's from now on; `voices` has those of each owner."""
        self.voices = OwnedVoices(voices)
        self.keeper = VoiceKeeper(
            self.settings, self.backends, self.encoder, self._voice_store, self.voices
        )

    async def synthesize(
        self,
        asked: Callable[[], Synthesis],
        client: str,
        deadline: float | None,
        *,
        owner: str,
    ) -> AsyncGenerator[Event, None]:
        """Speaks one text: `TurnStarted`, `Audio`, `TurnCompleted`.

        `asked` gives the checked request, or raises what is wrong with it. `client` is who asks,
        by address; `owner` is the tenant, whose voices and conversations there are, "" where
        identity is off. `deadline` is a time of the monotonic clock.
        """
        meter = TurnMeter(self._metrics, "Synthesize")
        meter.accepted()
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._calls.taken(client))
                held.enter_context(self._turns.taken(client))
                request = asked()
                admission = await self.quotas.admit(
                    caller_of_call(owner),
                    len(request.text),
                    stream=True,
                    keeps=bool(request.conversation_id),
                )
                held.callback(self.quotas.end, admission, meter.record)
                call = await self._synthesis(request, deadline, held, owner)
                meter.admitted()
                await call.prepare(meter)
            except errors.ServiceError as error:
                meter.finish(outcome_of(error), 0.0)
                raise
            except BaseException:
                meter.finish("cancelled", 0.0)
                raise
            held.enter_context(self._registered(call))
            task = asyncio.create_task(call.speak())
            try:
                async for event in call.outbox:
                    yield event
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def converse(
        self,
        options: ConverseOptions,
        commands: AsyncIterator[Command],
        client: str,
        deadline: float | None,
        *,
        owner: str,
    ) -> AsyncGenerator[Event, None]:
        """An owner's conversation: `ConversationOpened`, then the events of its turns."""
        with contextlib.ExitStack() as held:
            record = current_call()
            record.conversing, record.conversation_id = True, options.conversation_id
            held.enter_context(self._converse_calls.taken(client))
            held.enter_context(self._calls.taken(client))
            caller = caller_of_call(owner)
            held.callback(self.quotas.end, await self.quotas.admit(caller, stream=True, keeps=True))
            conversation = await self._opened(options.conversation_id, options.voice, owner, held)
            record.conversation_id = conversation.conversation_id
            look_for = partial(self.keeper.look_for, owner=owner)
            await look_for(options.voice or conversation.voice)
            voices = self.voices.of(owner)
            voice = voices.get_kept(options.voice, conversation.voice)
            options = replace(options, sampling=options.sampling.over(voice.sampling))
            asked = options.heard_speaker
            if asked is not None:
                voices.check_speaker("config.heard_speaker", asked)
            cast = self._cast(voice, owner, conversation, () if asked is None else (asked,))
            heard = voices.listener_of(voice.speaker) if asked is None else asked
            options = replace(options, heard_speaker=cast.hear(heard, asked=asked is not None))
            conversation.voice = voice.name
            processing = await self.sounds.processing(options.sound, cast)
            options = replace(options, processing=processing)
            ports = CallPorts(
                self.backends,
                self.texts,
                self.encoder,
                self.settings,
                self._metrics,
                Turns(self._turns, client, self.quotas, caller),
                look_for,
                deadline,
            )
            call = ConverseCall(options, cast, conversation, ports)
            held.enter_context(self._registered(call))
            async with contextlib.aclosing(call.run(commands)) as events:
                async for event in events:
                    yield event

    async def prepare(
        self, text: str, voice: str, rules: TextRules, *, owner: str
    ) -> PreparedSentences:
        """What would be spoken of a text by an owner's voice, by name. Raises `NotFound`."""
        async with self.quotas.request(caller_of_call(owner)):
            look_for = partial(self.keeper.look_for, owner=owner)
            await look_for(voice)
            speaking = self.voices.of(owner).get(voice)
            await NamedVoices(look_for).look(text)
            front_end = self.texts.front_end(rules, self._cast(speaking, owner))
            return await prepare(text, front_end, speaking.speaker, self.backends)

    @contextlib.asynccontextmanager
    async def creating_voice(
        self, client: str, *, owner: str
    ) -> AsyncIterator[Callable[[int], None]]:
        """Around the making of an owner's voice: as `VoiceKeeper.creating`, within quotas."""
        async with self.quotas.request(caller_of_call(owner), keeps=True, voice=True):
            with self.keeper.creating(client) as holding:
                yield holding

    async def delete_conversation(self, conversation_id: str, *, owner: str) -> None:
        """Forgets an owner's conversation here and in the generator. Raises as the store does."""
        current_call().conversation_id = conversation_id
        await self.store.delete(conversation_id, GIVE_BACK_S, owner=owner)
        await self.backends.forget(conversation_id, owner=owner)

    async def drain(self, finish_s: float) -> None:
        """Idle conversations end at once, turns may finish; after `finish_s` all end."""
        self._draining = True
        for live in list(self._live):
            live.drain()
        await self._calls.empty(finish_s)
        self._ending = True
        for live in list(self._live):
            live.shutdown()
        await self._calls.empty(SHUTDOWN_TERMINALS_S)

    async def _synthesis(
        self, asked: Synthesis, deadline: float | None, held: contextlib.ExitStack, owner: str
    ) -> SynthesizeCall:
        held.enter_context(self.encoder.holding(asked.context))
        voices = self.voices.of(owner)
        if asked.speaker is not None:
            voices.check_speaker("speaker", asked.speaker)
        for turn in asked.context:
            voices.check_speaker(f"{turn.field}.speaker", turn.speaker)
        conversation: StoredConversation | None = None
        current_call().conversation_id = asked.conversation_id
        if asked.conversation_id:
            require(Scope.CONVERSE)
            conversation = await self._opened(asked.conversation_id, asked.voice, owner, held)
        kept = conversation.voice if conversation else ""
        look_for = partial(self.keeper.look_for, owner=owner)
        await look_for(asked.voice or kept)
        voice = self.voices.of(owner).get_kept(asked.voice, kept)
        await NamedVoices(look_for).look(asked.text)
        asked = replace(asked, sampling=asked.sampling.over(voice.sampling))
        if conversation is not None:
            conversation.voice = voice.name
        others = {turn.speaker for turn in asked.context} - {asked.speaker}
        parts = SynthesisParts(
            self._cast(voice, owner, conversation, others),
            conversation,
            self.backends,
            self.texts,
            self.sounds,
            self.encoder,
            self.settings,
            self._metrics,
            deadline,
            owner,
        )
        return SynthesizeCall(asked, parts)

    async def _num_bytes(self, owner: str) -> int:
        return await self.store.num_bytes(owner) + self.keeper.usage.num_bytes(owner)

    def _cast(
        self,
        voice: LibraryVoice,
        owner: str,
        conversation: StoredConversation | None = None,
        taken: Iterable[int] = (),
    ) -> Cast:
        """That voice, those that spoke in the conversation, and whom the texts will name, of the
        owner's voices; `taken` are numbers of other speakers."""
        generator = self.backends.info.generator
        rules = CastRules(
            lambda name: self.voices.of(owner).get(name),
            bool(generator.voices),
            generator.max_positions,
            bool(generator.characters),
        )
        turns = conversation.turns if conversation is not None else ()
        return Cast(voice, rules, [s for turn in turns for s in turn.segments], taken)

    @contextlib.contextmanager
    def _registered(self, live: _Live) -> Iterator[None]:
        self._live.add(live)
        # One that came before the drain, and waited or encoded until now.
        if self._ending:
            live.shutdown()
        elif self._draining:
            live.drain()
        try:
            yield
        finally:
            self._live.discard(live)

    async def _opened(
        self, conversation_id: str, voice: str, owner: str, held: contextlib.ExitStack
    ) -> StoredConversation:
        conversation = await self.store.open(conversation_id, voice, GIVE_BACK_S, owner=owner)
        held.callback(self.store.close, conversation)
        return conversation
