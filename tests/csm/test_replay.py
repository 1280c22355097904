"""What a conversation remembers for another call."""

from dataclasses import replace
from typing import Any

import pytest

from csm import errors
from csm.client import requests
from csm.client.formats import AudioFormat
from csm.client.messages import (
    AudioChunk,
    FinishReason,
    Timing,
    TurnCompleted,
    TurnStarted,
    TurnTruncated,
    Usage,
    WordTime,
)
from csm.client.replay import MAX_KEPT_BYTES, Replay
from csm.v1 import common_pb2, speech_pb2

FORM = AudioFormat("s16", 24_000, 1)
CONFIG = speech_pb2.ConverseRequest(
    config=speech_pb2.ConverseConfig(sampling=common_pb2.Sampling(seed=(1 << 64) - 1))
)


def chunk(turn_id: str, first_sample: int, num_samples: int) -> AudioChunk:
    pcm = b"".join(n.to_bytes(2, "little") for n in range(first_sample, first_sample + num_samples))
    return AudioChunk(turn_id, pcm, FORM, first_sample, 0)


def completed(
    turn_id: str, reason: FinishReason = FinishReason.EOS, *, heard: bool = False
) -> TurnCompleted:
    return TurnCompleted(turn_id, reason, Usage(), Timing(), 0, heard)


def sent(replay: Replay, *messages: Any) -> None:
    for message in messages:
        replay.sent(message)


def again(replay: Replay) -> list[Any]:
    return replay.again(CONFIG)[1]


def test_a_turn_under_way_is_resumed_behind_what_came() -> None:
    replay = Replay()
    text, more = requests.text_request("One. "), requests.text_request("Two.")
    sent(replay, text, requests.flush_request(), more)
    assert replay.received(TurnStarted("t", FORM, 1))
    assert replay.received(chunk("t", 0, 1920))
    resume = speech_pb2.ConverseResume(turn_id="t", heard_ms=80)
    expected = [
        speech_pb2.ConverseRequest(resume=resume), text, requests.flush_request(), more
    ]  # fmt: skip
    assert again(replay) == expected
    replay.went_on()
    # The other call tells of the same turn; what came already is cut off.
    assert replay.received(TurnStarted("t", FORM, 1)) is None
    assert replay.received(chunk("t", 100, 500)) is None
    joined = replay.received(chunk("t", 1900, 40))
    assert joined == chunk("t", 1920, 20)
    sent(replay, requests.end_of_turn_request(""))
    assert again(replay)[-1] == requests.end_of_turn_request("")
    assert replay.received(completed("t"))
    assert again(replay) == []


def test_only_what_is_not_over_is_sent_again() -> None:
    replay = Replay()
    audio = next(iter(requests.heard_requests(bytes(960), FORM)))
    end = requests.end_of_turn_request("question")
    sent(replay, audio, requests.text_request("Answer."), end)
    sent(replay, requests.text_request("More."), requests.end_of_turn_request(""))
    assert again(replay) == [
        audio, requests.text_request("Answer."), end,
        requests.text_request("More."), requests.end_of_turn_request(""),
    ]  # fmt: skip
    replay.received(completed("h", heard=True))
    assert again(replay) == [
        requests.text_request("Answer."), requests.end_of_turn_request(""),
        requests.text_request("More."), requests.end_of_turn_request(""),
    ]  # fmt: skip
    replay.received(TurnStarted("a", FORM, 1))
    replay.received(completed("a"))
    assert again(replay) == [requests.text_request("More."), requests.end_of_turn_request("")]


def test_a_calls_seed_goes_on_from_the_turns_that_are_over() -> None:
    replay = Replay()
    for name in "ab":
        sent(replay, requests.text_request("One."), requests.end_of_turn_request(""))
        replay.received(TurnStarted(name, FORM, 1))
        replay.received(completed(name))
    assert replay.again(CONFIG)[0].config.sampling.seed == 1
    assert CONFIG.config.sampling.seed == (1 << 64) - 1


def test_a_cancel_whose_terminal_was_lost_is_told_to_both_sides() -> None:
    replay = Replay()
    sent(replay, requests.text_request("One. Two."))
    replay.received(TurnStarted("t", FORM, 1))
    replay.received(chunk("t", 0, 4800))
    sent(replay, requests.cancel_request("", 150), requests.end_of_turn_request(""))
    assert again(replay) == [requests.cancel_request("t", 150)]
    (event,) = replay.went_on()
    assert isinstance(event, TurnCompleted)
    assert (event.finish_reason, event.kept_audio_ms) == (FinishReason.CANCELLED, 150)
    assert replay.received(TurnTruncated("t", 150, "One.")) is None
    assert replay.received(TurnTruncated("t", 50, "One."))
    assert again(replay) == []


def test_a_turn_that_a_gateway_ends_as_it_goes_away_is_not_over() -> None:
    replay = Replay()
    sent(replay, requests.text_request("One."), requests.end_of_turn_request(""))
    replay.received(TurnStarted("t", FORM, 1))
    assert replay.received(completed("t", FinishReason.SHUTDOWN)) is None
    assert again(replay)[0].resume.turn_id == "t"


def test_a_turn_that_is_said_anew_is_another_turn() -> None:
    replay = Replay(anew=True)
    text = requests.text_request("One. Two.")
    sent(replay, text, requests.end_of_turn_request(""))
    replay.received(TurnStarted("t", FORM, 1))
    replay.received(chunk("t", 0, 4800))
    messages = again(replay)
    assert messages == [requests.cancel_request("t", 0), text, requests.end_of_turn_request("")]
    (event,) = replay.went_on()
    assert isinstance(event, TurnCompleted)
    assert (event.turn_id, event.kept_audio_ms) == ("t", 0)
    assert replay.received(TurnTruncated("", 0, "")) is None
    assert replay.received(TurnTruncated("", 0, "")) is not None
    assert replay.received(TurnStarted("new", FORM, 1))
    assert replay.received(chunk("new", 0, 10)) == chunk("new", 0, 10)
    assert replay.received(completed("new"))
    assert again(replay) == []


def test_what_is_kept_has_a_bound() -> None:
    replay = Replay()
    part = next(iter(requests.heard_requests(bytes(1 << 18), FORM)))
    for _ in range(MAX_KEPT_BYTES // part.ByteSize()):
        replay.sent(part)
    with pytest.raises(errors.QueueFull, match="bytes of turns that are not over"):
        replay.sent(part)


def test_a_word_is_told_once_over_two_calls() -> None:
    text = "One more word."

    def told(first_sample: int, *words: str) -> tuple[str, ...]:
        times = tuple(
            WordTime(text.index(word), text.index(word) + len(word), 0, 80, word) for word in words
        )
        event = replay.received(replace(chunk("t", first_sample, 1920), words=times))
        assert isinstance(event, AudioChunk)
        return tuple(word.word for word in event.words)

    replay = Replay()
    sent(replay, requests.text_request(text))
    replay.received(TurnStarted("t", FORM, 1))
    assert told(0, "One", "more") == ("One", "more")
    again(replay)
    replay.went_on()
    assert told(1920, "more", "word") == ("word",)
