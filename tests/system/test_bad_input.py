"""Whatever comes in wrong: named with field, value and what is allowed, and nobody is harmed."""

import struct
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from csm import channel, errors
from csm.client import Client, ContextTurn
from csm.v1 import (
    common_pb2,
    generator_pb2,
    generator_pb2_grpc,
    speech_pb2,
    speech_pb2_grpc,
    tokenizer_pb2,
    tokenizer_pb2_grpc,
)
from services.all_in_one import AllInOne
from tests.pico import BOOKS, CODEBOOK_SIZE

FILE = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)
FLOAT = common_pb2.AudioFormat(
    encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=24000, channels=1
)


def wav(samples: np.ndarray, rate_hz: int = 24000, *, declared: int | None = None) -> bytes:
    """A WAV file by hand, so that its header can lie."""
    frames = samples if samples.ndim == 2 else samples[:, None]
    kind = 3 if samples.dtype.kind == "f" else 1
    width, channels = samples.dtype.itemsize, frames.shape[1]
    data = frames.tobytes()
    size = len(data) if declared is None else declared
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, kind, channels, rate_hz),
        *(rate_hz * width * channels, width * channels, 8 * width, b"data", size),
    )
    return head + data


TONE = (8000 * np.sin(np.arange(24000) / 20)).astype("<i2")
BAD_FILES = {
    "empty": b"",
    "not audio": b"hello world, this is text" * 10,
    "header only, cut": wav(TONE)[:30],
    "zero frames": wav(TONE[:0]),
    "NaN": wav(np.full(2400, np.nan, "<f4")),
    "infinity": wav(np.full(2400, np.inf, "<f4")),
    "lying header": wav(TONE, declared=50_000_000),
    "truncated": wav(TONE)[:20_000],
    "768 kHz": wav(TONE, 768_000),
    "7 channels": wav(np.repeat(TONE[:, None], 7, axis=1)),
}


@pytest.fixture(scope="module")
def wires(stack: AllInOne) -> Iterator[dict[str, grpc.Channel]]:
    hosts = {"tokenizer": stack.tokenizer, "generator": stack.generator, "gateway": stack.gateway}
    channels = {name: channel.open_sync(host.address) for name, host in hosts.items()}
    yield channels
    for one in channels.values():
        one.close()


@pytest.fixture(autouse=True)
def still_speaks(client: Client) -> Iterator[None]:
    yield
    assert client.synthesize("Yes.", seed=1, max_audio_ms=400).read_pcm()


