"""JSON into protobuf by the names of its fields, each that is wrong named; and its schema."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.violations import Violations

_TYPES = {
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_FLOAT: "number",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_INT32: "integer",
    FieldDescriptor.CPPTYPE_UINT32: "integer",
    FieldDescriptor.CPPTYPE_INT64: "integer",
    FieldDescriptor.CPPTYPE_UINT64: "integer",
}
_LARGEST = {
    FieldDescriptor.CPPTYPE_INT32: (1 << 31) - 1,
    FieldDescriptor.CPPTYPE_UINT32: (1 << 32) - 1,
    FieldDescriptor.CPPTYPE_INT64: (1 << 63) - 1,
    FieldDescriptor.CPPTYPE_UINT64: (1 << 64) - 1,
}

MAX_ITEMS = 1000
"""Of an array: more than the wire's own checks allow of any, and few enough to be looked at."""


def fill(
    message: Message,
    data: Mapping[str, Any],
    path: str,
    found: Violations,
    allowed: Iterable[str] | None = None,
) -> None:
    """Sets the fields that `data` has; null says nothing. What is wrong goes to `found`."""
    fields = message.DESCRIPTOR.fields_by_name
    names = list(allowed or (f.name for f in message.DESCRIPTOR.fields if not _is_bytes(f)))
    for name, value in data.items():
        if found.full:
            return
        if name not in names:
            # Not in the path, which is logged: it is the caller's own word.
            shown = f" {name}" if re.fullmatch(r"\w{1,64}", name, re.ASCII) else ""
            allowed_names = ", ".join(names) or "none"
            found.add(path, f"has an unknown field{shown}; allowed are {allowed_names}")
        elif value is not None:
            _set_field(message, fields[name], value, f"{path}.{name}", found)


def _set_field(message: Message, field: Any, value: Any, path: str, found: Violations) -> None:
    if field.message_type is not None and field.is_repeated:
        if not isinstance(value, list):
            found.add(path, "must be an array of objects")
            return
        if len(value) > MAX_ITEMS:
            found.add(path, f"has {len(value)} items; allowed are at most {MAX_ITEMS}")
            return
        for number, one in enumerate(value):
            if found.full:
                return
            if isinstance(one, dict):
                fill(getattr(message, field.name).add(), one, f"{path}[{number}]", found)
            else:
                found.add(f"{path}[{number}]", "must be an object")
    elif field.message_type is not None:
        if isinstance(value, dict):
            part: Message = getattr(message, field.name)
            part.SetInParent()
            fill(part, value, path, found)
        else:
            found.add(path, "must be an object")
    elif field.enum_type is not None:
        names = _enum_names(field.enum_type)
        if value in names:
            setattr(message, field.name, _enum_number(field.enum_type, value))
        else:
            found.add(path, f"is not allowed; allowed are {', '.join(names)}")
    else:
        fill_one(message, field.name, value, path, found)


def fill_one(message: Message, name: str, value: Any, path: str, found: Violations) -> None:
    kind = message.DESCRIPTOR.fields_by_name[name].cpp_type
    fits: Callable[[Any], bool] = {
        "string": lambda v: isinstance(v, str),
        "boolean": lambda v: isinstance(v, bool),
        "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
        "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    }[_TYPES[kind]]
    if isinstance(value, float) and _TYPES[kind] == "integer" and value.is_integer():
        value = int(value)  # 1.0 is an integer in JSON Schema
    if not fits(value):
        found.add(path, f"must be {_article(_TYPES[kind])}")
        return
    if _TYPES[kind] == "integer" and not 0 <= value <= _LARGEST[kind]:
        found.add(path, f"{str(value)[:32]} is not allowed; allowed are 0..{_LARGEST[kind]}")
        return
    try:
        setattr(message, name, value)
    except (ValueError, OverflowError):  # of a string: half of a surrogate pair
        found.add(path, "is not valid Unicode" if kind == FieldDescriptor.CPPTYPE_STRING
                  else "is out of range")  # fmt: skip


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _is_bytes(field: Any) -> bool:
    return field.type == FieldDescriptor.TYPE_BYTES


def _prefix(enum: Any) -> str:
    return str(enum.values_by_number[0].name).removesuffix("UNSPECIFIED")


def short_name(enum: Any, number: int) -> str:
    return str(enum.values_by_number[number].name).removeprefix(_prefix(enum)).lower()


def _enum_names(enum: Any) -> list[str]:
    return [short_name(enum, value.number) for value in enum.values if value.number]


def _enum_number(enum: Any, name: str) -> int:
    return int(enum.values_by_name[_prefix(enum) + name.upper()].number)


# --- as JSON Schema ---


def schema(descriptor: Any) -> dict[str, Any]:
    return object_schema({f.name: field_schema(f) for f in descriptor.fields if not _is_bytes(f)})


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def field_schema(field: Any) -> dict[str, Any]:
    one: dict[str, Any]
    if field.message_type is not None:
        one = schema(field.message_type)
    elif field.enum_type is not None:
        one = {"type": "string", "enum": _enum_names(field.enum_type)}
    else:
        one = {"type": _TYPES[field.cpp_type]}
        if one["type"] == "integer":
            one |= {"minimum": 0, "maximum": _LARGEST[field.cpp_type]}
    return {"type": "array", "items": one} if field.is_repeated else one
