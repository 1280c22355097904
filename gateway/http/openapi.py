"""The OpenAPI document: the routes, and what their bodies may have, from the code's own models."""

from typing import Any

import csm
from gateway.http.messages import new_voice_schema, speech_extras_schema, text_options_schema
from gateway.http.speech_body import SpeechBody, VoiceBody
from gateway.voices.names import MAX_NAME_CHARS

_AUDIO = ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {
                    "enum": ["invalid_request_error", "rate_limit_error", "server_error"],
                },
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
                "violations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "field": {"type": "string"},
                            "description": {"type": "string"},
                        },
                    },
                },
            },
        }
    },
}


def document(max_text_chars: int) -> dict[str, Any]:
    """OpenAPI 3.1. What is certain to be refused for its length is said too."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "csm",
            "version": csm.__version__,
            "description": "Speech as OpenAI's clients ask for it. Conversations are a WebSocket, "
            "/v1/conversations, which OpenAPI cannot describe: docs/http.md does.",
        },
        "paths": {
            "/v1/audio/speech": {"post": _speech(max_text_chars)},
            "/v1/audio/speech/{request_id}": {
                "get": _operation(
                    "speechOutcome",
                    "How a request to speak ended",
                    _json(_list_of("object", "request_id", "status", "warnings")),
                    404,
                    path="request_id",
                )
            },
            "/v1/audio/voices": {
                "get": _operation(
                    "listVoices", "All voices", _json(_list_of("object", "voices", "data"))
                ),
                "post": _create_voice(),
            },
            "/v1/audio/voices/{name}": {
                "get": _operation(
                    "getVoice", "A voice and what is known of its recordings",
                    _json(_list_of("id", "object", "recordings")), 400, 404, 409, path="name",
                ),
                "delete": _operation(
                    "deleteVoice", "Forgets a voice that was created",
                    _json(_list_of("id", "object", "deleted")), 400, 404, 409, path="name",
                ),
            },
            "/v1/text/prepare": {"post": _prepare(max_text_chars)},
            "/v1/audio/tokens": {"post": _tokens()},
            "/v1/audio/detokenize": {"post": _detokenize()},
            "/v1/audio/models": {"get": _models("listSpeechModels")},
            "/v1/models": {"get": _models("listModels")},
            "/v1/models/{model}": {
                "get": _operation(
                    "getModel", "One of the models", _json(_list_of("id", "object")), 404,
                    path="model",
                )
            },
            "/healthz": {"get": _operation("healthz", "Whether it is alive", _TEXT, probe=True)},
            "/readyz": {"get": _operation("readyz", "Whether it takes calls", _TEXT, probe=True)},
            "/openapi.json": {
                "get": _operation("openapi", "This document", _json({"type": "object"}))
                | {"security": []}
            },
        },
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # None is needed where identity is off.
        "security": [{"token": []}, {}],
    }  # fmt: skip


def speech_schema(max_text_chars: int) -> dict[str, Any]:
    """Of the body of a request to speak."""
    schema = SpeechBody.model_json_schema()
    del schema["$defs"]
    schema["properties"]["input"] |= {"minLength": 1, "maxLength": max_text_chars}
    schema["properties"]["voice"] = _voice_schema()
    schema["properties"]["csm"] = speech_extras_schema() | {
        "description": "what only this server knows: docs/http.md"
    }
    return schema


def _voice_schema() -> dict[str, Any]:
    schema = VoiceBody.model_json_schema()
    named, voice = schema["$defs"]["NamedVoice"], schema["properties"]["voice"]
    kinds = [named if "$ref" in one else one for one in voice["anyOf"]]
    return {**voice, "anyOf": kinds}


def _speech(max_text_chars: int) -> dict[str, Any]:
    content: dict[str, Any] = dict.fromkeys(_AUDIO, _BYTES)
    data = {
        "type": "string",
        "description": "JSON whose type is speech.audio.delta (audio: base64), speech.audio.done "
        "(usage) or speech.audio.error (error)",
    }
    event = {"type": "object", "required": ["data"], "properties": {"data": data}}
    content["text/event-stream"] = {"schema": event}
    found = _operation("createSpeech", "Speak a text", content, 400, 404, 409, 413, 415)
    found["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": speech_schema(max_text_chars)}},
    }
    return found


def _create_voice() -> dict[str, Any]:
    found = _operation(
        "createVoice",
        "Make a voice of recordings and their words",
        _json(_list_of("id", "object", "recordings", "warnings")),
        400, 409, 413, 415,
    )  # fmt: skip
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}
    properties = {
        "name": name,
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "text": {"type": "array", "items": {"type": "string"}},
        "csm": new_voice_schema(),
    }
    schema = {"type": "object", "required": ["name"], "properties": properties}
    found["requestBody"] = {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": schema,
                "encoding": {"csm": {"contentType": "application/json"}},
            }
        },
    }
    return found


def _prepare(max_text_chars: int) -> dict[str, Any]:
    found = _operation(
        "prepareText",
        "How a text would be spoken",
        _json(_list_of("object", "spoken_form", "sentences", "warnings")),
        400, 404, 409, 413, 415,
    )  # fmt: skip
    text = {"type": "string", "minLength": 1, "maxLength": max_text_chars}
    properties = {"input": text, "voice": _voice_schema(), "text_options": text_options_schema()}
    schema = {"type": "object", "required": ["input"], "properties": properties}
    found["requestBody"] = {"required": True, "content": _json(schema)}
    return found


def _tokens() -> dict[str, Any]:
    content = {"application/octet-stream": _BYTES}
    found = _operation("encode", "A recording into codes (safetensors)", content, 400, 413, 415)
    found["requestBody"] = {
        "required": True,
        "content": {"audio/wav": _BYTES, "application/octet-stream": _BYTES},
    }
    return found


def _detokenize() -> dict[str, Any]:
    found = _operation(
        "decode", "Codes (safetensors) into a recording", {"audio/wav": _BYTES}, 400, 413, 415
    )
    found["requestBody"] = {"required": True, "content": {"application/octet-stream": _BYTES}}
    return found


def _models(name: str) -> dict[str, Any]:
    return _operation(name, "The models", _json(_list_of("object", "data", "models")))


def _operation(
    name: str,
    summary: str,
    content: dict[str, Any],
    *refusals: int,
    path: str = "",
    probe: bool = False,
) -> dict[str, Any]:
    error = {"description": "an error", "content": _json({"$ref": "#/components/schemas/Error"})}
    answers: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if probe:
        answers["503"] = {"description": "it is not", "content": _TEXT}
    else:
        answers |= {str(s): error for s in (*refusals, 401, 403, 408, 429, 500, 503, 504)}
    found: dict[str, Any] = {"operationId": name, "summary": summary, "responses": answers}
    if probe:
        found["security"] = []
    if path:
        found["parameters"] = [
            {"name": path, "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    return found


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _list_of(*required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required)}
