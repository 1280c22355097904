"""How a client of ours opens a channel: keepalive, message sizes, reconnection."""

import json

import grpc

from csm.client_tls import ClientTls

MAX_MESSAGE_BYTES = 4 << 20

# A peer that vanished is noticed within 40 s. Servers of ours allow pings twice as often as
# clients send them, also where nothing else is sent, or they would close the connection.
KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
MIN_PING_INTERVAL_MS = KEEPALIVE_MS // 2

# Retries only where a refusal is certain to have delivered nothing (gRFC A6).
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "csm.v1.TokenizerService", "method": "GetTokenizerInfo"}]
            + [
                {"service": "csm.v1.GeneratorService", "method": m}
                for m in ("GetModelInfo", "GetLoad")
            ]
            + [
                {"service": "csm.v1.SpeechService", "method": m}
                for m in ("GetServerInfo", "ListVoices", "GetVoice", "GetConversation")
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}


def options(
    *,
    load_balancing: dict[str, object] | None = None,
    health_service: str = "",
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    http_proxy: bool = False,
) -> list[tuple[str, object]]:
    """Channel arguments; `load_balancing` is one entry of `loadBalancingConfig`.

    `health_service`: of several servers only those get calls that say of this service that it
    serves; one that knows nothing of health does too. It goes with a policy that balances.
    `http_proxy`: goes through the proxy that the environment names (`http_proxy`, `https_proxy`,
    `grpc_proxy`). A proxy for the web does not reach what is on this machine or beside it.
    """
    config: dict[str, object] = dict(_SERVICE_CONFIG)
    if load_balancing:
        config["loadBalancingConfig"] = [load_balancing]
    if health_service:
        config["healthCheckConfig"] = {"serviceName": health_service}
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.enable_http_proxy", int(http_proxy)),
        # A pod that is replaced comes back under another address. By default its clients would
        # not ask the DNS again for 30 s, and wait 20 s for an address that nobody answers.
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.service_config", json.dumps(config)),
    ]


def open_async(
    target: str,
    *,
    load_balancing: dict[str, object] | None = None,
    health_service: str = "",
    http_proxy: bool = False,
    tls: ClientTls | None = None,
) -> grpc.aio.Channel:
    """An asyncio channel to `target` (host:port or a gRPC name), plaintext without `tls`; see
    `options`."""
    arguments = options(
        load_balancing=load_balancing, health_service=health_service, http_proxy=http_proxy
    )
    if tls is not None:
        return grpc.aio.secure_channel(target, tls.credentials(), options=arguments)
    return grpc.aio.insecure_channel(target, options=arguments)


def open_sync(
    target: str, *, http_proxy: bool = False, tls: ClientTls | None = None
) -> grpc.Channel:
    """A blocking channel to `target`; see `open_async`."""
    arguments = options(http_proxy=http_proxy)
    if tls is not None:
        return grpc.secure_channel(target, tls.credentials(), options=arguments)
    return grpc.insecure_channel(target, options=arguments)
