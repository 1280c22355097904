"""How a client of ours opens a channel: keepalive, message sizes, reconnection."""

import json

import grpc

MAX_MESSAGE_BYTES = 4 << 20

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
                for m in ("GetServerInfo", "ListVoices", "GetConversation")
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
    *, load_balancing: dict[str, object] | None = None, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> list[tuple[str, object]]:
    """Channel arguments; `load_balancing` is one entry of `loadBalancingConfig`."""
    config: dict[str, object] = dict(_SERVICE_CONFIG)
    if load_balancing:
        config["loadBalancingConfig"] = [load_balancing]
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A pod that is replaced comes back under another address. By default its clients would
        # not ask the DNS again for 30 s, and wait 20 s for an address that nobody answers.
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.service_config", json.dumps(config)),
    ]


def open_async(target: str, *, load_balancing: dict[str, object] | None = None) -> grpc.aio.Channel:
    """An asyncio channel to `target` (host:port or a gRPC name)."""
    return grpc.aio.insecure_channel(target, options=options(load_balancing=load_balancing))


def open_sync(target: str) -> grpc.Channel:
    """A blocking channel to `target`."""
    return grpc.insecure_channel(target, options=options())
