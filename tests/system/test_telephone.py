"""Telephone audio and Opus, through the three real services: the same speech in other bytes."""

import io

import numpy as np
import soundfile

from csm.audio.g711 import alaw_codes
from csm.client import AudioChunk, AudioFormat, Client, TurnCompleted

TEXT = "The evening train was late again."


def test_opus_and_telephone_audio_are_the_speech_that_pcm_is(client: Client) -> None:
    pcm = np.frombuffer(client.synthesize(TEXT, seed=1).read_pcm(), "<i2") / 32768
    chunks = list(client.synthesize(TEXT, seed=1, format="opus"))
    opus, rate_hz = soundfile.read(io.BytesIO(b"".join(chunk.pcm for chunk in chunks)))
    assert (rate_hz, len(opus)) == (24_000, len(pcm))
    assert np.corrcoef(opus, pcm)[0, 1] > 0.9
    # As it is made: the first pages have the first frame in them and no more.
    assert 0 < chunks[0].num_samples <= 1920
    assert [chunk.first_sample for chunk in chunks] == np.cumsum(
        [0, *(chunk.num_samples for chunk in chunks[:-1])]
    ).tolist()
    narrow = AudioFormat("s16", 8000)
    expected = client.synthesize(TEXT, seed=1, format=narrow).read_pcm()
    alaw = client.synthesize(TEXT, seed=1, format="alaw").read_pcm()
    assert alaw == alaw_codes(np.frombuffer(expected, "<i2").astype(np.int16)).tobytes()
    assert len(alaw) == len(pcm) // 3


def test_a_line_is_heard_and_answered(client: Client) -> None:
    said = client.synthesize("What is the time?", seed=1, format="mulaw").read_pcm()
    with client.converse(seed=1, input_format="mulaw", output_format="mulaw") as conversation:
        for at in range(0, len(said), 160):
            conversation.send_audio(said[at : at + 160])
        conversation.say("It is noon.")
        conversation.end_turn(heard_text="What is the time?")
        conversation.finish()
        events = list(conversation)
        identity = conversation.conversation_id
    heard, spoken = (event for event in events if isinstance(event, TurnCompleted))
    assert heard.heard
    assert 0 <= heard.kept_audio_ms - len(said) / 8 <= 80
    answer = [event for event in events if isinstance(event, AudioChunk)]
    assert {chunk.format for chunk in answer} == {AudioFormat("mulaw", 8000)}
    assert sum(len(chunk.pcm) for chunk in answer) == spoken.usage.audio_ms * 8
    client.delete_conversation(identity)
