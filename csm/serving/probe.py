"""Asks a server for its health: `python -m csm.serving.probe HOST:PORT [SERVICE] [--live]`.

For container health checks where nothing asks by gRPC itself. Exits with 0 when the server answers
SERVING, with 1 when it answers anything else or nothing, with 2 when called wrongly. The question
is readiness: of all that the server lists, or of SERVICE, a full name such as
`csm.v1.TokenizerService`. With `--live` it is liveness: whether only a restart helps.
Protocol: grpc.health.v1.
"""

import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import channel

TIMEOUT_S = 4.0


def check(target: str, service: str = "", timeout_s: float = TIMEOUT_S) -> str:
    """The name of the serving status of `service` at `target`, e.g. `SERVING`; "" is liveness.

    Raises grpc.RpcError when the server does not answer in time or does not know the service.
    """
    with channel.open_sync(target) as to_server:
        stub = health_pb2_grpc.HealthStub(to_server)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
    return _name(answer.status)


def check_all(target: str, timeout_s: float = TIMEOUT_S) -> str:
    """The name of the first status that is not `SERVING` among all that the server lists.

    Of a server that lists none (older health services) it is the status of "". Raises grpc.RpcError
    when the server does not answer in time.
    """
    with channel.open_sync(target) as to_server:
        stub = health_pb2_grpc.HealthStub(to_server)
        try:
            listed = stub.List(health_pb2.HealthListRequest(), timeout=timeout_s).statuses
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            listed = {}
    names = {_name(one.status) for one in listed.values()} or {check(target, "", timeout_s)}
    return min(names - {"SERVING"}, default="SERVING")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; prints one line, returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    live = "--live" in arguments
    # `--ready` is what is asked anyway; it may be said.
    names = [a for a in arguments if a not in ("--live", "--ready")]
    wrong = len(arguments) - len(names) > 1 or any(a.startswith("-") for a in names)
    if wrong or not 1 <= len(names) <= 2 - live or ":" not in names[0]:
        print(
            "usage: python -m csm.serving.probe HOST:PORT [SERVICE] [--ready] | HOST:PORT --live",
            file=sys.stderr,
        )
        return 2
    try:
        whole = not live and len(names) == 1
        status = check_all(names[0]) if whole else check(names[0], "".join(names[1:]))
    except grpc.RpcError as error:
        print(f"{names[0]}: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    print(f"{names[0]}: {status}")
    return 0 if status == "SERVING" else 1


def _name(status: int) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


if __name__ == "__main__":
    raise SystemExit(main())
