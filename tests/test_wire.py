"""The wire only grows: whoever speaks that of the last release understands this one."""

import copy
from collections.abc import Callable

import pytest

from tests import wire
from tests.deploy.facts import VERSION


def test_nothing_of_the_last_release_is_gone_or_means_another_thing() -> None:
    _, before = wire.kept()
    assert not wire.broken(before, wire.described())


def test_what_is_kept_is_of_this_version() -> None:
    """With a new version `python -m tests.wire` keeps its wire."""
    assert wire.kept()[0] == VERSION


def test_all_that_there_is_is_looked_at() -> None:
    now = wire.described()
    assert "Converse" in now["services"]["csm.v1.SpeechService"]
    assert now["messages"]["csm.v1.GetServerInfoResponse"]["1"] == "version: string"
    assert now["messages"]["csm.v1.TextOptions"]["1"] == "normalize: optional bool"
    assert now["messages"]["csm.v1.ContextTurn"]["4"].endswith(" of oneof sound")
    assert sum(map(len, now["messages"].values())) > 200
    assert all(now["enums"].values())


Change = Callable[[wire.Wire], object]
TURN = "csm.v1.ContextTurn"
BREAKING: dict[str, Change] = {
    "a field is renumbered": lambda w: w["messages"][TURN].update(
        {"9": w["messages"][TURN].pop("1")}
    ),
    "a number is used again": lambda w: w["messages"][TURN].update({"1": "place: uint32"}),
    "a field is renamed": lambda w: w["messages"][TURN].update({"2": "words: string"}),
    "a field has another type": lambda w: w["messages"][TURN].update({"2": "text: bytes"}),
    "a field is repeated": lambda w: w["messages"][TURN].update({"2": "text: repeated string"}),
    "a field joins a oneof": lambda w: w["messages"][TURN].update(
        {"2": "text: string of oneof sound"}
    ),
    "a field is gone": lambda w: w["messages"][TURN].pop("2"),
    "a message is gone": lambda w: w["messages"].pop(TURN),
    "a value is renumbered": lambda w: w["enums"]["csm.v1.FinishReason"].update({"1": "OTHER"}),
    "a value is gone": lambda w: w["enums"]["csm.v1.FinishReason"].pop("1"),
    "a method streams no more": lambda w: w["services"]["csm.v1.SpeechService"].update(
        {"Converse": "csm.v1.ConverseRequest -> csm.v1.ConverseResponse"}
    ),
    "a method is gone": lambda w: w["services"]["csm.v1.SpeechService"].pop("Converse"),
    "a service is gone": lambda w: w["services"].pop("csm.v1.SpeechService"),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_is_found(change: Change) -> None:
    now = wire.described()
    changed = copy.deepcopy(now)
    change(changed)
    assert changed != now
    assert len(wire.broken(now, changed)) == 1


def test_growth_breaks_nothing() -> None:
    now = wire.described()
    grown = copy.deepcopy(now)
    grown["messages"][TURN]["99"] = "more: string"
    grown["messages"]["csm.v1.New"] = {"1": "name: string"}
    grown["enums"]["csm.v1.FinishReason"]["99"] = "FINISH_REASON_NEW"
    grown["services"]["csm.v1.SpeechService"]["New"] = "csm.v1.NewRequest -> csm.v1.NewResponse"
    assert not wire.broken(now, grown)
    assert wire.broken(grown, now)