def violation(call: object) -> tuple[str, str]:
    """Field and description of the one violation that the call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call() if callable(call) else list(call)  # type: ignore[call-overload]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, caught.value.details()
    (detail,) = errors.rpc_error_details(caught.value)
    first = detail.field_violations[0]
    assert first.field
    assert first.description
    assert "Traceback" not in first.description
    return first.field, first.description


def encode(wires: dict[str, grpc.Channel], data: bytes, form: common_pb2.AudioFormat) -> object:
    stub = tokenizer_pb2_grpc.TokenizerServiceStub(wires["tokenizer"])
    messages = [
        tokenizer_pb2.EncodeRequest(config=tokenizer_pb2.EncodeConfig(format=form)),
        *(
            tokenizer_pb2.EncodeRequest(audio=data[i : i + 65536])
            for i in range(0, len(data), 65536)
        ),
    ]
    return lambda: stub.Encode(iter(messages), timeout=20)


@pytest.mark.parametrize("name", BAD_FILES)
def test_the_tokenizer_names_what_is_wrong_with_a_file(
    wires: dict[str, grpc.Channel], name: str
) -> None:
    violation(encode(wires, BAD_FILES[name], FILE))


@pytest.mark.parametrize("name", BAD_FILES)
def test_the_gateway_names_what_is_wrong_with_a_context_file(
    wires: dict[str, grpc.Channel], name: str
) -> None:
    stub = speech_pb2_grpc.SpeechServiceStub(wires["gateway"])
    context = speech_pb2.ContextTurn(text="x", audio_file=BAD_FILES[name])
    request = speech_pb2.SynthesizeRequest(text="Hello.", context=[context])
    field, _ = violation(stub.Synthesize(request, timeout=20))
    assert field.startswith("context[0]")


@pytest.mark.parametrize(
    ("change", "says"),
    [({"sample_rate_hz": 768_000}, "768000"), ({"channels": 77}, "77"), ({"encoding": 99}, "99")],
)
def test_a_format_out_of_range_is_named(
    wires: dict[str, grpc.Channel], change: dict, says: str
) -> None:
    form = common_pb2.AudioFormat()
    form.CopyFrom(FLOAT)
    for name, value in change.items():
        setattr(form, name, value)
    field, description = violation(encode(wires, b"\0" * 4096, form))
    assert field.endswith(next(iter(change)))
    assert says in description


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ""),
        ("   \n", ""),
        ("a " * 50_000, "100000"),
        ("🙂🎉🙂", ""),
        ("\x00\x07\x1b", ""),
    ],
    ids=["empty", "blank", "100,000 characters", "emoji", "control characters"],
)
@pytest.mark.parametrize("service", ["gateway", "generator"])
def test_text_that_cannot_be_spoken_is_named(
    wires: dict[str, grpc.Channel], service: str, text: str, says: str
) -> None:
    if service == "gateway":
        stub = speech_pb2_grpc.SpeechServiceStub(wires["gateway"])
        call = stub.Synthesize(speech_pb2.SynthesizeRequest(text=text), timeout=20)
        field, description = violation(call)
    else:
        # In band: the stream goes on with its next turn.
        *_, last = generate(wires, text)  # type: ignore[misc]
        assert last.turn_completed.finish_reason == common_pb2.FINISH_REASON_ERROR
        error = errors.from_status_message(last.turn_completed.error, "generator")
        (detail,) = [d for d in error.details() if hasattr(d, "field_violations")]
        told = detail.field_violations[0]  # type: ignore[attr-defined]
        field, description = told.field, told.description
    assert "text" in field
    assert says in description


def generate(
    wires: dict[str, grpc.Channel],
    text: str = "hello",
    config: generator_pb2.GenerateConfig | None = None,
    segments: list[common_pb2.Segment] = [],  # noqa: B006
) -> object:
    stub = generator_pb2_grpc.GeneratorServiceStub(wires["generator"])
    request = generator_pb2.GenerateRequest
    messages = [
        request(config=config or generator_pb2.GenerateConfig(max_audio_ms=400)),
        request(segments=generator_pb2.GenerateSegments(segments=segments)),
        request(text=generator_pb2.GenerateText(text=text)),
        request(flush=generator_pb2.GenerateFlush(turn_id="1")),
    ]
    return stub.Generate(iter(messages), timeout=20)


def frames(codes: list[list[int]]) -> common_pb2.TokenFrames:
    array = np.array(codes, "<u2")
    return common_pb2.TokenFrames(
        codes=array.tobytes(), num_frames=array.shape[0], num_codebooks=array.shape[1]
    )


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (frames([[CODEBOOK_SIZE + 9] * BOOKS]), str(CODEBOOK_SIZE + 9)),
        (frames([[1] * (BOOKS - 1)]), str(BOOKS - 1)),
        (common_pb2.TokenFrames(codes=b"123", num_frames=1, num_codebooks=BOOKS), "3 bytes"),
    ],
    ids=["code out of range", "wrong width", "wrong length"],
)
def test_wrong_frames_are_named_everywhere(
    wires: dict[str, grpc.Channel], bad: common_pb2.TokenFrames, says: str
) -> None:
    tokenizer = tokenizer_pb2_grpc.TokenizerServiceStub(wires["tokenizer"])
    speech = speech_pb2_grpc.SpeechServiceStub(wires["gateway"])
    streaming = [
        tokenizer_pb2.StreamingDecodeRequest(config=tokenizer_pb2.StreamingDecodeConfig()),
        tokenizer_pb2.StreamingDecodeRequest(frames=bad),
    ]
    turn = speech_pb2.ContextTurn(text="x", frames=bad)
    for call in (
        tokenizer.Decode(tokenizer_pb2.DecodeRequest(frames=bad), timeout=20),
        tokenizer.StreamingDecode(iter(streaming), timeout=20),
        generate(wires, segments=[common_pb2.Segment(text="x", frames=bad)]),
        speech.Synthesize(speech_pb2.SynthesizeRequest(text="x", context=[turn]), timeout=20),
    ):
        field, description = violation(call)
        assert "frames" in field
        assert says in description


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"depth_temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": 1_000_000},
        {"min_audio_ms": 600_001},
    ],
    ids=str,
)
def test_sampling_out_of_range_is_named(wires: dict[str, grpc.Channel], sampling: dict) -> None:
    name = next(iter(sampling))
    given = common_pb2.Sampling(**sampling)
    speech = speech_pb2_grpc.SpeechServiceStub(wires["gateway"])
    for call in (
        speech.Synthesize(speech_pb2.SynthesizeRequest(text="x", sampling=given), timeout=20),
        generate(wires, config=generator_pb2.GenerateConfig(sampling=given)),
    ):
        field, _ = violation(call)
        assert field.endswith(f"sampling.{name}")


def requests_of(name: str, wires: dict[str, grpc.Channel]) -> tuple[object, object, object]:
    """A stream's callable, its config message, and another message."""
    tokenizer = tokenizer_pb2_grpc.TokenizerServiceStub(wires["tokenizer"])
    return {
        "Encode": (
            lambda messages, timeout: lambda: tokenizer.Encode(messages, timeout=timeout),
            tokenizer_pb2.EncodeRequest(config=tokenizer_pb2.EncodeConfig(format=FLOAT)),
            tokenizer_pb2.EncodeRequest(audio=b"\0" * 64),
        ),
        "StreamingEncode": (
            tokenizer.StreamingEncode,
            tokenizer_pb2.StreamingEncodeRequest(config=tokenizer_pb2.EncodeConfig(format=FLOAT)),
            tokenizer_pb2.StreamingEncodeRequest(audio=b"\0" * 64),
        ),
        "StreamingDecode": (
            tokenizer.StreamingDecode,
            tokenizer_pb2.StreamingDecodeRequest(config=tokenizer_pb2.StreamingDecodeConfig()),
            tokenizer_pb2.StreamingDecodeRequest(frames=frames([[1] * BOOKS])),
        ),
        "Generate": (
            generator_pb2_grpc.GeneratorServiceStub(wires["generator"]).Generate,
            generator_pb2.GenerateRequest(config=generator_pb2.GenerateConfig()),
            generator_pb2.GenerateRequest(text=generator_pb2.GenerateText(text="x")),
        ),
        "Converse": (
            speech_pb2_grpc.SpeechServiceStub(wires["gateway"]).Converse,
            speech_pb2.ConverseRequest(config=speech_pb2.ConverseConfig()),
            speech_pb2.ConverseRequest(text=speech_pb2.ConverseText(text="x")),
        ),
    }[name]


