"""What there is: models, voices, and whether the gateway is well."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from csm import errors
from csm.serving.health import State
from gateway.http.openapi import document
from gateway.http.speech_body import OPENAI_MODELS
from gateway.speech import SpeechHandler


class CatalogRoutes:
    """The routes that only tell."""

    def __init__(self, speech: SpeechHandler, state: Callable[[], State]) -> None:
        self._speech = speech
        self._state = state
        self._document: bytes | None = None

    async def models(self, request: Request) -> Response:
        """The model that is served, and OpenAI's names for it."""
        found = [_model(name) for name in self._names()]
        return JSONResponse({"object": "list", "data": found, "models": found})

    async def speech_models(self, request: Request) -> Response:
        """The same, where Open WebUI looks."""
        return await self.models(request)

    async def model(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["model"]
        if name not in self._names():
            raise errors.NotFound("model", name[:64], f"known are {', '.join(self._names())}")
        return JSONResponse(_model(name))

    async def openapi(self, request: Request) -> Response:
        """The document about all this."""
        if self._document is None:
            # Anybody may ask for it, and to make it takes milliseconds.
            answer = JSONResponse(document(self._speech.settings.max_text_chars))
            self._document = bytes(answer.body)
        return Response(self._document, media_type=JSONResponse.media_type)

    async def healthz(self, request: Request) -> Response:
        """200 while only a restart would not help."""
        state = self._state()
        return PlainTextResponse(
            f"{'alive' if state.alive else state.reason}\n", 200 if state.alive else 503
        )

    async def readyz(self, request: Request) -> Response:
        """200 while the gateway takes calls."""
        state = self._state()
        notice = f"warning: {state.notice}\n" if state.notice else ""
        return PlainTextResponse(
            f"{state.reason or 'ready'}\n{notice}", 200 if state.ready else 503
        )

    def _names(self) -> list[str]:
        return [self._speech.backends.info.generator.model or "csm", *OPENAI_MODELS]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "object": "model", "created": 0, "owned_by": "csm"}
