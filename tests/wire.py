"""The wire as plain data, and what of it may not change from one release to the next.

`python -m tests.wire` writes tests/wire_baseline.json anew, at a release; it refuses where the wire
would break for whoever speaks the one that is kept there.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from tests.deploy.facts import VERSION

BASELINE = Path(__file__).with_name("wire_baseline.json")
FILES = ("common", "generator", "speech", "tokenizer")
TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}
Wire = dict[str, dict[str, Any]]


def files() -> Iterator[FileDescriptor]:
    """What `csm/v1` was generated from."""
    for name in FILES:
        yield importlib.import_module(f"csm.v1.{name}_pb2").DESCRIPTOR


def described() -> Wire:
    """Messages, enums and services of now, by full name."""
    wire: Wire = {"messages": {}, "enums": {}, "services": {}}
    for file in files():
        for message in file.message_types_by_name.values():
            _add_message(wire, message)
        for enum in file.enum_types_by_name.values():
            _add_enum(wire, enum)
        for service in file.services_by_name.values():
            wire["services"][service.full_name] = {
                method.name: _method(method) for method in service.methods
            }
    return wire


def _method(method: Any) -> str:
    takes = "stream " * method.client_streaming + method.input_type.full_name
    return f"{takes} -> {'stream ' * method.server_streaming}{method.output_type.full_name}"


def _add_message(wire: Wire, message: Descriptor) -> None:
    wire["messages"][message.full_name] = {
        str(field.number): f"{field.name}: {_form(field)}" for field in message.fields
    }
    for nested in message.nested_types:
        _add_message(wire, nested)
    for enum in message.enum_types:
        _add_enum(wire, enum)


def _form(field: FieldDescriptor) -> str:
    kind = TYPES[field.type]
    if field.message_type is not None:
        kind = field.message_type.full_name
    elif field.enum_type is not None:
        kind = field.enum_type.full_name
    if field.is_repeated:
        return f"repeated {kind}"
    if field.containing_oneof is None:
        return kind
    # An optional field is alone in a oneof that protoc makes up.
    name = field.containing_oneof.name
    return f"optional {kind}" if name == f"_{field.name}" else f"{kind} of oneof {name}"


def _add_enum(wire: Wire, enum: EnumDescriptor) -> None:
    wire["enums"][enum.full_name] = {str(value.number): value.name for value in enum.values}


def broken(before: Wire, now: Wire) -> list[str]:
    """What a peer that speaks `before` would not understand of `now`; a line each.

    Messages, fields, values and RPCs may come; none may go, or change its number, name or type.
    """
    found = []
    for kind, things in before.items():
        for name, members in things.items():
            if name not in now[kind]:
                found.append(f"{kind[:-1]} {name} is gone")
                continue
            for key, was in members.items():
                is_now = now[kind][name].get(key)
                if is_now is None:
                    found.append(f"{name}: {key} ({was}) is gone")
                elif is_now != was:
                    found.append(f"{name}: {key} was {was!r} and is {is_now!r}")
    return found


def kept() -> tuple[str, Wire]:
    """The release whose wire is kept, and that wire."""
    content = json.loads(BASELINE.read_text())
    return content.pop("version"), content


def main() -> None:
    """Keeps the wire of now, where it is one that has only grown."""
    problems = broken(kept()[1], described()) if BASELINE.exists() else []
    if problems:
        sys.exit("\n".join(problems))
    BASELINE.write_text(json.dumps({"version": VERSION, **described()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
