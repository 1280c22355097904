"""What the settings allow clients to have in memory, against the container that we ship."""

from pathlib import Path

import pytest
import yaml

from gateway import memory_bounds
from gateway.memory_bounds import ENCODER_BYTES, memory_bytes
from gateway.settings import GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
PROCESS_BYTES = 84 << 20
"""Of a gateway without a client: about 80 MiB on CPython 3.11."""


def settings(**given: object) -> GatewaySettings:
    """As they are by default, with HTTP."""
    return GatewaySettings(**{"http_port": 8080, **given})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def without_recogniser(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the images are."""
    monkeypatch.setattr(memory_bounds, "available", lambda: False)


def test_the_defaults_fit_the_container_that_we_ship() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    limit = compose["services"]["gateway"]["deploy"]["resources"]["limits"]["memory"]
    assert limit == "640m"
    assert sum(memory_bytes(settings()).values()) + PROCESS_BYTES <= 640 << 20


@pytest.mark.parametrize(
    ("setting", "value", "part"),
    [
        ("max_conversations_bytes", 1 << 30, "conversations"),
        ("max_created_voices_bytes", 1 << 30, "voices"),
        ("max_streams", 1000, "audio for clients"),
        ("max_pcm_bytes", 8 << 20, "audio for clients"),
        ("max_heard_audio_ms", 3_600_000, "heard audio"),
        ("max_heard_waiting_bytes", 1 << 30, "heard audio"),
        ("max_context_bytes", 1 << 30, "context"),
        ("max_message_bytes", 64 << 20, "messages"),
        ("max_connections", 10_000, "connections"),
        ("http_max_connections", 10_000, "http"),
        ("http_max_bodies_bytes", 64 << 20, "http"),
    ],
)
def test_each_bound_counts_in_its_part(setting: str, value: int, part: str) -> None:
    usual = memory_bytes(settings())
    larger = memory_bytes(settings(**{setting: value}))
    assert {name for name in usual if larger[name] > usual[name]} == {part}


def test_a_coded_turn_has_its_encoder_beside_its_pcm() -> None:
    narrow = GatewaySettings(max_pcm_bytes=64 << 10)
    streams = narrow.max_streams
    assert memory_bytes(narrow)["audio for clients"] == streams * ((64 << 10) + ENCODER_BYTES)
    assert memory_bytes(GatewaySettings())["audio for clients"] == streams * (2 << 20)


def test_a_gateway_without_http_counts_nothing_for_it() -> None:
    assert memory_bytes(GatewaySettings(http_port=None))["http"] == 0


def test_a_recogniser_counts_where_there_is_one_and_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_bounds, "available", lambda: True)
    assert memory_bytes(settings())["recognition"] > 100 << 20
    assert memory_bytes(settings(check_recordings="length"))["recognition"] == 0
