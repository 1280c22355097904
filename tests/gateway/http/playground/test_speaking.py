"""Speaking, hearing and interrupting, as the page does it in a browser."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser

from csm.client import Client
from services.all_in_one import AllInOne
from tests.gateway.http.playground.conftest import CHROMIUM, FLAGS, VOICE, Tab

FIRST_SOUND_MS = 150
LONG = (
    "I can read you the whole timetable, if you like: the first one goes at six, "
    "the next one at seven, and then one goes every hour until the evening."
)
LOUDNESS = """() => {
  const meter = csm.talk.player.meter;
  const samples = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(samples);
  return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
}"""


def test_a_text_is_heard_while_it_is_made(tab: Tab) -> None:
    tab.page.evaluate("""() => {
        window.seen = [];
        const { talk } = csm;
        const { sound } = talk;
        talk.sound = function (about, pcm) {
            sound.call(this, about, pcm);
            const turn = talk.turns.at(-1);
            window.seen.push([turn.codes.length, turn.numSamples]);
        };
    }""")
    turn = tab.say("Good morning. The train to the coast leaves at half past nine.")
    loudest = 0.0
    while tab.get("csm.talk.speaking"):
        if tab.get("csm.talk.player.meter !== undefined"):
            loudest = max(loudest, tab.get(LOUDNESS))
    assert loudest > 0.02
    assert tab.get("csm.talk.player.silence") < 0.5
    # The code map has grown with the sound, a column for each 80 ms of it.
    seen = tab.get("window.seen")
    assert len(seen) > 10
    assert all(frames == samples / 1920 for frames, samples in seen[:8])
    assert tab.get(f"{turn}.codes.every((f) => f.length === csm.talk.codec.num_codebooks)")
    assert tab.get(f"csm.stage.turn === {turn}")
    assert tab.get("csm.stage.mapFrames") == seen[-1][0]
    # What is drawn is not one colour.
    colours = tab.get("""() => {
        const { map } = csm.stage;
        const { data } = map.getContext("2d").getImageData(0, 0, csm.stage.mapFrames, map.height);
        return new Set(new Uint32Array(data.buffer)).size;
    }""")
    assert colours > 30
    label = tab.page.get_attribute("#codes", "aria-label") or ""
    assert (
        label
        == f"Code map: {seen[-1][0]} frames of {tab.get('csm.talk.codec.num_codebooks')} codes"
    )


@pytest.mark.alone
def test_the_first_sound_comes_soon_and_the_strip_says_where_the_time_went(tab: Tab) -> None:
    times = []
    for _ in range(5):
        turn = tab.say("Good morning.")
        tab.until(f"{turn}.over && !csm.talk.speaking")
        times.append(tab.get(f"{turn}.sounded - {turn}.asked"))
    assert min(times) < FIRST_SOUND_MS, times
    told = tab.page.inner_text("#first-sound")
    assert abs(float(told.removesuffix("ms")) - times[-1]) < 1
    stages = tab.page.locator("#stages li").all_inner_texts()
    names = [re.sub(r"[\d.\s]+$", "", one) for one in stages]
    assert names == ["queue", "prefill", "first frame", "decode", "network", "playout"]
    parts = [float(one.split()[-1]) for one in stages]
    assert abs(sum(parts) - times[-1]) < 5
    factor = float(tab.page.inner_text("#factor").rstrip("\N{MULTIPLICATION SIGN}"))
    assert 0 < factor < 1


@pytest.mark.alone
def test_interrupting_by_button_space_and_escape(tab: Tab, page_stack: AllInOne) -> None:
    ways = (
        lambda: tab.page.click("#speak"),
        lambda: tab.page.press("#text", " "),
        lambda: tab.page.press("#text", "Escape"),
    )
    for number, interrupt in enumerate(ways):
        turn = tab.say(LONG)
        tab.until_heard(turn, 1500)
        assert tab.page.inner_text("#speak") == "Interrupt"
        interrupt()
        heard_ms = tab.get(f"{turn}.keptMs")
        assert 1500 < heard_ms < 4000
        assert not tab.get("csm.talk.player.playing")
        tab.until(f"{turn}.over")
        bubble = tab.page.locator(".bubble").nth(number)
        lost = (bubble.locator("del").text_content() or "").removeprefix("not heard: ")
        kept = bubble.locator("p").inner_text()
        assert LONG.endswith(lost)
        assert kept.startswith("I can read")
        assert 20 < len(lost) < len(LONG) - 5
        assert "interrupted" in bubble.inner_text()
        tab.until("document.querySelector('#speak').innerText === 'Speak'")
    assert tab.page.input_value("#text") == ""
    # The server's conversation keeps what was heard, and no more.
    with Client(page_stack.address) as client:
        conversation = client.get_conversation(tab.get("csm.talk.conversation.id"))
    kept_ms = [t.audio_ms for t in conversation.turns]
    assert len(kept_ms) == 3
    for number, ms in enumerate(kept_ms):
        heard_ms = tab.get(f"csm.talk.turns[{number}].keptMs")
        assert abs(ms - heard_ms) <= 160


def test_a_space_is_a_space_while_one_writes(tab: Tab) -> None:
    turn = tab.say(LONG)
    tab.until_heard(turn, 200)
    tab.page.fill("#text", "Wait")
    tab.page.press("#text", "End")
    tab.page.press("#text", " ")
    assert tab.page.input_value("#text") == "Wait "
    assert tab.get(f"{turn}.keptMs") is None
    tab.page.press("#text", "Escape")
    assert tab.get(f"{turn}.keptMs") > 0


def test_who_interrupts_while_the_next_sound_is_late_has_heard_what_came(tab: Tab) -> None:
    turn = tab.say(f"{LONG} {LONG} {LONG}")
    tab.until_heard(turn, 200)
    # As where all that came has been played, and the turn goes on.
    tab.get(
        "(player => { const stop = player.stop.bind(player);"
        " player.stop = () => ({ ...stop(), ended: true }); })(csm.talk.player)"
    )
    assert not tab.get(f"{turn}.over")
    tab.page.press("#text", "Escape")
    assert tab.get(f"{turn}.keptMs") > 200
    tab.until(f"{turn}.over")
    assert tab.get(f"{turn}.completed.finish_reason") == "cancelled"
    assert tab.get(f"{turn}.completed.kept_audio_ms") > 0


@pytest.mark.alone
def test_interrupting_by_speaking(browser: Browser, url: str, speech: Path, tmp_path: Path) -> None:
    """Chromium's microphone is a file: four seconds of nothing, then speech."""
    samples, rate_hz = soundfile.read(speech)
    heard = tmp_path / "microphone.wav"
    quiet = np.random.default_rng(1).normal(0, 0.001, 4 * rate_hz)
    soundfile.write(heard, np.concatenate([quiet, samples, quiet]), rate_hz, subtype="PCM_16")
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={heard}%noloop"]
    own = browser.browser_type.launch(executable_path=CHROMIUM, args=flags)
    try:
        tab = Tab(own.new_page()).open(url)
        tab.page.click("#microphone")
        tab.until("document.querySelector('#microphone').ariaPressed === 'true'")
        turn = tab.say(f"{LONG} {LONG}")
        tab.until(f"{turn}.keptMs > 500")
        assert not tab.get("csm.talk.player.playing")
        tab.until("csm.talk.turns[1]?.over")
        assert tab.get("csm.talk.turns[1].side") == "heard"
        assert tab.get("csm.talk.turns[1].completed.heard")
        length_ms = tab.get("csm.talk.turns[1].milliseconds")
        assert 0.6 < length_ms / (len(samples) / rate_hz * 1000) < 1.8
        assert tab.get("csm.talk.turns[1].peaks.reduce((a, b) => Math.max(a, b))") > 0.05
        sides = tab.get("[...document.querySelectorAll('.bubble')].map((b) => b.dataset.side)")
        assert sides == ["spoken", "heard"]
        tab.page.click("#microphone")
        assert tab.page.get_attribute("#microphone", "aria-pressed") == "false"
        assert tab.problems == []
    finally:
        own.close()


