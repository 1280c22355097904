"""What each RPC and each HTTP route of the gateway needs of a caller."""

from csm.serving.auth.identity import Scope
from csm.serving.auth.rules import ANY_SCOPE, PUBLIC, Access, one_of

_SPEAKING = one_of(Scope.SPEAK)
_CONVERSING = one_of(Scope.CONVERSE)
_TEXTS = one_of(Scope.SPEAK, Scope.CONVERSE)
_MAKING_VOICES = one_of(Scope.VOICES_WRITE)

RPCS: Access = {
    # In a conversation it needs `converse` too, which only the request tells (`SpeechHandler`).
    "Synthesize": _SPEAKING,
    "Converse": _CONVERSING,
    "PrepareText": _TEXTS,
    "ListVoices": ANY_SCOPE,
    "GetVoice": ANY_SCOPE,
    "CreateVoice": _MAKING_VOICES,
    "UpdateVoice": _MAKING_VOICES,
    "DeleteVoice": _MAKING_VOICES,
    "GetConversation": _CONVERSING,
    "DeleteConversation": _CONVERSING,
    "GetServerInfo": ANY_SCOPE,
}

ROUTES: Access = {
    "POST /v1/audio/speech": _SPEAKING,
    "GET /v1/audio/speech/{request_id}": _SPEAKING,
    "GET /v1/audio/voices": ANY_SCOPE,
    "POST /v1/audio/voices": _MAKING_VOICES,
    "GET /v1/audio/voices/{name}": ANY_SCOPE,
    "DELETE /v1/audio/voices/{name}": _MAKING_VOICES,
    "POST /v1/text/prepare": _TEXTS,
    "POST /v1/audio/tokens": _SPEAKING,
    "POST /v1/audio/detokenize": _SPEAKING,
    "GET /v1/audio/models": ANY_SCOPE,
    "GET /v1/models": ANY_SCOPE,
    "GET /v1/models/{model}": ANY_SCOPE,
    "WS /v1/conversations": _CONVERSING,
    "GET /openapi.json": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    # The page is the same for all; what it asks for is not.
    "GET /": PUBLIC,
    "GET /playground/{file}": PUBLIC,
}
