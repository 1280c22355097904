"""The page as it looks and is reached: voices made, accessible, narrow, below another path."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.gateway.http.playground.conftest import Tab

PREFIX = "/speech/lab"
MAX_AXE_TOLD = 2000


def check_accessible(tab: Tab) -> None:
    found = Axe().run(tab.page)
    assert found.violations_count == 0, found.generate_report()[:MAX_AXE_TOLD]


def test_a_voice_is_made_of_a_file_with_its_report_and_speaks(tab: Tab, speech: Path) -> None:
    assert tab.page.is_disabled("#make")
    tab.page.fill("#voice-name", "walker")
    tab.page.set_input_files("#voice-file", speech)
    tab.page.fill("#voice-words", "The weather is fine today, and we walked along the river.")
    tab.page.click("#make")
    tab.until("document.querySelector('#report h3')")
    assert tab.page.inner_text("#report h3") == "walker speaks from now on"
    meters = tab.page.locator("#report .meter").all_inner_texts()
    names = [one.split("\n")[0] for one in meters]
    assert names == ["length", "loudness", "peak", "over noise"]
    assert "LUFS" in meters[1]
    check_accessible(tab)
    tab.until("csm.talk.voice === 'walker' && csm.talk.conversation.open")
    assert tab.page.input_value("#voice") == "walker"
    turn = tab.say("This is my voice.")
    tab.until(f"{turn}.over")
    assert tab.get(f"{turn}.completed.finish_reason") == "eos"
    assert tab.get(f"{turn}.numSamples") > 8000
    tab.page.click("button[aria-label='Forget the voice walker']")
    tab.until("![...document.querySelector('#voice').options].some((o) => o.value === 'walker')")
    tab.until("csm.talk.voice !== 'walker' && csm.talk.conversation.open")


def test_a_voice_is_recorded_and_a_bad_one_is_refused_in_words(tab: Tab) -> None:
    tab.page.click("#record")
    tab.until("document.querySelector('#take').innerText >= '1.0 s'")
    tab.page.click("#record")
    assert tab.page.inner_text("#take").startswith("A recording of ")
    # Chromium's own microphone beeps: 16 bits, one channel, with sound in it.
    size = tab.get("csm.maker.take.size")
    assert size > 44 + 2 * 24_000 * 0.8
    assert tab.get("csm.maker.blocks.some((block) => block.some((one) => Math.abs(one) > 0.05))")
    tab.page.fill("#voice-name", "no name")
    with tab.page.expect_response("**/v1/audio/voices") as caught:
        tab.page.click("#make")
    assert caught.value.status == 400
    tab.until("document.querySelector('#report .warnings li')")
    assert "is no name for a voice" in tab.page.inner_text("#report")
    # The browser itself tells of the status; the page has told why.
    assert len(tab.problems) == 1
    assert "400" in tab.problems.pop()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_is_accessible_and_fits(browser: Browser, url: str, theme: str, width: int) -> None:
    size = {"width": width, "height": 800}
    scheme = "dark" if theme == "dark" else "light"
    # A colour on its way from one to another has any contrast.
    with browser.new_context(  # type: ignore[arg-type]
        viewport=size, color_scheme=scheme, reduced_motion="reduce"
    ) as context:
        tab = Tab(context.new_page()).open(url)
        assert tab.get("document.documentElement.dataset.theme") == theme
        check_accessible(tab)
        turn = tab.say(
            "A Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen, please, for 3 €."
        )
        tab.until_heard(turn, 700)
        tab.page.press("#text", "Escape")
        tab.until(f"{turn}.over")
        tab.page.fill("#text", "It is 東京, x" + "y" * 80)
        tab.until("document.querySelector('#spoken .warnings li')")
        check_accessible(tab)
        assert tab.get("document.documentElement.scrollWidth") == width
        beyond = tab.get("""[...document.querySelectorAll("main *:not(.hidden)")]
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .map((one) => one.outerHTML.slice(0, 80))""")
        assert beyond == []
        tab.page.click("#theme")
        other = "light" if theme == "dark" else "dark"
        assert tab.get("document.documentElement.dataset.theme") == other
        tab.page.reload()
        assert tab.get("document.documentElement.dataset.theme") == other
        assert tab.problems == []


def test_the_keyboard_reaches_everything_in_order(tab: Tab) -> None:
    seen = []
    for _ in range(11):
        tab.page.keyboard.press("Tab")
        seen.append(tab.get("document.activeElement.id || document.activeElement.className"))
        # The text shows it by the border of its panel.
        outline = tab.get("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or seen[-1] == "text", seen
    wanted = ["skip", "theme", "text", "voice", "microphone", "speak", "anew", "voice-name"]
    assert [one for one in seen if one in wanted] == wanted


def test_words_are_struck_through_from_where_they_were_not_heard(tab: Tab) -> None:
    """A turn's own arithmetic: two sentences, the second one cut in its middle."""
    found = tab.get("""async () => {
        const { Turn } = await import("./playground/turn.js");
        const turn = new Turn("spoken", "One two three. Four five six seven.", "");
        for (const chars of [14, 14, 35, 35]) turn.add(new Float32Array(24000).fill(0.1), chars);
        turn.completed = { finish_reason: "eos" };
        return [0, 1000, 2000, 3000, 4000].map((ms) => turn.text.slice(0, turn.charsUntil(ms)));
    }""")
    assert found[0] == ""
    assert found[1] in ("One", "One two")
    assert found[2:] == [
        "One two three.",
        "One two three. Four five",
        "One two three. Four five six seven.",
    ]


