"""What the SDK asks of the sound."""

import pytest

from csm import SoundOptions
from csm.client.requests import converse_config, sampling, synthesize_request
from csm.errors import InvalidArgument

COMMON = {"voice": "", "conversation_id": "", "max_audio_ms": 0, "max_lead_ms": 0}
OPTIONS = SoundOptions(speed=1.5, even_loudness=False, max_trailing_silence_ms=0)


def test_what_is_given_is_sent_and_the_rest_is_left_to_the_server() -> None:
    synthesis = synthesize_request(
        "Hi.",
        context=(),
        speaker=None,
        sampling=sampling(),
        format=None,
        text_options=None,
        sound_options=OPTIONS,
        **COMMON,  # type: ignore[arg-type]
    )
    opening = converse_config(
        sampling=sampling(),
        output_format=None,
        input_format=None,
        heard_speaker=None,
        text_options=None,
        sound_options=OPTIONS,
        **COMMON,  # type: ignore[arg-type]
    )
    for sent in (synthesis.sound_options, opening.config.sound_options):
        assert (sent.speed, sent.even_loudness, sent.max_trailing_silence_ms) == (1.5, False, 0)
        assert sent.HasField("even_loudness")
        assert sent.HasField("max_trailing_silence_ms")
        assert not sent.HasField("max_leading_silence_ms")


def test_what_the_wire_cannot_carry_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"sound_options\.max_leading_silence_ms.*-1"):
        SoundOptions(max_leading_silence_ms=-1).to_proto()
    with pytest.raises(InvalidArgument, match=r"sound_options\.speed"):
        SoundOptions(speed="fast").to_proto()  # type: ignore[arg-type]
