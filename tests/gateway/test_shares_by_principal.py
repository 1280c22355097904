"""What is bounded by client is counted by principal, whatever the address."""

import asyncio
from pathlib import Path

import grpc
import httpx

from csm.serving.auth.identity import Principal, Scope, counted_as, current
from csm.v1 import speech_pb2, speech_pb2_grpc
from tests.csm.serving.auth.cases import Tokens
from tests.gateway.fakes import stack


def test_a_share_is_the_principals_else_the_addresss() -> None:
    assert counted_as("10.0.0.1") == "10.0.0.1"
    kept = current.set(Principal("alice", "acme", frozenset()))
    assert counted_as("10.0.0.1") == counted_as("10.0.0.2") == "acme alice"
    current.reset(kept)


async def test_one_principal_has_one_share_by_both_ways_in_and_another_its_own(
    tmp_path: Path,
) -> None:
    tokens = Tokens(tmp_path / "tokens")
    alice, bob = (tokens.of([Scope.SPEAK], name=name) for name in ("alice", "bob"))
    async with stack(http_port=0, max_streams_per_client=1, auth_tokens_file=tokens.path) as one:
        one.generator.frame_s = 0.05

        async def by_grpc(token: str) -> grpc.StatusCode:
            stub = speech_pb2_grpc.SpeechServiceStub(one.channel)
            request = speech_pb2.SynthesizeRequest(text="A sentence of some length.")
            call = stub.Synthesize(request, metadata=(("authorization", f"Bearer {token}"),))
            try:
                async for _ in call:
                    pass
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        async def by_http(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=one.http, timeout=20) as client:
                body = {"input": "Hi.", "response_format": "pcm"}
                answer = await client.post("/v1/audio/speech", json=body, headers=headers)
                return answer.status_code

        first = asyncio.create_task(by_grpc(alice))
        while not one.generator.running:
            await asyncio.sleep(0.01)
        assert await by_grpc(alice) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await by_http(alice) == 429
        assert await by_http(bob) == 200
        assert await by_grpc(bob) is grpc.StatusCode.OK
        assert await first is grpc.StatusCode.OK
