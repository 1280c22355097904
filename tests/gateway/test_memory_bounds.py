"""What the settings allow clients to have in memory, against the container that we ship."""

from pathlib import Path

import pytest
import yaml

from csm.audio.opus import ENCODER_BYTES
from gateway.memory_bounds import memory_bytes
from gateway.settings import GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
PROCESS_BYTES = 72 << 20
"""Of a gateway without a client: about 63 MiB on CPython 3.11."""


def test_the_defaults_fit_the_container_that_we_ship() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    limit = compose["services"]["gateway"]["deploy"]["resources"]["limits"]["memory"]
    assert limit in ("512M", "512m", "512Mi")
    assert sum(memory_bytes(GatewaySettings()).values()) + PROCESS_BYTES <= 512 << 20


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
    ],
)
def test_each_bound_counts_in_its_part(setting: str, value: int, part: str) -> None:
    usual = memory_bytes(GatewaySettings())
    larger = memory_bytes(GatewaySettings(**{setting: value}))
    assert {name for name in usual if larger[name] > usual[name]} == {part}


def test_a_turn_in_opus_has_its_encoder_beside_its_pcm() -> None:
    narrow = GatewaySettings(max_pcm_bytes=64 << 10)
    streams = narrow.max_streams
    assert memory_bytes(narrow)["audio for clients"] == streams * ((64 << 10) + ENCODER_BYTES)
    assert memory_bytes(GatewaySettings())["audio for clients"] == streams * (2 << 20)
