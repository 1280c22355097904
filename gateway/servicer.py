"""SpeechService on the wire: messages to plain data, events to messages. No logic."""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator

from grpc.aio import ServicerContext

import csm
from csm.errors import invalid
from csm.serving.auth import identity
from csm.serving.calls.peer import address_of
from csm.serving.calls.record import current_call
from csm.v1 import speech_pb2, speech_pb2_grpc
from gateway import messages, voice_messages
from gateway.commands import Command
from gateway.messages import Checker
from gateway.owner import owner_of_call
from gateway.speaking.opus_stream import as_ogg_opus
from gateway.speech import SpeechHandler
from gateway.voices.pages import page_of


class SpeechServicer(speech_pb2_grpc.SpeechServiceServicer):
    """The handlers."""

    def __init__(self, speech: SpeechHandler) -> None:
        self._speech = speech

    async def Synthesize(
        self, request: speech_pb2.SynthesizeRequest, context: ServicerContext
    ) -> AsyncGenerator[speech_pb2.SynthesizeResponse, None]:
        events = self._speech.synthesize(
            lambda: self._checker().synthesis(request, self._speech.texts.rules),
            _client(context),
            _deadline(context),
            owner=owner_of_call(),
        )
        if messages.is_ogg_opus(request.format):
            events = as_ogg_opus(events, request.format.encoding)
        async with contextlib.aclosing(events):
            async for event in events:
                yield messages.synthesized(event)

    async def Converse(
        self, request_iterator: AsyncIterator[speech_pb2.ConverseRequest], context: ServicerContext
    ) -> AsyncGenerator[speech_pb2.ConverseResponse, None]:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("request") != "config":
            got = first.WhichOneof("request") if first is not None else "nothing"
            raise invalid("config", f"the first message is {got}; allowed is the config")
        checker = self._checker()
        events = self._speech.converse(
            checker.opening(first.config, self._speech.texts.rules),
            _commands(checker, request_iterator),
            _client(context),
            _deadline(context),
            owner=owner_of_call(),
        )
        if messages.is_ogg_opus(first.config.output_format):
            events = as_ogg_opus(events, first.config.output_format.encoding)
        async with contextlib.aclosing(events):
            async for event in events:
                yield messages.conversed(event)

    async def ListVoices(
        self, request: speech_pb2.ListVoicesRequest, context: ServicerContext
    ) -> speech_pb2.ListVoicesResponse:
        voice_messages.check_listing(request)
        voices = self._speech.voices.of(owner_of_call())
        page = page_of(
            voices,
            page_size=request.page_size,
            page_token=request.page_token,
            name_contains=request.name_contains,
            language=request.language,
        )
        return voice_messages.listed(voices, page)

    async def GetVoice(
        self, request: speech_pb2.GetVoiceRequest, context: ServicerContext
    ) -> speech_pb2.GetVoiceResponse:
        owner, name = owner_of_call(), voice_messages.voice_name(request.name)
        await self._speech.keeper.look_for(name, owner=owner)
        voices = self._speech.voices.of(owner)
        return voice_messages.whole_voice(voices, voices.get(name))

    async def CreateVoice(
        self,
        request_iterator: AsyncIterator[speech_pb2.CreateVoiceRequest],
        context: ServicerContext,
    ) -> speech_pb2.CreateVoiceResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("request") != "config":
            got = first.WhichOneof("request") if first is not None else "nothing"
            raise invalid("config", f"the first message is {got}; allowed is the config")
        asked, owner = voice_messages.new_voice(first.config), owner_of_call()
        async with self._speech.creating_voice(_client(context), owner=owner) as holding:
            self._speech.keeper.check(asked, owner=owner)
            recordings = await voice_messages.recordings_of(request_iterator, holding)
            voice = await self._speech.keeper.create(
                asked, recordings, _deadline(context), owner=owner
            )
        return speech_pb2.CreateVoiceResponse(
            voice=voice_messages.voice_message(self._speech.voices.of(owner), voice),
            recordings=voice_messages.reports(voice),
        )

    async def UpdateVoice(
        self, request: speech_pb2.UpdateVoiceRequest, context: ServicerContext
    ) -> speech_pb2.UpdateVoiceResponse:
        owner = owner_of_call()
        voice = await self._speech.keeper.update(voice_messages.voice_update(request), owner=owner)
        return speech_pb2.UpdateVoiceResponse(
            voice=voice_messages.voice_message(self._speech.voices.of(owner), voice)
        )

    async def DeleteVoice(
        self, request: speech_pb2.DeleteVoiceRequest, context: ServicerContext
    ) -> speech_pb2.DeleteVoiceResponse:
        name = voice_messages.voice_name(request.name)
        await self._speech.keeper.delete(name, owner=owner_of_call())
        return speech_pb2.DeleteVoiceResponse()

    async def PrepareText(
        self, request: speech_pb2.PrepareTextRequest, context: ServicerContext
    ) -> speech_pb2.PrepareTextResponse:
        rules = self._speech.texts.rules
        asked = self._checker().text_to_prepare(request, rules)
        return messages.prepared(await self._speech.prepare(*asked, owner=owner_of_call()))

    async def GetConversation(
        self, request: speech_pb2.GetConversationRequest, context: ServicerContext
    ) -> speech_pb2.GetConversationResponse:
        conversation_id = self._checker().conversation_id(request.conversation_id)
        current_call().conversation_id = conversation_id
        conversation = await self._speech.store.read(conversation_id, owner=owner_of_call())
        frame_ms = self._speech.backends.info.frame_ms
        return speech_pb2.GetConversationResponse(
            conversation_id=conversation.conversation_id,
            voice=conversation.voice,
            turns=[
                speech_pb2.ConversationTurn(
                    turn_id=turn.turn_id,
                    speaker=turn.speaker,
                    text=turn.text,
                    heard=turn.heard,
                    audio_ms=turn.audio_ms(frame_ms),
                    unfinished=turn.unfinished is not None,
                )
                for turn in conversation.turns
            ],
        )

    async def DeleteConversation(
        self, request: speech_pb2.DeleteConversationRequest, context: ServicerContext
    ) -> speech_pb2.DeleteConversationResponse:
        conversation_id = self._checker().conversation_id(request.conversation_id)
        await self._speech.delete_conversation(conversation_id, owner=owner_of_call())
        return speech_pb2.DeleteConversationResponse()

    async def GetServerInfo(
        self, request: speech_pb2.GetServerInfoRequest, context: ServicerContext
    ) -> speech_pb2.GetServerInfoResponse:
        info = self._speech.backends.info
        tokenizer, generator = info.tokenizer, info.generator
        return speech_pb2.GetServerInfoResponse(
            version=csm.__version__,
            model=generator.model,
            sample_rate_hz=tokenizer.sample_rate_hz,
            frame_rate_hz=tokenizer.frame_rate_hz,
            num_codebooks=tokenizer.num_codebooks,
            max_positions=generator.max_positions,
            default_voice=self._speech.voices.of(owner_of_call()).default,
            max_text_chars=self._speech.settings.max_text_chars,
            sampling=generator.sampling,
            slots=generator.slots,
            digest=generator.digest,
            dtype=generator.dtype,
            device=generator.device,
            watermark=mark.name if (mark := self._speech.sounds.watermark) else "",
        )

    def _checker(self) -> Checker:
        return Checker(self._speech.settings, self._speech.backends.info)


async def _commands(
    checker: Checker, requests: AsyncIterator[speech_pb2.ConverseRequest]
) -> AsyncGenerator[Command, None]:
    async for request in requests:
        yield checker.command(request)


def _deadline(context: ServicerContext) -> float | None:
    left = context.time_remaining()
    return None if left is None else time.monotonic() + left


def _client(context: ServicerContext) -> str:
    """Who calls: the principal, else what its address tells."""
    return identity.counted_as(address_of(context.peer()))