@pytest.mark.parametrize(
    "name", ["Encode", "StreamingEncode", "StreamingDecode", "Generate", "Converse"]
)
@pytest.mark.parametrize("order", ["twice", "never", "empty"])
def test_a_stream_wants_its_config_once_and_first(
    wires: dict[str, grpc.Channel], name: str, order: str
) -> None:
    call, config, other = requests_of(name, wires)
    messages = {"twice": [config, other, config], "never": [other], "empty": []}[order]
    field, _ = violation(call(iter(messages), timeout=20))  # type: ignore[operator]
    assert "config" in field


def test_unknown_names_are_not_found(wires: dict[str, grpc.Channel]) -> None:
    stub = speech_pb2_grpc.SpeechServiceStub(wires["gateway"])
    calls = [
        lambda: list(stub.Synthesize(speech_pb2.SynthesizeRequest(text="x", voice="nobody"))),
        lambda: stub.GetConversation(speech_pb2.GetConversationRequest(conversation_id="none")),
        lambda: stub.DeleteConversation(
            speech_pb2.DeleteConversationRequest(conversation_id="none")
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_client_raises_the_violation(client: Client) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        client.synthesize("x", context=[ContextTurn(0, "y", audio=b"nothing")]).read_pcm()
    assert caught.value.violations[0].field.startswith("context[0]")
