"""A library is used only where its structs are what Python takes them for."""

from __future__ import annotations

import ctypes
import dataclasses
import re
from pathlib import Path
from typing import cast, get_args

import pytest

from services.generator.native import library as generator
from services.native import levels
from services.native.build import SHARED_SOURCE, NativeUnavailable
from services.native.choice import Works
from services.native.interface import Format, Interface
from services.native.levels import Level
from services.native.select import NativeMode, level_for, select
from services.tokenizer.native import library as tokenizer

INTERFACES = {"generator": generator.INTERFACE, "tokenizer": tokenizer.INTERFACE}
both = pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)


def changed(interface: Interface, name: str, fields: object) -> Interface:
    """The same with a struct of other fields."""
    other = type(name, (ctypes.Structure,), {"_fields_": fields})
    kept = tuple(struct for struct in interface.structs if struct.__name__ != name)
    return dataclasses.replace(interface, structs=(*kept, other))


@both
def test_a_library_that_fits_is_loaded(interface: Interface) -> None:
    assert interface.load().csm_struct_sizes is not None


@both
def test_every_struct_that_crosses_is_compared(interface: Interface) -> None:
    """Whatever has a pointer in a signature, and what such a struct holds."""
    crossing = {
        argument._type_  # type: ignore[attr-defined]
        for _, arguments in interface.functions.values()
        for argument in arguments
        if hasattr(argument, "_type_") and isinstance(argument._type_, type)
        if issubclass(argument._type_, ctypes.Structure)
    }
    inner = {kind for struct in crossing for _, kind in struct._fields_}
    crossing |= {kind for kind in inner if issubclass(kind, ctypes.Structure)}
    assert crossing == set(interface.structs)


@both
@pytest.mark.parametrize("change", ["a field more", "a field less", "a wider field"])
def test_a_struct_of_another_size_is_named_and_refused(interface: Interface, change: str) -> None:
    struct = interface.structs[0]
    fields = list(struct._fields_)
    if change == "a field more":
        fields.append(("added", ctypes.c_int64))
    elif change == "a field less":
        fields = fields[:-2]
    else:
        fields[0] = (fields[0][0], ctypes.c_int64 * 2)
    name, there = struct.__name__, ctypes.sizeof(struct)
    with pytest.raises(NativeUnavailable, match=f"{name} has {there} bytes there and \\d+ here"):
        changed(interface, name, fields).load()


@both
def test_a_struct_that_one_side_does_not_know_is_refused(interface: Interface) -> None:
    fewer = dataclasses.replace(interface, structs=interface.structs[1:])
    missing = interface.structs[0].__name__
    with pytest.raises(NativeUnavailable, match=f"{missing} has \\d+ bytes there and no here"):
        fewer.load()
    fields = (("one", ctypes.c_int32),)
    with pytest.raises(NativeUnavailable, match="Unheard has no bytes there and 4 here"):
        changed(interface, "Unheard", fields).load()


def test_one_library_is_not_taken_for_the_other() -> None:
    mixed = dataclasses.replace(generator.INTERFACE, library=tokenizer.INTERFACE.library)
    with pytest.raises(NativeUnavailable, match=r"cannot be loaded|does not fit this version"):
        mixed.load()


def test_formats_have_the_numbers_of_the_source() -> None:
    text = (SHARED_SOURCE / "matrix.hpp").read_text()
    listed = re.search(r"enum class Format : int \{ (.*?) \}", text)
    assert listed is not None
    numbers = dict(one.split(" = ") for one in listed[1].split(", "))
    assert {name.upper(): int(number) for name, number in numbers.items()} == {
        each.name: each.value for each in Format
    }


def test_there_is_one_exponential_and_one_softmax() -> None:
    """Two of either would be rounded alike only as long as nobody changes one of them."""
    roots = (SHARED_SOURCE, *(each.library.directory / "source" for each in INTERFACES.values()))
    sources = [path.read_text() for root in roots for path in sorted(Path(root).iterdir())]
    assert sum(text.count("void softmax(") for text in sources) == 1
    # The first coefficient of the polynomial.
    assert sum(text.count("1.9875691500e-4f") for text in sources) == 1


def test_a_way_is_selected_by_what_is_wanted_and_what_there_is() -> None:
    def unavailable() -> str:
        raise NativeUnavailable("no luck")

    def native() -> str:
        return "native"

    def by_torch() -> str:
        return "torch"

    assert select("it", "auto", native, by_torch) == "native"
    assert select("it", "required", native, by_torch) == "native"
    assert select("it", "off", native, by_torch) == "torch"
    assert select("it", "auto", unavailable, by_torch) == "torch"
    with pytest.raises(NativeUnavailable, match="no luck"):
        select("it", "required", unavailable, by_torch)


def _never(level: Level | None) -> Works:
    raise AssertionError("nothing is to be timed")


def test_the_only_level_is_taken_unmeasured_and_a_named_one_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, best = generator.INTERFACE.library, levels.available()[0]
    monkeypatch.setattr(levels, "available", lambda: [best])
    assert level_for("it", library, "required", {}, _never) == best
    assert level_for("it", library, cast("NativeMode", best.name), {}, _never) == best


def test_a_named_level_that_the_processor_lacks_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(levels, "processor_features", lambda: frozenset({"avx2", "fma"}))
    with pytest.raises(NativeUnavailable, match="level avx512; it can run avx2, generic"):
        level_for("it", generator.INTERFACE.library, "avx512", {}, _never)


def test_every_level_can_be_named_in_the_settings() -> None:
    named = set(get_args(NativeMode)) - {"auto", "off", "required"}
    assert named == {level.name for level in levels.LEVELS}
