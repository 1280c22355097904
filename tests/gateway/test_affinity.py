"""What the generator knows conversations by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csm import errors
from csm.limits import MAX_ID_CHARS
from gateway.backends.affinity import affinity, generator_key, scope_of
from gateway.violations import Violations

NAMES = st.text(min_size=1, max_size=MAX_ID_CHARS) | st.sampled_from(["a", "b", "a/b", "b/c", "ab"])


@given(NAMES, NAMES, NAMES, NAMES)
def test_two_owners_or_ids_have_two_keys(a: str, b: str, c: str, d: str) -> None:
    assert (generator_key(a, b) == generator_key(c, d)) == ((a, b) == (c, d))
    assert generator_key(a, b + c) != generator_key(a + b, c)
    assert affinity(generator_key(a, b)) != affinity(generator_key(a + "x", b))
    assert (scope_of(a) == scope_of(c)) == (a == c)


@given(NAMES, NAMES)
def test_a_derived_key_is_no_id_that_a_caller_can_give_and_fits_the_wire(a: str, b: str) -> None:
    key = generator_key(a, b)
    assert len(key) <= MAX_ID_CHARS
    found = Violations()
    found.conversation_id("conversation_id", key)
    with pytest.raises(errors.InvalidArgument, match="control characters"):
        found.raise_any()
    assert key.encode().decode() == key


@given(NAMES)
def test_without_an_owner_all_is_as_before_there_were_owners(name: str) -> None:
    assert generator_key("", name) == name
    assert generator_key("a", "") == ""
    assert scope_of("") == ()


def test_half_a_pair_of_surrogates_is_a_name_too() -> None:
    # JSON may bring one, and a tenant may come as JSON.
    assert generator_key("\ud800", "x") != generator_key("?", "x")
    assert scope_of("\ud800") != scope_of("?")
