"""What the front end of texts does to a call: pauses, caps, warnings, flush, lexicons."""

import asyncio
from pathlib import Path

import grpc
import numpy as np
import pytest

from csm.v1 import common_pb2, speech_pb2
from tests.gateway.calls import Conversation, synthesize, turns_of, violations
from tests.gateway.fakes import EOS, FRAME_SAMPLES, RATE, Stack, samples_of, stack

TextOptions = speech_pb2.TextOptions
MS_SAMPLES = RATE // 1000


def silence_ms(pcm: bytes) -> list[tuple[int, int]]:
    """(frames of speech before it, milliseconds) of each silence."""
    samples = np.frombuffer(pcm, "<i2")
    found, at, frames = [], 0, 0
    while at < len(samples):
        if (samples[at : at + FRAME_SAMPLES] == samples_of(frames)).all():
            at, frames = at + FRAME_SAMPLES, frames + 1
            continue
        end = at
        while end < len(samples) and samples[end] == 0:
            end += 1
        assert end > at, f"neither silence nor frame {frames} at sample {at}"
        found.append((frames, (end - at) // MS_SAMPLES))
        at = end
    return found


async def test_the_model_is_given_the_spoken_form_and_the_conversation_keeps_the_text(
    running: Stack,
) -> None:
    await synthesize(running, "It costs $3.50.", conversation_id="money")
    assert running.generator.streams[0].texts == ["It costs three dollars and fifty cents."]
    assert [turn[2] for turn in await turns_of(running, "money")] == ["It costs $3.50."]
    await synthesize(running, "Yes.", conversation_id="money")
    context = running.generator.streams[1].context
    assert [segment.text for segment in context] == ["It costs three dollars and fifty cents."]


async def test_normalisation_can_be_turned_off(running: Stack) -> None:
    await synthesize(running, "It is 5.", text_options=TextOptions(normalize=False))
    async with stack(normalize_text=False) as plain:
        await synthesize(plain, "It is 5.")
        await synthesize(plain, "It is 5.", text_options=TextOptions(normalize=True))
    assert running.generator.streams[0].texts == ["It is 5."]
    assert [s.texts for s in plain.generator.streams] == [["It is 5."], ["It is five."]]


async def test_a_break_is_silence_of_its_length_between_the_sentences(running: Stack) -> None:
    text = 'Hello there. <break time="300ms"/> How are you?'
    heard = await synthesize(running, text)
    assert running.generator.streams[0].texts == ["Hello there.", "How are you?"]
    ((frames, pause_ms),) = silence_ms(heard.pcm)
    assert (frames, pause_ms) == (3, 300)
    assert heard.completed[0].kept_audio_ms == 6 * 80 + 300
    firsts = [audio.first_sample for audio in heard.audio]
    sizes = [len(audio.audio) // 2 for audio in heard.audio]
    assert firsts == [sum(sizes[:i]) for i in range(len(sizes))]


async def test_pauses_of_lines_are_as_the_call_says(running: Stack) -> None:
    options = TextOptions(newline_pause_ms=160, paragraph_pause_ms=400)
    heard = await synthesize(running, "Red\nBlue\n\nGreen", text_options=options)
    assert [pause for _, pause in silence_ms(heard.pcm)] == [160, 400]


async def test_a_pause_that_was_heard_is_no_frame_of_the_history(running: Stack) -> None:
    async with Conversation(running, conversation_id="pause") as call:
        await call.say("One two three four. [pause 1s] Five six seven.")
        await call.end()
        await call.until("turn_completed")
        await call.cancel(heard_ms=4 * 80 + 1000 + 80)
        cut = await call.until("turn_truncated")
        await call.done()
    assert cut.kept_audio_ms == 4 * 80 + 1000 + 80
    assert cut.kept_text.startswith("One two three four.")
    async with Conversation(running, conversation_id="pause") as call:
        await call.say("And on.")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    frames = [s.frames.num_frames for s in running.generator.streams[-1].context]
    assert sum(frames) == 5


async def test_a_pause_is_cancelled_like_speech(running: Stack) -> None:
    async with Conversation(running, max_lead_ms=160, conversation_id="long") as call:
        await call.say("One. [pause 9s] Two.")
        await call.end()
        await call.until("audio", 4)
        began = asyncio.get_running_loop().time()
        await call.cancel(heard_ms=300)
        completed = await call.until("turn_completed")
        await call.done()
    assert asyncio.get_running_loop().time() - began < 2
    assert completed.kept_audio_ms == 80


async def test_a_sentence_may_be_as_long_as_its_text_and_no_longer(running: Stack) -> None:
    running.generator.frames_per_char = 100
    text = "A short one."
    heard = await synthesize(running, text)
    (completed,) = heard.completed
    (warning,) = completed.warnings
    assert warning.kind == common_pb2.WARNING_KIND_CUT
    assert text[warning.first_char : warning.end_char] == text
    assert len(heard.frames) * 80 < 5000
    words = "word " * 38
    running.generator.frames_per_char = 1
    heard = await synthesize(running, words)
    assert len(heard.frames) == len(words.strip())
    assert not heard.completed[0].warnings


async def test_the_longest_audio_that_a_call_asks_for_is_its_own(running: Stack) -> None:
    running.generator.frames_per_char = 100
    heard = await synthesize(running, "A short one.", max_audio_ms=12_000)
    assert len(heard.frames) == 150


async def test_a_sentence_that_ends_far_too_early_is_named(running: Stack) -> None:
    running.generator.frames_per_char = 0.01
    text = "This sentence takes about five seconds to say in an even voice."
    heard = await synthesize(running, text)
    (warning,) = heard.completed[0].warnings
    assert warning.kind == common_pb2.WARNING_KIND_ENDED_EARLY
    assert (warning.first_char, warning.end_char) == (0, len(text))
    assert heard.completed[0].finish_reason == EOS


@pytest.mark.parametrize("seed", [None, 7])
async def test_a_sentence_that_ends_early_is_said_anew_while_nobody_has_heard_it(
    seed: int | None,
) -> None:
    """The second sentence waits as codes, as the listener does not read. Under a seed that the
    caller chose it stays as it is: the same seed is the same speech."""
    first = "word " * 29 + "end."
    second = "This sentence takes about five seconds to say in an even voice."
    settings = {"max_pcm_bytes": 64 << 10, "initial_credit_frames": 1024}
    async with asyncio.timeout(20), stack(**settings) as slow:
        slow.generator.frames_per_char = 1
        slow.generator.early = {1: 1}
        call = slow.stub.Synthesize(
            speech_pb2.SynthesizeRequest(
                text=f"{first} {second}", sampling=common_pb2.Sampling(seed=seed)
            )
        )
        await call.read()
        while not slow.generator.streams or len(slow.generator.streams[0].texts) < 2:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        heard = []
        while (answer := await call.read()) is not grpc.aio.EOF:
            heard.append(answer)
        (stream,) = slow.generator.streams
    completed = heard[-1].completed
    assert completed.finish_reason == EOS
    if seed is None:
        assert stream.texts == [first, second, second]
        assert [f.HasField("seed") for f in stream.flushes] == [False, False, True]
        assert [s.text for s in stream.context] == [first]
        assert not completed.warnings
        assert completed.kept_audio_ms == 80 * (len(first) + len(second))
    else:
        assert stream.texts == [first, second]
        assert [w.kind for w in completed.warnings] == [common_pb2.WARNING_KIND_ENDED_EARLY]


async def test_what_the_model_cannot_read_is_named(running: Stack) -> None:
    running.generator.characters = "abcdefghijklmnopqrstuvwxyz',.?!-"
    await asyncio.sleep(0.5)
    text = "Hello мир and bye. Привет! Café."
    heard = await synthesize(running, text)
    said = [(text[w.first_char : w.end_char], w.kind) for w in heard.completed[0].warnings]
    unspeakable = common_pb2.WARNING_KIND_UNSPEAKABLE
    assert said == [("мир", unspeakable), ("Привет!", unspeakable)]
    assert running.generator.streams[0].texts == ["Hello мир and bye.", "Café."]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await synthesize(running, "Привет, мир.")
    assert "text" in violations(refused.value)


async def test_a_flush_speaks_what_is_there_and_the_turn_goes_on(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.say("One moment please")
        await asyncio.sleep(0.1)
        assert not call.all("audio")
        await call.send(flush=speech_pb2.ConverseFlush())
        await call.until("audio")
        assert not call.all("turn_completed")
        await call.say(" and now more.")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    assert running.generator.streams[0].texts == ["One moment please", "and now more."]


async def test_a_flush_of_nothing_is_nothing(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.send(flush=speech_pb2.ConverseFlush())
        await call.say("Hello.")
        await call.end()
        assert (await call.until("turn_completed")).finish_reason == EOS
        await call.done()


async def test_a_sentence_that_lacks_only_proof_is_spoken_when_it_is_quiet(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.say("I met Dr. Jones at 5 p.m.")
        await call.until("audio")
        assert not call.all("turn_completed")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    async with stack(text_quiet_ms=0) as patient, Conversation(patient) as call:
        await call.say("I met Dr. Jones at 5 p.m.")
        await asyncio.sleep(0.7)
        assert not call.all("audio")
        await call.end()
        await call.until("turn_completed")
        await call.done()


async def test_words_are_said_as_the_lexicons_say_the_callers_first(tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon.tsv"
    lexicon.write_text("SQL\tsequel\nnginx\tengine ex\n")
    async with stack(lexicon=lexicon) as running:
        text = "SQL behind nginx."
        await synthesize(running, text)
        entry = speech_pb2.LexiconEntry(word="SQL", spelling="squeal")
        await synthesize(running, text, text_options=TextOptions(lexicon=[entry]))
        lexicon.write_text("SQL\tess queue ell, it is\n")
        await synthesize(running, text)
        said = [stream.texts[0].lower() for stream in running.generator.streams]
    assert said[0] == "sequel behind engine ex."
    assert said[1] == "squeal behind engine ex."
    assert said[2].startswith("ess queue ell, it is behind ")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (TextOptions(language="not a language"), "text_options.language"),
        (TextOptions(markup=9), "text_options.markup"),  # type: ignore[arg-type]
        (TextOptions(newline_pause_ms=10_001), "text_options.newline_pause_ms"),
        (TextOptions(paragraph_pause_ms=99_999), "text_options.paragraph_pause_ms"),
        (
            TextOptions(lexicon=[speech_pb2.LexiconEntry(word="", spelling="x")]),
            "text_options.lexicon[0].word",
        ),
        (
            TextOptions(lexicon=[speech_pb2.LexiconEntry(word="x", spelling="y" * 1000)]),
            "text_options.lexicon[0].spelling",
        ),
        (
            TextOptions(lexicon=[speech_pb2.LexiconEntry(word="x", spelling="y")] * 257),
            "text_options.lexicon",
        ),
    ],
)
async def test_options_that_are_wrong_are_named(
    running: Stack, options: TextOptions, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await synthesize(running, "Hello.", text_options=options)
    assert list(violations(refused.value)) == [field]


async def test_prepare_text_shows_what_would_be_spoken(running: Stack) -> None:
    text = 'It costs $3.50. <break time="300ms"/> Привет!'
    running.generator.characters = "abcdefghijklmnopqrstuvwxyz',.?!-"
    await asyncio.sleep(0.5)
    answer = await running.stub.PrepareText(speech_pb2.PrepareTextRequest(text=text))
    assert answer.spoken_form == "It costs three dollars and fifty cents."
    (sentence,) = answer.sentences
    assert sentence.text == "It costs $3.50."
    assert (sentence.first_char, sentence.end_char) == (0, 15)
    assert sentence.positions > 20
    assert 2000 < sentence.expected_ms < 4000
    (warning,) = answer.warnings
    assert text[warning.first_char : warning.end_char] == "Привет!"
    assert answer.expected_ms >= sentence.expected_ms
    assert not running.generator.streams


async def test_prepare_text_refuses_what_synthesize_would(running: Stack) -> None:
    for fields, named in (
        ({"text": ""}, "text"),
        ({"text": "x" * 5000}, "text"),
        ({"text": "x", "text_options": TextOptions(language="?")}, "text_options.language"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await running.stub.PrepareText(speech_pb2.PrepareTextRequest(**fields))
        assert list(violations(refused.value)) == [named]
