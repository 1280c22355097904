import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from csm import errors


class FakeRpcError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, text: str, trailers: tuple = ()) -> None:
        self._code, self._text, self._trailers = code, text, trailers

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> tuple:
        return self._trailers


def over_the_wire(error: errors.ServiceError) -> FakeRpcError:
    trailers = ((errors.DETAILS_KEY, errors.status_details(error)),)
    return FakeRpcError(error.code, error.message, trailers)


def test_invalid_argument_carries_every_violation() -> None:
    error = errors.InvalidArgument(
        errors.FieldViolation("a", "too big"), errors.FieldViolation("b", "empty")
    )
    (detail,) = errors.rpc_error_details(over_the_wire(error))
    assert isinstance(detail, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in detail.field_violations] == [
        ("a", "too big"),
        ("b", "empty"),
    ]
    status = status_pb2.Status.FromString(errors.status_details(error))
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_queue_full_says_when_to_come_back() -> None:
    error = errors.QueueFull("busy", retry_after_s=1.5)
    details = errors.rpc_error_details(over_the_wire(error))
    (retry,) = [d for d in details if isinstance(d, error_details_pb2.RetryInfo)]
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert errors.retry_pushback_ms(error) == 1500
    assert errors.retry_pushback_ms(errors.NotFound("voice", "x")) is None


@pytest.mark.parametrize("code", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL])
def test_internal_text_of_a_backend_is_not_forwarded(code: grpc.StatusCode) -> None:
    error = errors.from_rpc_error(FakeRpcError(code, "KeyError: secret"), "generator")
    assert error.code is grpc.StatusCode.INTERNAL
    assert "secret" not in error.message


def test_faults_of_the_caller_pass_through_with_details() -> None:
    error = errors.from_rpc_error(over_the_wire(errors.invalid("text", "empty")), "generator")
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(error.details()[0], error_details_pb2.BadRequest)


def test_a_lost_backend_is_unavailable_without_its_address() -> None:
    lost = FakeRpcError(grpc.StatusCode.UNAVAILABLE, "failed to connect to ipv4:10.0.0.1:1")
    error = errors.from_rpc_error(lost, "tokenizer")
    assert isinstance(error, errors.Unavailable)
    assert error.message == "the tokenizer cannot be reached"


@pytest.mark.parametrize("kind", [errors.QueueFull, errors.Unavailable])
def test_a_refusal_of_a_backend_keeps_its_time_to_come_back(
    kind: type[errors.RetryableError],
) -> None:
    error = errors.from_rpc_error(over_the_wire(kind("16 turns wait", 7.25)), "generator")
    assert isinstance(error, kind)
    assert (error.message, error.retry_after_s) == ("16 turns wait", 7.25)
    # Also for those who read only the trailer.
    assert errors.retry_pushback_ms(error) == 7250


def test_a_limit_that_waiting_does_not_cure_asks_for_no_wait() -> None:
    too_long = FakeRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "message larger than max")
    error = errors.from_rpc_error(too_long, "generator")
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert errors.retry_pushback_ms(error) is None


def test_a_status_stays_within_what_grpc_carries() -> None:
    long = "x" * 5000
    error = errors.InvalidArgument(*(errors.FieldViolation(f"a[{i}]", long) for i in range(100)))
    assert len(error.violations) == 100
    assert error.message.endswith("and 88 more")
    assert len(error.message) + len(errors.status_details(error)) * 4 / 3 < 7000
    (detail,) = errors.rpc_error_details(over_the_wire(error))
    assert detail.field_violations[0].field == "a[0]"
    assert len(errors.NotFound("voice", "v", hint=long).message) <= errors.MAX_MESSAGE_CHARS
