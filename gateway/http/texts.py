"""`POST /v1/text/prepare`: how a text would be spoken, without speaking it."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.http import messages
from gateway.http.bodies import Bodies
from gateway.http.openai_voices import name_or_default
from gateway.http.outcomes import warning_json
from gateway.http.speech_body import voice_name
from gateway.messages import Checker
from gateway.owner import owner_of_call
from gateway.speaking.events import TurnWarning, WarningKind
from gateway.speaking.warnings import of_text
from gateway.speech import SpeechHandler


class TextRoutes:
    """The route."""

    def __init__(self, speech: SpeechHandler, bodies: Bodies) -> None:
        self._speech = speech
        self._bodies = bodies

    async def prepare(self, request: Request) -> Response:
        """The spoken form, the sentences and the warnings of a text."""
        speech = self._speech
        given = await self._bodies.json(request.scope, request.receive)
        checker = Checker(speech.settings, speech.backends.info)
        owner = owner_of_call()
        voice, warning = await name_or_default(speech, voice_name(given), owner=owner)
        asked = messages.text_to_prepare(checker, given | {"voice": voice}, speech.texts.rules)
        prepared = await speech.prepare(*asked, owner=owner)
        warnings = [of_text(one) for one in prepared.warnings]
        if warning:
            warnings.insert(0, TurnWarning(WarningKind.IGNORED, "voice", 0, 0, warning))
        pairs = zip(prepared.sentences, prepared.positions, strict=True)
        return JSONResponse(
            {
                "object": "text.prepared",
                "spoken_form": prepared.spoken_form,
                "expected_ms": prepared.expected_ms,
                "sentences": [
                    {
                        "text": sentence.written,
                        "spoken_form": sentence.text,
                        "first_char": sentence.first_char,
                        "end_char": sentence.end_char,
                        "positions": positions,
                        "expected_ms": sentence.expected_ms,
                        "pause_before_ms": sentence.pause_ms,
                    }
                    for sentence, positions in pairs
                ],
                "warnings": [warning_json(one) for one in warnings],
            }
        )
