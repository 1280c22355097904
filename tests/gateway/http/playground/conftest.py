"""The page in the system's Chromium, before the voice that ships."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from services.all_in_one import AllInOne
from tests.system.conftest import BackgroundStack

PICO = Path(__file__).resolve().parents[4] / "models" / "pico"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
VOICE = "heart"


class Tab:
    """A page and what went wrong in it. The policy of the page lets playwright evaluate, and not
    wait for functions, which it would do by `eval`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def get(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def until(self, expression: str, timeout_s: float = 20.0) -> Any:
        """The expression's value as soon as it is true."""
        ends = time.monotonic() + timeout_s
        while not (value := self.get(expression)):
            assert time.monotonic() < ends, f"never true: {expression}; {self.problems}"
            time.sleep(0.02)
        return value

    def open(self, url: str) -> "Tab":
        self.page.goto(url)
        self.until("document.querySelector('#status').dataset.state === 'ready'")
        self.page.select_option("#voice", VOICE)
        self.until(f"csm.talk.voice === '{VOICE}'")
        return self

    def say(self, text: str) -> str:
        """Speaks by Enter; gives an expression that is the turn."""
        number = self.get("csm.talk.turns.length")
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        assert self.get("csm.talk.turns.length") == number + 1
        return f"csm.talk.turns[{number}]"

    def until_heard(self, turn: str, ms: int) -> None:
        """Returns when so much of the turn has been played."""
        now = "csm.talk.player.now()"
        self.until(f"{now}?.turn === {turn} && {now}.ms > {ms}")


@pytest.fixture(scope="session")
def page_stack() -> Iterator[AllInOne]:
    background = BackgroundStack(model=PICO, slots=4, threads=1, gateway={"http_port": 0})
    yield background.stack
    background.close()


@pytest.fixture(scope="session")
def url(page_stack: AllInOne) -> str:
    door = page_stack.gateway._door
    assert door is not None
    return f"http://127.0.0.1:{door.port}/"  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def speech(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of a few seconds, as a file."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    body = {
        "input": "The weather is fine today, and we walked along the river.",
        "voice": "michael",
        "response_format": "wav",
        "csm": {"seed": 3},
    }
    answer = httpx.post(f"{url}v1/audio/speech", json=body, timeout=60)
    answer.raise_for_status()
    path.write_bytes(answer.content)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: while playwright is there, its loop runs in this thread, and no test of
    asyncio can."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture
def tab(context: BrowserContext, url: str) -> Iterator[Tab]:
    """The page, ready to speak; whatever a browser complains of fails the test."""
    tab = Tab(context.new_page()).open(url)
    yield tab
    assert tab.problems == []
