"""The metrics: documented, fresh, and right by promtool's rules."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from csm.serving.metrics import GatewayMetrics, GeneratorMetrics, Metrics, TokenizerMetrics

ROOT = Path(__file__).resolve().parents[4]


def everything() -> bytes:
    metrics = Metrics().with_process()
    for group in (GatewayMetrics, GeneratorMetrics, TokenizerMetrics):
        group(metrics.registry)
    return generate_latest(metrics.registry)


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs Debian's prometheus package")
def test_promtool_accepts_every_metric() -> None:
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=everything(), capture_output=True
    )
    assert result.returncode == 0, result.stderr.decode()


def test_the_metrics_page_is_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("page", ROOT / "docs" / "metrics.py")
    assert spec
    assert spec.loader
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert (ROOT / "docs" / "metrics.md").read_text() == page.document(), "run `make docs`"


def test_rates_start_from_zero_for_every_known_label() -> None:
    text = everything().decode()
    for line in (
        'csm_gateway_requests_total{outcome="completed",rpc="Synthesize"} 0.0',
        'csm_generator_generations_finished_total{reason="eos"} 0.0',
        'csm_tokenizer_rejected_total{reason="streams_full"} 0.0',
    ):
        assert line in text


def test_no_series_says_when_a_metric_was_made() -> None:
    assert "_created" not in everything().decode()
