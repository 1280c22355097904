"""Word times on the wire, in both calls and in Opus."""

from csm.v1 import common_pb2, speech_pb2
from gateway.marks.words import words_of
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits
from gateway.text.options import TextRules
from gateway.text.voicing import Voicing
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.fakes import Stack

TEXT = "It is 2026. And it costs $5."
WORDS = ["It", "is", "2026", "And", "it", "costs", "$5"]


def told(audio: list[speech_pb2.SpeechAudio]) -> list[speech_pb2.WordTime]:
    return [word for chunk in audio for word in chunk.words]


def check(words: list[speech_pb2.WordTime], text: str, length_ms: float) -> None:
    assert [text[word.first_char : word.end_char] for word in words] == WORDS
    assert [word.word for word in words] == WORDS
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(word.start_ms <= word.end_ms for word in words)
    assert starts[-1] < length_ms


async def test_synthesize_says_when_words_are_spoken(running: Stack) -> None:
    heard = await synthesize(running, TEXT, word_times=True)
    check(told(heard.audio), TEXT, len(heard.pcm) / 48)
    for chunk in heard.audio:
        start_ms, length_ms = chunk.first_sample / 24, len(chunk.audio) / 48
        assert all(0 <= word.start_ms - start_ms + 1 <= length_ms + 1 for word in chunk.words)


async def test_words_are_told_only_where_they_were_asked_for(running: Stack) -> None:
    assert not told((await synthesize(running, TEXT)).audio)


async def test_converse_says_when_words_are_spoken(running: Stack) -> None:
    async with Conversation(running, word_times=True) as call:
        await call.say(TEXT)
        await call.end()
        await call.until("turn_completed")
        await call.done()
        audio = call.all("audio")
    check(told(audio), TEXT, sum(len(chunk.audio) for chunk in audio) / 48)


async def test_no_word_is_lost_where_a_chunk_of_opus_has_no_page(running: Stack) -> None:
    form = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_OGG_OPUS)
    heard = await synthesize(running, TEXT, word_times=True, format=form)
    assert [word.word for word in told(heard.audio)] == WORDS


async def test_a_barge_in_keeps_the_words_that_were_heard(running: Stack) -> None:
    running.generator.frames_per_char = 1
    text = "It is 2026 and all is well with the world."
    (sentence,) = FrontEnd(TextRules(), Voicing.alone(Lexicon({}), Limits(200))).whole(text)
    # The fake is equally loud from its first sample to its last.
    words = words_of(sentence)
    word_ms = len(sentence.text) * 80 / sum(word.expected_ms for word in words)
    before_ms = sum(word.expected_ms for word in words[:2]) * word_ms
    year_ms = words[2].expected_ms * word_ms
    async with Conversation(running, conversation_id="c") as call:
        await call.say(text)
        await call.end()
        completed = await call.until("turn_completed")
        await call.cancel(completed.turn_id, round(before_ms + year_ms * 0.8))
        cut = await call.until("turn_truncated")
        await call.cancel(completed.turn_id, round(before_ms + year_ms * 0.3))
        again = await call.until("turn_truncated", 2)
        await call.done()
    assert cut.kept_text == "It is 2026"
    assert again.kept_text == "It is"
    assert [turn[2] for turn in await turns_of(running, "c")] == ["It is"]
