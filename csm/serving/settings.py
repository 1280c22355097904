"""Settings of a service: environment `CSM_<SERVICE>_<NAME>`, the same names as flags."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from csm.serving import environment
from csm.serving.logs.format import json_line
from csm.serving.logs.setup import LogFormat

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


def port_or_none(value: object) -> object:
    """None for what says that there is to be no such port: none, off, nothing at all."""
    said = value.strip().lower() if isinstance(value, str) else value
    return None if said in ("none", "off", "") else value


def path_or_none(value: object) -> object:
    """None for an empty text, which is what a variable that was not filled in leaves."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


PathOrNone = Annotated[Path | None, BeforeValidator(path_or_none)]


class ServiceSettings(BaseSettings):
    """What all services share. Subclasses set `env_prefix` and add their own."""

    model_config = SettingsConfigDict(extra="ignore", cli_kebab_case=True)

    host: str = Field("127.0.0.1", description="address that gRPC and metrics listen on")
    port: Port = Field(0, description="gRPC port; 0 picks a free one")
    metrics_port: Port | None = Field(None, description="Prometheus port; none: no endpoint")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="log level")
    log_format: LogFormat = Field("text", description="log format: text or json")
    access_log: bool = Field(
        True, description="a log line for each call and turn; off: only for calls that failed"
    )
    log_text: bool = Field(
        False, description="log the beginning of what is spoken and heard, with its turn"
    )
    tls_certificate: PathOrNone = Field(
        None, description="certificate of all ports, PEM, its chain behind it; none: plaintext"
    )
    tls_key: PathOrNone = Field(None, description="its key, PEM, without a passphrase")
    tls_client_ca: PathOrNone = Field(
        None,
        description="authorities, PEM; where it is set, clients must show a certificate of theirs",
    )
    health_port: Port | None = Field(
        None,
        description="plaintext port for gRPC health checks alone, for probes without a certificate",
    )
    metrics_tls: bool = Field(False, description="TLS on the metrics port too")
    tracing_endpoint: str = Field(
        "",
        max_length=1024,
        pattern=r"^(https?://[^\s/?#@]+/?)?$",
        description="collector that gets spans by OTLP over gRPC, such as http://collector:4317; "
        "empty: no tracing",
    )
    tracing_sample_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="part of the traces that begin here and are kept; callers that bring a trace "
        "have decided",
    )
    reflection: bool = Field(True, description="serve gRPC reflection")
    max_message_bytes: int = Field(
        4 << 20, ge=64 << 10, le=256 << 20, description="largest gRPC message"
    )
    max_concurrent_rpcs: int = Field(
        256, ge=1, le=100_000, description="RPCs under way before further ones are refused"
    )
    max_connections: int = Field(
        1024,
        ge=1,
        le=100_000,
        description="gRPC connections open at once on a port; further ones are closed",
    )
    first_message_s: float = Field(
        10.0, gt=0, le=3600, description="seconds that a call may take to its first message"
    )
    max_unread_s: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="seconds that an answer may wait for a client that does not read, before the "
        "call is ended",
    )
    memory_check: Literal["refuse", "warn", "off"] = Field(
        "refuse",
        description="what to do at start where weights and caches exceed the memory limit; "
        "what clients may use beyond them is warned of",
    )
    max_connection_age_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="seconds after which a client is told to connect anew; 0: never",
    )
    max_connection_age_grace_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="seconds that calls on such a connection may go on; 0: to their end",
    )
    auth_tokens_file: PathOrNone = Field(
        None, description="file of bearer tokens (csm tokens new), read again when it changes"
    )
    auth_jwt_issuer: str = Field(
        "", max_length=1024, description="issuer (iss) of JWTs that are taken; empty: none are"
    )
    auth_jwt_audience: str = Field(
        "", max_length=1024, description="audience (aud) that JWTs must have"
    )
    auth_jwt_jwks: str = Field(
        "", max_length=4096, description="keys of that issuer, JWKS: a file, or an https URL"
    )
    auth_jwt_leeway_s: float = Field(
        30.0, ge=0, le=600, description="seconds that the issuer's clock may differ by"
    )
    auth_jwt_tenant_claim: str = Field(
        "tenant",
        min_length=1,
        max_length=256,
        description="claim with the tenant, also a path with dots; without it a subject is alone",
    )
    auth_jwt_scope_claim: str = Field(
        "scope",
        min_length=1,
        max_length=256,
        description="claim with the scopes, a text or a list, also a path with dots",
    )
    auth_certificates: PathOrNone = Field(
        None,
        description="file that maps subjects of client certificates to principals, read again "
        "when it changes",
    )
    allow_insecure: bool = Field(
        False,
        description="do not warn where the service listens beyond loopback without identity or TLS",
    )
    drain_delay_s: Seconds = Field(
        0.0, description="seconds between not ready and closing, for endpoints to notice"
    )
    drain_finish_s: Seconds = Field(
        30.0, description="seconds that live streams may go on after SIGTERM"
    )

    @field_validator("metrics_port", "health_port", mode="before")
    @classmethod
    def _none_is_a_port_too(cls, value: object) -> object:
        return port_or_none(value)


S = TypeVar("S", bound=ServiceSettings)


def unknown_variables(cls: type[ServiceSettings]) -> tuple[list[str], list[str]]:
    """`CSM_...` variables of this process that are wrong for `cls`: refused, and warned of."""
    prefix = cls.model_config.get("env_prefix", "")
    return environment.unknown(prefix, cls.model_fields, os.environ)


def _problem(cls: type[ServiceSettings], error: dict[str, Any]) -> str:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    prefix = cls.model_config.get("env_prefix", "")
    flag = "--" + name.replace("_", "-")
    value = "" if error["type"] == "missing" else f" is {error['input']!r}"
    return f"{prefix}{name.upper()} ({flag}){value}: {error['msg']}"


def load(cls: type[S], argv: Sequence[str], program: str) -> S:
    """Settings from flags, then environment, then defaults; exits with a message if wrong.

    `--print-config` prints the result as JSON and exits with 0. A variable with the service's
    prefix that is no setting is wrong too; another `CSM_...` that nothing reads is told.
    """
    refused, warned = unknown_variables(cls)
    for line in refused:
        print(f"{program}: {line}", file=sys.stderr)
    if refused:
        raise SystemExit(2)
    arguments = [a for a in argv if a != "--print-config"]
    try:
        settings = cls(_cli_parse_args=arguments, _cli_prog_name=program)  # type: ignore[call-arg]
    except ValidationError as error:
        for one in error.errors():
            print(f"{program}: {_problem(cls, dict(one))}", file=sys.stderr)
        raise SystemExit(2) from None
    except SettingsError as error:
        print(f"{program}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for line in warned:
        told = f"{program}: {line}"
        if settings.log_format == "json":
            told = json_line("WARNING", __name__, line)
        print(told, file=sys.stderr)
    if len(arguments) != len(argv):
        print(json.dumps(settings.model_dump(mode="json"), indent=2))
        raise SystemExit(0)
    return settings
