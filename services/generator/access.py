"""What each RPC of the generator needs of a caller: it is the gateway's, and the operator's."""

from csm.serving.auth.rules import ADMIN, Access

RPCS: Access = {
    "Generate": ADMIN,
    "GetModelInfo": ADMIN,
    "CountPositions": ADMIN,
    "GetLoad": ADMIN,
    "EvictConversation": ADMIN,
}
