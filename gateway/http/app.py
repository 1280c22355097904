"""The routes of the gateway's HTTP side, as one ASGI application."""

from collections.abc import Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from csm import errors
from csm.serving.auth.authenticator import Authenticator
from csm.serving.calls.recorder import CallRecorder
from csm.serving.health import State
from csm.serving.metrics.http import HttpMetrics
from gateway.access import ROUTES
from gateway.http.bodies import Bodies
from gateway.http.catalog import CatalogRoutes
from gateway.http.codes import CodesRoutes
from gateway.http.connection import origins
from gateway.http.conversation_socket import ConversationRoute
from gateway.http.edge import Edge
from gateway.http.guard import guard
from gateway.http.page import PageRoutes
from gateway.http.router import PathRouter
from gateway.http.speech import SpeechRoute
from gateway.http.texts import TextRoutes
from gateway.http.voices import VoiceRoutes
from gateway.speech import SpeechHandler

ALWAYS = frozenset({"/healthz", "/readyz"})
EXPOSED = (
    "x-request-id",
    "x-csm-seed",
    "x-csm-sample-rate-hz",
    "x-csm-warnings",
    "server-timing",
    "retry-after",
    "retry-after-ms",
    "www-authenticate",
    "allow",
)
"""Headers that a page in a browser may read: all that docs/http.md tells clients of."""


def make_app(
    speech: SpeechHandler,
    metrics: HttpMetrics,
    state: Callable[[], State],
    refusal: Callable[[], errors.ServiceError | None],
    recorder: CallRecorder,
    authenticator: Authenticator | None = None,
) -> ASGIApp:
    """Every route, and what is around them; `authenticator` None: everybody may all."""
    bodies = Bodies(speech.settings)
    speaking = SpeechRoute(speech, bodies, metrics)
    codes = CodesRoutes(speech, bodies)
    voices = VoiceRoutes(speech, bodies)
    texts = TextRoutes(speech, bodies)
    catalog = CatalogRoutes(speech, state)
    conversations = ConversationRoute(speech, metrics)
    routes: list[BaseRoute] = [
        Route("/v1/audio/speech", speaking.speak, methods=["POST"]),
        Route("/v1/audio/speech/{request_id}", speaking.outcome),
        Route("/v1/audio/voices", voices.all, methods=["GET"]),
        Route("/v1/audio/voices", voices.create, methods=["POST"]),
        Route("/v1/audio/voices/{name}", voices.one, methods=["GET"]),
        Route("/v1/audio/voices/{name}", voices.delete, methods=["DELETE"]),
        Route("/v1/text/prepare", texts.prepare, methods=["POST"]),
        Route("/v1/audio/tokens", codes.tokens, methods=["POST"]),
        Route("/v1/audio/detokenize", codes.detokenize, methods=["POST"]),
        Route("/v1/audio/models", catalog.speech_models),
        Route("/v1/models", catalog.models),
        Route("/v1/models/{model}", catalog.model),
        WebSocketRoute("/v1/conversations", conversations.converse),
        Route("/openapi.json", catalog.openapi),
        Route("/healthz", catalog.healthz),
        Route("/readyz", catalog.readyz),
    ]
    if speech.settings.playground:
        page = PageRoutes()
        routes += [Route("/", page.index), Route("/playground/{file}", page.file)]
    guard(routes, ROUTES, authenticator)
    names = {r.endpoint: r.path for r in routes if isinstance(r, Route | WebSocketRoute)}
    app: ASGIApp = Edge(PathRouter(routes), metrics, refusal, names, ALWAYS, recorder)
    if allowed := origins(speech.settings):
        app = CORSMiddleware(
            app,
            allow_origins=allowed,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    return app
