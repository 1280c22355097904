import json

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from csm.serving import settings


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
