"""The other side's address is one text, whichever edge it came in by."""

import pytest

from csm.serving.calls.peer import address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.1.2.3:4711", "10.1.2.3"),
        # As getpeername has it, which HTTP tells.
        ("ipv6:%5B::1%5D:4711", "::1"),
        ("ipv6:[2001:db8::7]:4711", "2001:db8::7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4711", "fe80::1%eth0"),
        ("unix:/run/csm.sock", "unix"),
        ("", ""),
    ],
)
def test_an_address_has_no_port_and_no_brackets(peer: str, address: str) -> None:
    assert address_of(peer) == address
