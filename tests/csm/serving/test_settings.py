"""Settings: flags, environment, defaults; and what is wrong is named."""

import json
import re
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from csm.serving import environment, settings
from gateway.settings import GatewaySettings
from services.all_in_one import make_settings
from services.generator.settings import GeneratorSettings
from services.tokenizer.settings import TokenizerSettings


class Example(settings.ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CSM_EXAMPLE_", cli_kebab_case=True)

    max_queue: int = Field(16, ge=0, le=100, description="turns that may wait")


def test_flags_win_over_environment_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load(Example, [], "x").max_queue == 16
    monkeypatch.setenv("CSM_EXAMPLE_MAX_QUEUE", "3")
    assert settings.load(Example, [], "x").max_queue == 3
    assert settings.load(Example, ["--max-queue", "5"], "x").max_queue == 5


def test_a_wrong_value_is_named_with_its_range(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSM_EXAMPLE_MAX_QUEUE", "1000")
    with pytest.raises(SystemExit) as exit_info:
        settings.load(Example, [], "example")
    assert exit_info.value.code == 2
    message = capsys.readouterr().err
    assert "CSM_EXAMPLE_MAX_QUEUE (--max-queue) is '1000'" in message
    assert "less than or equal to 100" in message


def test_a_wrong_flag_is_named_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        settings.load(Example, ["--nonsense", "1"], "example")
    assert exit_info.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_print_config_prints_what_is_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        settings.load(Example, ["--max-queue", "7", "--print-config"], "example")
    assert exit_info.value.code == 0
    assert json.loads(capsys.readouterr().out)["max_queue"] == 7


@pytest.mark.parametrize("value", ["none", "None", "off", "", " none "])
def test_no_metrics_port_may_be_said_as_the_help_says_it(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_GATEWAY_METRICS_PORT", value)
    assert settings.load(GatewaySettings, [], "x").metrics_port is None
    monkeypatch.setenv("CSM_GATEWAY_METRICS_PORT", "1")
    assert settings.load(GatewaySettings, ["--metrics-port", value], "x").metrics_port is None
    assert settings.load(GatewaySettings, [], "x").metrics_port == 1


def test_a_metrics_port_that_is_no_number_is_still_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSM_GATEWAY_METRICS_PORT", "noone")
    with pytest.raises(SystemExit):
        settings.load(GatewaySettings, [], "x")
    assert "CSM_GATEWAY_METRICS_PORT" in capsys.readouterr().err


def test_a_variable_that_is_no_setting_is_refused_with_what_is_close(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSM_GATEWAY_PROT", "a secret")
    with pytest.raises(SystemExit) as exit_info:
        settings.load(GatewaySettings, [], "gateway")
    assert exit_info.value.code == 2
    told = capsys.readouterr().err
    assert "CSM_GATEWAY_PROT is not a setting; did you mean CSM_GATEWAY_PORT" in told
    assert "secret" not in told
    with pytest.raises(ValueError, match="CSM_GATEWAY_PROT is not a setting"):
        make_settings(GatewaySettings)


def test_a_prefix_that_nobody_reads_is_told_and_others_variables_are_fine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (
        "CSM_GATWAY_PORT",
        "CSM_MODLE",
        "CSM_MODEL",
        "CSM_TOKENIZER_PORT",
        "CSM_GENERATOR_PROT",
        "CSM_GATEWAY_IMAGE",
        "CSM_GATEWAY_PUBLISHED_PORT",
        "CSM_GENERATOR_MEMORY",
        "CSM_GATEWAY_SERVICE_HOST",
        "CSM_GATEWAY_SERVICE_PORT_GRPC",
        "CSM_GATEWAY_PORT_50050_TCP_ADDR",
        "CSM_WHEELS",
    ):
        monkeypatch.setenv(name, "1")
    settings.load(GatewaySettings, [], "gateway")
    assert capsys.readouterr().err.splitlines() == [
        "gateway: CSM_GATWAY_PORT is read by nothing; did you mean CSM_GATEWAY_PORT?",
        "gateway: CSM_MODLE is read by nothing; did you mean CSM_MODEL?",
    ]


def test_every_variable_that_the_project_speaks_of_is_known() -> None:
    root = Path(__file__).resolve().parents[3]
    spoken: set[str] = set()
    for file in (
        *root.glob("deploy/**/*"),
        *root.glob("docs/*.md"),
        root / "README.md",
        root / "Makefile",
    ):
        if file.is_file() and file.suffix not in (".png", ".wav"):
            text = file.read_text(encoding="utf-8", errors="ignore")
            spoken |= set(re.findall(r"\bCSM_[A-Z0-9_]*[A-Z0-9]\b", text))
    assert len(spoken) > 20
    for cls in (GatewaySettings, TokenizerSettings, GeneratorSettings):
        prefix = str(cls.model_config["env_prefix"])
        refused, warned = environment.unknown(
            prefix, cls.model_fields, dict.fromkeys(spoken - {prefix[:-1]}, "")
        )
        assert not refused
        assert not warned
