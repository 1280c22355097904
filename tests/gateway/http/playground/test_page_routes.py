"""The files of the page: their types, their tags, what they may do, and that they can be off."""

import re

import httpx
import pytest

from gateway.http.page import DIRECTORY, TYPES
from tests.gateway.fakes import Stack, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_LINES = 300


async def test_the_page_comes_with_a_strict_policy(served: Stack, http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_each_file_has_its_type_and_is_sent_once(
    served: Stack, http: httpx.AsyncClient
) -> None:
    names = sorted(path.name for path in DIRECTORY.iterdir())
    assert {"index.html", "app.js", "style.css", "icon.svg"} < set(names)
    for name in names:
        answer = await http.get(f"/playground/{name}")
        assert answer.headers["content-type"] == TYPES[f".{name.rpartition('.')[2]}"], name
        assert answer.content == (DIRECTORY / name).read_bytes()
        for tag in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}'):
            again = await http.get(f"/playground/{name}", headers={"if-none-match": tag})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == answer.headers["etag"]
    changed = await http.get("/", headers={"if-none-match": '"other"'})
    assert changed.status_code == 200


@pytest.mark.parametrize("path", ["nothing.js", "..%2Fpage.py", "%2e%2e", "sub/app.js"])
async def test_nothing_else_is_served(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(f"/playground/{path}")).status_code == 404


@pytest.mark.asyncio(loop_scope="function")
async def test_the_page_can_be_off() -> None:
    off = stack(http_port=0, playground=False)
    async with off as one, httpx.AsyncClient(base_url=one.http) as http:
        assert (await http.get("/")).status_code == 404
        assert (await http.get("/playground/app.js")).status_code == 404
        assert (await http.get("/v1/models")).status_code == 200


async def test_files_are_short_and_name_nothing_outside() -> None:
    for path in DIRECTORY.iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MAX_LINES, path.name
        # Addresses from the root would not work below another path; others are not ours.
        outside = re.findall(r"""["'(](?:https?:)?/[\w/][^"')]*""", text)
        assert [one for one in outside if "www.w3.org" not in one] == [], path.name
