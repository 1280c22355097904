"""Calls about a conversation and a voice of somebody, and what a caller can tell of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from csm.errors import rpc_error_details
from csm.v1 import speech_pb2
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.tenants import as_tenant
from tests.gateway.voices.making import WORDS, create_requests

ID = "private-0001"
"""A conversation of tenant A's."""
OTHER_AUDIO = b"RIFF" + bytes(3196)
"""Of 32 frames, of another code than `AUDIO`."""


async def said(tenant: Any, conversation_id: str, text: str, **config: Any) -> Conversation:
    """One spoken turn of a conversation."""
    async with Conversation(tenant, conversation_id=conversation_id, **config) as call:
        await call.say(text)
        await call.end()
        await call.until("turn_completed")
        await call.done()
    return call


async def outcome(call: Awaitable[Any], *own: str) -> Any:
    """What a caller can tell of a call, its own words left out."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), masked(error.details(), *own), masked(rpc_error_details(error), *own)
    return masked(answer, *own)


def masked(told: Any, *own: str) -> str:
    text = str(told)
    for word in own:
        text = text.replace(word, "IT")
    return text


Call = Callable[[Any, str, str], Awaitable[Any]]


async def converse(tenant: Any, conversation_id: str, name: str) -> Any:
    call = await said(tenant, conversation_id, "One.")
    started = call.all("started")[0]
    await tenant.stub.DeleteConversation(
        speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
    )
    assert started.conversation_id == conversation_id
    return started.num_turns, started.voice, [c.warnings for c in call.all("turn_completed")]


async def converse_with_voice(tenant: Any, conversation_id: str, name: str) -> Any:
    async with Conversation(tenant, voice=name) as call:
        raise await call.failed()


async def converse_naming(tenant: Any, conversation_id: str, name: str) -> Any:
    call = await said(tenant, "", f"[voice: {name}] One two three.")
    (completed,) = call.all("turn_completed")
    return completed.finish_reason, [(w.kind, w.description) for w in completed.warnings]


async def converse_part_of(tenant: Any, conversation_id: str, name: str) -> Any:
    async with Conversation(tenant) as call:
        await call.send(text=speech_pb2.ConverseText(text="One two three.", voice=name))
        await call.end()
        (completed,) = [await call.until("turn_completed")]
        return completed.finish_reason, [(w.kind, w.description) for w in completed.warnings]


async def resume(tenant: Any, conversation_id: str, name: str) -> Any:
    turn = (await turns_of_a(tenant, ID))[-1]
    async with Conversation(tenant, conversation_id=conversation_id) as call:
        await call.send(resume=speech_pb2.ConverseResume(turn_id=turn))
        await call.say("Hello there.")
        await call.end()
        if not call._reader.done():
            await asyncio.wait({asyncio.ensure_future(call.until("turn_completed"))}, timeout=5)
        kinds = [kind for kind in call.order if kind != "audio"]
        told = [call.error.details() if call.error else ""]
        started = call.all("started")[0]
    await asyncio.sleep(0.05)
    return kinds, told, started.num_turns, [c.kept_audio_ms for c in call.all("turn_completed")]


async def turns_of_a(tenant: Any, conversation_id: str) -> list[str]:
    answer = await as_tenant(tenant.stack, "a").stub.GetConversation(
        speech_pb2.GetConversationRequest(conversation_id=conversation_id)
    )
    return [turn.turn_id for turn in answer.turns]


async def synthesized(tenant: Any, conversation_id: str, name: str) -> Any:
    heard = await synthesize(tenant, "One.", conversation_id=conversation_id)
    (stream,) = tenant.generator.streams[-1:]
    await tenant.stub.DeleteConversation(
        speech_pb2.DeleteConversationRequest(conversation_id=conversation_id)
    )
    return heard.completed[0].finish_reason, [s.text for s in stream.context]


async def synthesized_by(tenant: Any, conversation_id: str, name: str) -> Any:
    return await synthesize(tenant, "One.", voice=name)


async def synthesized_naming(tenant: Any, conversation_id: str, name: str) -> Any:
    return await synthesize(tenant, f"[voice: {name}] One.")


async def prepared(tenant: Any, conversation_id: str, name: str) -> Any:
    return await tenant.stub.PrepareText(speech_pb2.PrepareTextRequest(text="One.", voice=name))


async def prepared_naming(tenant: Any, conversation_id: str, name: str) -> Any:
    return await tenant.stub.PrepareText(
        speech_pb2.PrepareTextRequest(text=f"[voice: {name}] One.")
    )


async def created(tenant: Any, conversation_id: str, name: str) -> Any:
    answer = await tenant.stub.CreateVoice(create_requests(name, ((WORDS, OTHER_AUDIO),)))
    answer.voice.updated_unix_s = 0
    await tenant.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name=name))
    return answer


def unary(rpc: str, make: Callable[[str, str], Any]) -> Call:
    async def call(tenant: Any, conversation_id: str, name: str) -> Any:
        return await getattr(tenant.stub, rpc)(make(conversation_id, name))

    return call


STOLEN: dict[str, list[Call]] = {
    "Synthesize": [synthesized, synthesized_by, synthesized_naming],
    "Converse": [
        converse, converse_with_voice, converse_naming, converse_part_of, resume,
    ],
    "PrepareText": [prepared, prepared_naming],
    "ListVoices": [
        unary("ListVoices", lambda _, name: speech_pb2.ListVoicesRequest(name_contains=name)),
    ],
    "GetVoice": [unary("GetVoice", lambda _, name: speech_pb2.GetVoiceRequest(name=name))],
    "CreateVoice": [created],
    "UpdateVoice": [
        unary("UpdateVoice", lambda _, n: speech_pb2.UpdateVoiceRequest(name=n, description="x"))
    ],
    "DeleteVoice": [unary("DeleteVoice", lambda _, n: speech_pb2.DeleteVoiceRequest(name=n))],
    "GetConversation": [
        unary(
            "GetConversation",
            lambda i, _: speech_pb2.GetConversationRequest(conversation_id=i),
        )
    ],
    "DeleteConversation": [
        unary(
            "DeleteConversation",
            lambda i, _: speech_pb2.DeleteConversationRequest(conversation_id=i),
        )
    ],
}  # fmt: skip
WITHOUT = {"GetServerInfo"}
"""They take neither an id nor a name."""
