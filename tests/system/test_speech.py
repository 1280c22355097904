"""An utterance's whole way, over the wire, held against the models alone and `transformers`."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from csm.client import AudioFormat, Client, ContextTurn, FinishReason, TurnCompleted
from services.all_in_one import AllInOne
from services.generator.model import weights
from services.generator.model.generate import generate
from services.generator.model.generation_config import GenerationDefaults
from services.generator.model.prompt import PromptSegment, prompt_frames
from services.generator.model.text import TextTokenizer
from services.tokenizer.codec import weights as codec_weights
from tests.pico import BOOKS
from tests.system.conftest import PICO

FLOAT = AudioFormat(encoding="f32")
TEXT = "The evening train was late again."


def test_speech_comes_out_and_ends_by_itself(client: Client) -> None:
    speech = client.synthesize(TEXT, seed=1, format=FLOAT)
    samples = speech.read_all()
    assert speech.completed
    assert speech.completed.finish_reason is FinishReason.EOS
    assert speech.completed.usage.audio_ms == len(samples) / 24
    assert 1.2 < len(samples) / 24000 < 4
    assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.5
    assert np.isfinite(samples).all()


def test_first_audio_is_one_frame(client: Client) -> None:
    chunks = list(client.synthesize(TEXT, seed=1))
    assert len(chunks[0].samples) == 1920
    position = 0
    for chunk in chunks:
        assert chunk.first_sample == position
        position += len(chunk.samples)


def test_streamed_audio_equals_the_models_run_alone_at_once(client: Client) -> None:
    streamed = client.synthesize(TEXT, seed=7, format=FLOAT).read_all()
    model = weights.load(PICO)
    tokenizer = TextTokenizer.from_directory(PICO)
    prompt = prompt_frames([PromptSegment(0, TEXT, None)], tokenizer, model.config.num_codebooks)
    defaults = GenerationDefaults.from_directory(PICO)
    with torch.inference_mode():
        codes = generate(model, torch.as_tensor(prompt), defaults.sampling, max_frames=125, seed=7)
        mimi = codec_weights.load(PICO)
        whole = mimi.decode(torch.as_tensor(np.asarray(codes, np.int64)).T[None])[0, 0].numpy()
    assert streamed.shape == whole.shape
    np.testing.assert_allclose(streamed, whole, atol=1e-4)


def test_greedy_speech_equals_transformers(client: Client) -> None:
    transformers = pytest.importorskip("transformers")
    streamed = client.synthesize(
        TEXT, temperature=0, depth_temperature=0, format=FLOAT, max_audio_ms=8000
    ).read_all()
    peer = transformers.CsmForConditionalGeneration.from_pretrained(PICO, dtype=torch.float32)
    ids = TextTokenizer.from_directory(PICO).encode(0, TEXT)
    out = peer.generate(
        input_ids=torch.tensor([ids]), max_new_tokens=100, do_sample=False,
        depth_decoder_do_sample=False,
    )[0]  # fmt: skip
    ends = (out == 0).all(-1).nonzero()
    codes = out[: int(ends[0])] if len(ends) else out
    with torch.inference_mode():
        audio = peer.codec_model.decode(codes.T[None]).audio_values[0, 0].numpy()
    assert streamed.shape == audio.shape
    np.testing.assert_allclose(streamed, audio, atol=1e-3)


def test_the_same_seed_sounds_the_same_alone_and_in_company(stack: AllInOne) -> None:
    def samples(pcm: bytes) -> np.ndarray:
        return np.frombuffer(pcm, "<i2").astype(int)

    with Client(stack.address) as client:
        alone = samples(client.synthesize(TEXT, seed=3).read_pcm())
        company = [client.synthesize(f"Number {n} speaks too.", seed=n) for n in range(3)]
        together = samples(client.synthesize(TEXT, seed=3).read_pcm())
        # The codes are the same to the bit; the codec's float32 sums may round otherwise in a
        # batch, which is one step of 16 bits at the most. Another code sounds quite different.
        assert together.shape == alone.shape
        assert np.abs(together - alone).max() <= 1
        for one in company:
            one.read_pcm()
        other = samples(client.synthesize(TEXT, seed=4).read_pcm())
        assert other.shape != alone.shape or np.abs(other - alone).max() > 100


def test_a_recording_is_continued(client: Client, recording: Path, tmp_path: Path) -> None:
    turn = ContextTurn(speaker=0, text="The weather is fine today.", audio=recording)
    speech = client.synthesize("", context=[turn], seed=2, min_audio_ms=1000, max_audio_ms=2000)
    pcm = speech.read_pcm()
    assert speech.completed
    assert 1000 <= speech.completed.usage.audio_ms <= 2000
    assert speech.completed.usage.prompt_frames > 12
    out = tmp_path / "out.wav"
    soundfile.write(out, np.frombuffer(pcm, "<i2"), 24000)
    assert soundfile.info(out).frames == len(pcm) // 2


def test_a_recording_is_context_for_a_text(client: Client, recording: Path) -> None:
    turn = ContextTurn(speaker=1, text="The weather is fine today.", audio=recording)
    alone = client.synthesize("I agree.", seed=2, max_audio_ms=3000)
    alone.read_pcm()
    answered = client.synthesize("I agree.", context=[turn], seed=2, max_audio_ms=3000)
    answered.read_pcm()
    assert alone.completed
    assert answered.completed
    # The recording lasts 1.6 s at the least: 20 frames, its text, and its end.
    assert answered.completed.usage.prompt_frames > alone.completed.usage.prompt_frames + 40


def test_a_long_text_is_spoken_whole(client: Client) -> None:
    one = "The river rises in the hills behind the town. "
    short = client.synthesize(one, seed=1)
    short.read_pcm()
    long = client.synthesize(one * 6, seed=1)
    long.read_pcm()
    assert short.completed
    assert long.completed
    assert long.completed.finish_reason is FinishReason.EOS
    ratio = long.completed.usage.audio_ms / short.completed.usage.audio_ms
    assert 4.5 < ratio < 7.5


def test_a_conversation_hears_speaks_and_is_interrupted(client: Client, recording: Path) -> None:
    samples, rate_hz = soundfile.read(recording, dtype="int16")
    heard = AudioFormat(encoding="s16", sample_rate_hz=rate_hz)
    with client.converse(seed=1, input_format=heard, max_lead_ms=200) as conversation:
        conversation.send_audio(samples.astype("<i2").tobytes())
        conversation.end_turn(heard_text="The weather is fine today.")
        conversation.say("Yes, it is a fine day. ")
        conversation.say("Shall we walk along the river in the evening?")
        conversation.end_turn()
        terminals: list[TurnCompleted] = []
        chunks_after_cancel = 0
        cancelled = False
        for event in conversation:
            if isinstance(event, TurnCompleted):
                terminals.append(event)
                if len(terminals) == 2:
                    conversation.finish()
            elif hasattr(event, "pcm"):
                chunks_after_cancel += cancelled
                if not cancelled and event.first_sample > 24000:
                    conversation.cancel(heard_ms=640)
                    cancelled = True
        identity = conversation.conversation_id
    assert [t.heard for t in terminals] == [True, False]
    assert terminals[1].finish_reason is FinishReason.CANCELLED
    assert terminals[1].kept_audio_ms == 640
    kept = client.get_conversation(identity)
    assert [turn.heard for turn in kept.turns] == [True, False]
    assert kept.turns[1].audio_ms == 640
    client.delete_conversation(identity)


def test_a_turn_does_not_end_before_its_least_length(client: Client) -> None:
    short = client.synthesize("Yes.", seed=1)
    short.read_pcm()
    long = client.synthesize("Yes.", seed=1, min_audio_ms=3000)
    long.read_pcm()
    assert short.completed
    assert long.completed
    assert short.completed.usage.audio_ms < 2000
    assert long.completed.usage.audio_ms >= 3000
    # Up to where the short one ended, nothing has changed.
    assert long.completed.usage.prompt_frames == short.completed.usage.prompt_frames


def test_server_info_says_what_runs(client: Client) -> None:
    info = client.server_info()
    assert info.model == "pico"
    assert (info.sample_rate_hz, info.frame_rate_hz, info.num_codebooks) == (24000, 12.5, BOOKS)
    assert info.sampling.temperature == pytest.approx(0.3)
    assert info.sampling.depth_temperature == pytest.approx(0.1)
    assert info.default_voice in [v.name for v in client.list_voices().voices]