def test_codes_are_drawn_where_their_sound_is(tab: Tab) -> None:
    """Two frames, a pause without any, two frames whose beginning was trimmed away."""
    runs = tab.get("""async () => {
        const { Turn } = await import("./playground/turn.js");
        const turn = new Turn("spoken", "One. Two.", "");
        const frame = Array(csm.talk.codec.num_codebooks).fill(1);
        const chunks = [[1920, 1], [1920, 1], [4800, 0], [2400, 2]];
        for (const [samples, count] of chunks) {
            turn.add(new Float32Array(samples).fill(0.1), 4, Array(count).fill(frame));
        }
        csm.stage.show(turn);
        return turn.runs;
    }""")
    assert runs == [
        {"frame": 0, "count": 2, "first": 0, "samples": 3840},
        {"frame": 2, "count": 2, "first": 8640, "samples": 2400},
    ]
    tab.until("csm.stage.mapFrames === 4")
    width = tab.get("document.querySelector('#codes').clientWidth")
    found = [
        tab.get(f"csm.stage.at({sample / 1920 / 50 * width}, 5)?.frame ?? null")
        for sample in (100, 2000, 5000, 8700, 10_900, 12_000)
    ]
    assert found == [0, 1, None, 2, 3, None]


class PrefixProxy:
    """Serves what is at `port` below a path, as a proxy that takes the path away."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        self._done = asyncio.Event()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._done.wait()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self._target)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(1 << 16):
                    if source is reader:
                        # What is asked for elsewhere is not there.
                        method, _, rest = data.partition(b" ")
                        if method in (b"GET", b"POST", b"DELETE"):
                            inside = rest.startswith(f"{PREFIX}/".encode())
                            rest = rest[len(PREFIX) :] if inside else b"/outside" + rest
                            data = method + b" " + rest
                    target.write(data)
                    await target.drain()
            target.close()

        await asyncio.gather(pass_on(reader, outer), pass_on(inner, writer))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)


@pytest.fixture
def below(url: str) -> Iterator[str]:
    proxy = PrefixProxy(int(url.rstrip("/").rpartition(":")[2]))
    yield f"http://127.0.0.1:{proxy.port}{PREFIX}/"
    proxy.close()


def test_it_works_below_another_path(browser: Browser, below: str) -> None:
    with browser.new_context() as context:
        tab = Tab(context.new_page()).open(below)
        turn = tab.say("Good morning.")
        tab.until(f"{turn}.over && {turn}.numSamples > 8000")
        tab.page.fill("#text", "3 €")
        tab.until("document.querySelector('#spoken').innerText.includes('three euros')")
        assert tab.problems == []
        context.close()
