"""What each RPC of the tokenizer needs of a caller: it is the gateway's, and the operator's."""

from csm.serving.auth.rules import ADMIN, Access

RPCS: Access = {
    "Encode": ADMIN,
    "Decode": ADMIN,
    "StreamingEncode": ADMIN,
    "StreamingDecode": ADMIN,
    "GetTokenizerInfo": ADMIN,
}
