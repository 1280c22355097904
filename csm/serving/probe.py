"""Asks a server for its health: `python -m csm.serving.probe HOST:PORT [SERVICE]`.

For container health checks where nothing asks by gRPC itself. Exits with 0 when the server answers
SERVING, with 1 when it answers anything else or nothing, with 2 when called wrongly. Without
SERVICE the question is liveness; with a full name, such as `csm.v1.TokenizerService`, readiness.
Protocol: grpc.health.v1.
"""

import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 4.0


def check(target: str, service: str = "", timeout_s: float = TIMEOUT_S) -> str:
    """The name of the serving status of `service` at `target`, e.g. `SERVING`.

    Raises grpc.RpcError when the server does not answer in time or does not know the service.
    """
    # A proxy of the environment has no business between a container and itself.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; prints one line, returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not 1 <= len(arguments) <= 2 or ":" not in arguments[0]:
        print("usage: python -m csm.serving.probe HOST:PORT [SERVICE]", file=sys.stderr)
        return 2
    try:
        status = check(arguments[0], "".join(arguments[1:]))
    except grpc.RpcError as error:
        print(f"{arguments[0]}: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    print(f"{arguments[0]}: {status}")
    return 0 if status == "SERVING" else 1


if __name__ == "__main__":
    raise SystemExit(main())