def test_a_turn_is_played_again_and_kept_as_a_file(tab: Tab) -> None:
    turn = tab.say("Good morning, everybody.")
    tab.until(f"{turn}.over && !csm.talk.speaking")
    with tab.page.expect_download() as caught:
        tab.page.click(".bubble button[aria-label^='Download']")
    samples, rate_hz = soundfile.read(io.BytesIO(Path(caught.value.path()).read_bytes()))
    assert rate_hz == 24_000
    assert len(samples) == tab.get(f"{turn}.numSamples")
    assert np.abs(samples).max() > 0.05
    tab.page.click(".bubble button[aria-label^='Play again']")
    tab.until("csm.talk.player.playing")
    tab.page.click(".bubble button[aria-label^='Stop']")
    assert not tab.get("csm.talk.player.playing")
    assert tab.get(f"{turn}.keptMs") is None  # a replay that is stopped is no barge-in


def test_a_conversation_goes_on_and_begins_anew(tab: Tab) -> None:
    tab.until(f"{tab.say('One.')}.over")
    tab.until(f"{tab.say('Two.')}.over")
    first = tab.get("csm.talk.conversation.id")
    # Lost in between: the page goes on with it.
    tab.get("csm.talk.conversation.socket.close()")
    tab.until("!csm.talk.conversation.open")
    turn = tab.say("Three.")
    tab.until(f"{turn}.over && {turn}.numSamples > 0")
    assert tab.get("csm.talk.conversation.id") == first
    tab.page.click("#anew")
    tab.until(f"csm.talk.conversation.id !== '{first}' && csm.talk.conversation.open")
    assert tab.page.locator(".bubble").count() == 0
    assert tab.page.is_visible("#empty")


