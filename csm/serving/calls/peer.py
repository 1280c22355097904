"""Who is at the other end of a call, as far as an address tells."""

from urllib.parse import unquote


def address_of(peer: str) -> str:
    """The address in what gRPC calls a peer, as HTTP has it: without the port, which every
    connection has anew, and without brackets."""
    kind, _, address = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind
    return unquote(address.rpartition(":")[0]).strip("[]")
