"""Asks a server for its health: `python -m csm.serving.probe HOST:PORT [SERVICE] [--live]`.

For container health checks where nothing asks by gRPC itself. Exits with 0 when the server answers
SERVING, with 1 when it answers anything else or nothing, with 2 when called wrongly. The question
is readiness: of all that the server lists, or of SERVICE, a full name such as
`csm.v1.TokenizerService`. With `--live` it is liveness: whether only a restart helps.

A port with TLS is asked with `--ca FILE`, and `--cert FILE --key FILE` where clients must show a
certificate (or CSM_CA, CSM_CERT, CSM_KEY); HOST is then a name in the server's certificate. The
plaintext health port (`health_port`) needs none of it.
Protocol: grpc.health.v1.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import channel
from csm.client_tls import ClientTls, TlsNames, hint
from csm.errors import InvalidArgument

TIMEOUT_S = 4.0
USAGE = """\
usage: python -m csm.serving.probe HOST:PORT [SERVICE] [--ready] | HOST:PORT --live
       with TLS: --ca FILE [--cert FILE --key FILE]"""
_FILES = ("--ca", "--cert", "--key")


def check(
    target: str,
    service: str = "",
    timeout_s: float = TIMEOUT_S,
    tls: ClientTls | None = None,
) -> str:
    """The name of the serving status of `service` at `target`, e.g. `SERVING`; "" is liveness.

    Raises grpc.RpcError when the server does not answer in time or does not know the service.
    """
    with channel.open_sync(target, tls=tls) as to_server:
        stub = health_pb2_grpc.HealthStub(to_server)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
    return _name(answer.status)


def check_all(target: str, timeout_s: float = TIMEOUT_S, tls: ClientTls | None = None) -> str:
    """The name of the first status that is not `SERVING` among all that the server lists.

    Of a server that lists none (older health services) it is the status of "". Raises grpc.RpcError
    when the server does not answer in time.
    """
    with channel.open_sync(target, tls=tls) as to_server:
        stub = health_pb2_grpc.HealthStub(to_server)
        try:
            listed = stub.List(health_pb2.HealthListRequest(), timeout=timeout_s).statuses
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            listed = {}
    names = {_name(one.status) for one in listed.values()} or {check(target, "", timeout_s, tls)}
    return min(names - {"SERVING"}, default="SERVING")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; prints one line, returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    files: dict[str, str | None] = {}
    for option in _FILES:
        files[option] = os.environ.get(f"CSM_{option[2:].upper()}") or None
        if option in arguments:
            at = arguments.index(option)
            files[option] = (*arguments[at + 1 : at + 2], "")[0]
            del arguments[at : at + 2]
    live = "--live" in arguments
    # `--ready` is what is asked anyway; it may be said.
    names = [a for a in arguments if a not in ("--live", "--ready")]
    wrong = len(arguments) - len(names) > 1 or any(a.startswith("-") for a in names)
    if wrong or not 1 <= len(names) <= 2 - live or ":" not in names[0]:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        ca, cert, key = (None if files[one] is None else Path(files[one] or "") for one in _FILES)
        tls = ClientTls.of(ca, cert, key, TlsNames(*_FILES))
    except InvalidArgument as error:
        print(f"python -m csm.serving.probe: {error}", file=sys.stderr)
        return 2
    try:
        whole = not live and len(names) == 1
        if whole:
            status = check_all(names[0], tls=tls)
        else:
            status = check(names[0], "".join(names[1:]), tls=tls)
    except grpc.RpcError as error:
        details = error.details() or ""
        told = f"{advice} ({details})" if (advice := hint(details)) else details
        print(f"{names[0]}: {error.code().name}: {told}", file=sys.stderr)
        return 1
    print(f"{names[0]}: {status}")
    return 0 if status == "SERVING" else 1


def _name(status: int) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


if __name__ == "__main__":
    raise SystemExit(main())