def test_a_turn_that_fails_says_why_and_what_was_not_said_is_struck_through(tab: Tab) -> None:
    lost = tab.say(LONG)
    tab.until(f"{lost}.numSamples > 0")
    tab.get("csm.talk.conversation.socket.close()")
    tab.until(f"{lost}.over")
    bubble = tab.page.locator(".bubble").first
    tab.until("document.querySelector('.bubble del') !== null")
    assert "the connection was lost" in bubble.inner_text()
    struck = bubble.locator("del").inner_text()
    assert LONG.endswith(struck.removeprefix("not heard:").strip()), struck
    # In the midst of it the server says so; what had come is played on.
    tab.until("csm.talk.conversation.open")
    turn = tab.say(LONG)
    tab.until(f"{turn}.numSamples > 24000")
    tab.get("""csm.talk.complete({
        turn_id: csm.talk.turns[1].id, finish_reason: "error", heard: false, warnings: [],
        usage: {}, timing: null, kept_audio_ms: csm.talk.turns[1].milliseconds,
        error: {message: "the generator cannot be reached"},
    })""")
    bubble = tab.page.locator(".bubble").nth(1)
    assert "the generator cannot be reached" in bubble.inner_text()
    said = tab.get(f"{turn}.keptChars")
    assert 0 < said < len(LONG)
    assert tab.get(f"{turn}.keptMs") is None
    assert tab.get("csm.talk.speaking")


def test_another_voice_takes_over_in_the_middle_of_a_turn(tab: Tab) -> None:
    first = tab.say(LONG)
    tab.until_heard(first, 600)
    conversation = tab.get("csm.talk.conversation.id")
    tab.page.select_option("#voice", "michael")
    tab.until("csm.talk.voice === 'michael' && csm.talk.conversation.open && !csm.talk.speaking")
    assert tab.get(f"{first}.keptMs") > 600
    turn = tab.say("I go on.")
    tab.until(f"{turn}.over && {turn}.numSamples > 0")
    assert tab.get("csm.talk.conversation.id") == conversation
    assert "michael" in tab.page.locator(".bubble").nth(1).inner_text()


def test_the_spoken_form_and_the_warnings_are_shown(tab: Tab) -> None:
    tab.page.fill("#text", "Dr. Smith paid $3.50.")
    tab.until("document.querySelector('#spoken').innerText.includes('three dollars')")
    assert "Spoken as" in tab.page.inner_text("#spoken")
    tab.page.fill("#text", "Guten Tag, Øystein, 東京.")
    tab.until("document.querySelector('#spoken .warnings li')")
    assert "東京" in tab.page.inner_text("#spoken .warnings")
    tab.page.fill("#text", "")
    tab.until("document.querySelector('#spoken').innerText === ''")
    assert tab.page.input_value("#voice") == VOICE
