"""Who is at the other end of a call, as far as an address tells."""


def address_of(peer: str) -> str:
    """The address in what gRPC calls a peer, without the port, which every connection has anew."""
    kind, _, address = peer.partition(":")
    return address.rpartition(":")[0] if kind in ("ipv4", "ipv6") else kind
