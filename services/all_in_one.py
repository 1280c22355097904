"""The three services in one process on loopback, with real gRPC between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings, unknown_variables
from csm.serving.tracing.setup import check_tracing

Values = Mapping[str, object]
PLAIN: Values = {
    "tls_certificate": "",
    "tls_key": "",
    "tls_client_ca": "",
    "metrics_tls": False,
    "health_port": "none",
}
"""Of a service that is reached from this process alone."""
OPEN: Values = {
    "auth_tokens_file": "",
    "auth_jwt_issuer": "",
    "auth_jwt_audience": "",
    "auth_jwt_jwks": "",
    "auth_certificates": "",
}
"""Of a service that this process alone uses."""
S = TypeVar("S", bound=ServiceSettings)


def make_settings(cls: type[S], *parts: Values) -> S:
    """Settings of a service: `parts` (later ones win), then its environment, then its defaults.

    None in a part says nothing. Raises `ValueError` naming each setting that is wrong.
    """
    values = {k: v for part in parts for k, v in part.items() if v is not None}
    if refused := unknown_variables(cls)[0]:
        raise ValueError("; ".join(refused))
    try:
        # No metrics port: whoever runs several services in one process serves them on one.
        return cls.model_validate(values).model_copy(update={"metrics_port": None})
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, one['loc']))}: {one['input']!r} is not allowed: {one['msg']}"
            for one in error.errors()
        )
        raise ValueError("; ".join(problems)) from None


class AllInOne:
    """Tokenizer, generator and gateway in this process, on this loop.

        async with AllInOne(model=path) as stack:
            client = AsyncClient(stack.address)

    What is None is left to the services' own settings. `tokenizer`, `generator` and `gateway`
    are further settings by name. Where it is `private`, used by this process alone, ports are free
    ones unless given, there is no HTTP unless its port is, the gateway's ports are plaintext and
    nobody is asked who calls, whatever the environment says; the inner ports always are plaintext
    and on loopback. Leaving the block cancels what runs; `stop` drains.
    """

    tokenizer: Host
    generator: Host
    gateway: Host

    def __init__(
        self,
        *,
        model: Path | str | None = None,
        slots: int | None = None,
        threads: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        tokenizer: Values | None = None,
        generator: Values | None = None,
        gateway: Values | None = None,
        metrics: Metrics | None = None,
        private: bool = True,
    ) -> None:
        from gateway.settings import GatewaySettings
        from services.generator.settings import GeneratorSettings
        from services.tokenizer.settings import TokenizerSettings

        self.metrics = metrics or Metrics()
        for service in ("Tokenizer", "Generator", "Speech"):
            self.metrics.expect(f"csm.v1.{service}Service")
        # Nothing but the gateway is reached from outside, and only it waits for endpoints.
        # On loopback, what others would encrypt or probe needs neither.
        known = OPEN if private else {"auth_certificates": ""}
        free: Values = {"port": 0} if private else {}
        inner: Values = {"host": "127.0.0.1", "drain_delay_s": 0.0, **free, **PLAIN, **known}
        both: Values = {"model": model, "threads": threads, "device": device}
        engine: Values = {"slots": slots, "dtype": dtype}
        # There is one of each: nothing to balance.
        face: Values = {
            "tokenizer_load_balancing": "pick_first",
            "generator_load_balancing": "pick_first",
            "backend_ca": "",
            "backend_certificate": "",
            "backend_key": "",
        }
        if private:
            face = {
                **face, **free, "host": "127.0.0.1", "http_port": "none", "backend_token_file": "",
                **PLAIN, **OPEN,
            }  # fmt: skip
        self.tokenizer_settings = make_settings(TokenizerSettings, inner, both, tokenizer or {})
        self.generator_settings = make_settings(
            GeneratorSettings, inner, both, engine, generator or {}
        )
        self.gateway_settings = make_settings(GatewaySettings, face, gateway or {})
        self._started: list[Host] = []

    @property
    def address(self) -> str:
        """Where the gateway is reached."""
        return self.gateway.address

    async def start(self) -> None:
        """Returns when all three are ready. Raises what keeps a service from starting."""
        from gateway.main import build as build_gateway
        from services.generator.main import build as build_generator
        from services.tokenizer.main import build as build_tokenizer

        tokenizer, generator = self.tokenizer_settings, self.generator_settings
        # The gateway's too before anything loads, which may take a minute.
        for settings in (tokenizer, generator, self.gateway_settings):
            check_tracing(settings)
        self.tokenizer = Host(build_tokenizer(tokenizer, self.metrics), tokenizer, self.metrics)
        self.generator = Host(build_generator(generator, self.metrics), generator, self.metrics)
        # Of both before either: what cannot fit is refused before the other has loaded.
        self.tokenizer.check_memory()
        self.generator.check_memory()
        begun = [self.tokenizer, self.generator]
        try:
            for host in begun:
                await host.open()
            targets = {
                "tokenizer_target": self.tokenizer.address,
                "generator_target": self.generator.address,
            }
            self.gateway_settings = self.gateway_settings.model_copy(update=targets)
            gateway = self.gateway_settings
            self.gateway = Host(build_gateway(gateway, self.metrics), gateway, self.metrics)
            begun.append(self.gateway)
            # Its port, its files and its stores before the model loads, which may take a minute.
            await self.gateway.open()
            loading = [self._load(self.tokenizer), self._load(self.generator)]
            for outcome in await asyncio.gather(*loading, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            await self._load(self.gateway)
        except BaseException:
            for host in reversed(begun):
                if host not in self._started:
                    await host.abandon()
                    with contextlib.suppress(Exception):
                        await host.service.stop()
            await self.stop(finish_s=0.0)
            raise

    async def _load(self, host: Host) -> None:
        await host.load()
        self._started.append(host)

    async def stop(self, *, finish_s: float | None = None) -> None:
        """Drains the gateway, then the generator, then the tokenizer.

        What runs may go on for `finish_s`; None: as long as each service's settings say.
        """
        # By role: the tokenizer and the generator may have become ready in either order.
        for role in ("gateway", "generator", "tokenizer"):
            host = getattr(self, role, None)
            if host in self._started:
                self._started.remove(host)
                await host.stop(finish_s=finish_s)

    async def __aenter__(self) -> "AllInOne":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # A second Ctrl-C must not leave the engine's thread behind.
        await asyncio.shield(self.stop(finish_s=0.0))


@contextlib.asynccontextmanager
async def tokenizer_alone(
    *, model: Path | str | None = None, device: str | None = None, threads: int | None = None
) -> AsyncIterator[str]:
    """The tokenizer alone in this process, for its owner's recordings of any length within half an
    hour; gives its address."""
    from services.tokenizer.main import build
    from services.tokenizer.settings import TokenizerSettings

    values = {"host": "127.0.0.1", "port": 0, "model": model, "device": device, "threads": threads}
    values |= {**PLAIN, **OPEN}
    # Nobody else is served: the limit is that of one message, not of what others would wait for.
    values["max_audio_s"] = 1800.0
    settings = make_settings(TokenizerSettings, values)
    metrics = Metrics()
    host = Host(build(settings, metrics), settings, metrics)
    await host.start()
    try:
        yield host.address
    finally:
        await host.stop(finish_s=0.0)
