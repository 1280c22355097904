"""CHANGELOG.md keeps its form, and says which formats there are."""

import re
from pathlib import Path

from gateway.conversations.redis import records, scripts
from gateway.voices.created import record
from tests.deploy.facts import VERSION

TEXT = (Path(__file__).resolve().parents[1] / "CHANGELOG.md").read_text()
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Formats")


def sections() -> list[str]:
    return re.findall(r"^## (.*)$", TEXT, re.MULTILINE)


def test_it_begins_with_what_is_not_released_and_goes_back_in_time() -> None:
    first, *released = sections()
    assert first == "Unreleased"
    found = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d\d-\d\d", each) for each in released]
    assert all(found)
    numbers = [tuple(map(int, each.groups())) for each in found if each]
    assert numbers == sorted(numbers, reverse=True)


def test_the_version_of_the_code_is_one_that_it_tells_of() -> None:
    assert VERSION in TEXT


def test_changes_are_of_the_known_kinds() -> None:
    assert set(re.findall(r"^### (.*)$", TEXT, re.MULTILINE)) <= set(KINDS)


def test_the_formats_are_those_of_the_code() -> None:
    (said,) = re.findall(r"^### Formats\n\n- (.*)$", TEXT, re.MULTILINE)[:1]
    kinds = " and ".join(str(each[0]) for each in (records._PLAIN, records._SHAPED))
    assert f"Conversations in a store: format {scripts.FORMAT} (records {kinds})" in said
    assert f"Created voices: format {record.FORMAT}" in said
