"""What the code says of the three services, for comparison with what deploy/ says."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csm.serving.host import STOP_GRACE_S
from csm.serving.settings import ServiceSettings
from csm.v1 import generator_pb2, speech_pb2, tokenizer_pb2
from gateway.settings import GatewaySettings
from services.generator.settings import GeneratorSettings
from services.tokenizer.settings import TokenizerSettings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
VERSION = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


@dataclass(frozen=True)
class ServiceFacts:
    """One service: how it is started, what it is called on the wire, what it can be told."""

    name: str
    module: str
    full_name: str
    settings: type[ServiceSettings]

    @property
    def prefix(self) -> str:
        return str(self.settings.model_config["env_prefix"])

    def default(self, field: str) -> Any:
        return self.settings.model_fields[field].default

    @property
    def port(self) -> int:
        return int(self.default("port"))

    @property
    def metrics_port(self) -> int:
        return int(self.default("metrics_port"))

    @property
    def http_ports(self) -> list[int]:
        """The port of HTTP, where the service has one."""
        named = "http_port" in self.settings.model_fields
        return [int(self.default("http_port"))] if named else []

    def configured(self, environment: dict[str, str]) -> ServiceSettings:
        """The settings that this environment makes; fails on a name or value it does not know."""
        values = {}
        for name, value in environment.items():
            if not name.startswith("CSM_"):
                continue
            field = name.removeprefix(self.prefix).lower()
            if field not in self.settings.model_fields:
                raise AssertionError(f"{self.name}: {name} is no setting of it")
            values[field] = value
        return self.settings(**values)

    def shutdown_s(self, environment: dict[str, str]) -> float:
        """Longest time from SIGTERM to exit under this environment."""
        settings = self.configured(environment)
        return settings.drain_delay_s + settings.drain_finish_s + STOP_GRACE_S


def _full_name(module: Any, service: str) -> str:
    return str(module.DESCRIPTOR.services_by_name[service].full_name)


SERVICES = {
    facts.name: facts
    for facts in (
        ServiceFacts(
            "tokenizer",
            "services.tokenizer",
            _full_name(tokenizer_pb2, "TokenizerService"),
            TokenizerSettings,
        ),
        ServiceFacts(
            "generator",
            "services.generator",
            _full_name(generator_pb2, "GeneratorService"),
            GeneratorSettings,
        ),
        ServiceFacts(
            "gateway", "gateway", _full_name(speech_pb2, "SpeechService"), GatewaySettings
        ),
    )
}
