"""The page before a gateway that asks for tokens."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from csm.serving.auth.identity import Scope
from tests.csm.serving.auth.cases import Tokens
from tests.gateway.http.playground.conftest import PICO, Tab
from tests.gateway.http.playground.test_page import check_accessible
from tests.system.conftest import BackgroundStack


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(tmp_path_factory.mktemp("tokens") / "tokens")


@pytest.fixture(scope="module")
def token(tokens: Tokens) -> str:
    return tokens.of([Scope.SPEAK, Scope.CONVERSE])


@pytest.fixture(scope="module")
def guarded_url(tokens: Tokens, token: str) -> Iterator[str]:
    gateway = {"http_port": 0, "auth_tokens_file": tokens.path}
    background = BackgroundStack(model=PICO, slots=1, threads=1, gateway=gateway)
    door = background.stack.gateway._door
    assert door is not None
    yield f"http://127.0.0.1:{door.port}/"  # type: ignore[attr-defined]
    background.close()


@pytest.mark.parametrize("width", [1280, 360])
def test_it_asks_for_a_token_and_keeps_it_for_the_tab(
    context: BrowserContext, guarded_url: str, token: str, width: int
) -> None:
    tab = Tab(context.new_page())
    # A colour on its way from one to another has any contrast.
    tab.page.emulate_media(reduced_motion="reduce")
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.page.goto(guarded_url)
    tab.until("!document.querySelector('#token').hidden")
    tab.until("document.querySelector('#status').textContent === 'needs a token'")
    check_accessible(tab)
    assert tab.get("document.documentElement.scrollWidth <= innerWidth")
    tab.page.fill("#token-value", "csm_wrong")
    tab.page.press("#token-value", "Enter")
    tab.until(
        "!document.querySelector('#token').hidden && !document.querySelector('#token-value').value"
    )
    # What browsers tell of each 401, and nothing else.
    assert {"401" in problem for problem in tab.problems} == {True}
    tab.problems.clear()
    tab.page.fill("#token-value", token)
    tab.page.press("#token-value", "Enter")
    tab.until("document.querySelector('#status').dataset.state === 'ready'")
    assert tab.page.is_hidden("#token")
    turn = tab.say("Good morning.")
    tab.until(f"{turn}.over")
    assert tab.get(f"{turn}.completed.finish_reason") == "eos"
    tab.page.reload()
    tab.until("document.querySelector('#status').dataset.state === 'ready'")
    assert tab.problems == []
    # Another tab is another listener.
    other = Tab(context.new_page())
    other.page.goto(guarded_url)
    other.until("!document.querySelector('#token').hidden")


def test_without_identity_nobody_is_asked(tab: Tab) -> None:
    assert tab.page.is_hidden("#token")
