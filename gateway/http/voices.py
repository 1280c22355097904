"""`/v1/audio/voices`: the voices there are, one of them, a new one, one fewer."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from csm import errors
from gateway.http import messages
from gateway.http.bodies import Bodies, read_on
from gateway.http.connection import client_of
from gateway.http.voice_form import MAX_TOLD, voice_form
from gateway.owner import owner_of_call
from gateway.speech import SpeechHandler
from gateway.voices.voice import LibraryVoice, VoiceOrigin
from gateway.voices.voices import Voices

_SHOWN = re.compile(r"\w{1,64}", re.ASCII)
"""Names of unknown fields that are repeated to who sent them."""


class VoiceRoutes:
    """The routes."""

    def __init__(self, speech: SpeechHandler, bodies: Bodies) -> None:
        self._speech = speech
        self._bodies = bodies

    async def all(self, request: Request) -> Response:
        """All voices, in a shape that the clients of the three usual ones read."""
        voices = self._speech.voices.of(owner_of_call())
        found = [_voice(voices, voice) for voice in voices.all()]
        made = [voice for voice in found if voice["source"] == "created"]
        return JSONResponse(
            {
                "object": "list",
                "voices": found,
                "data": found,
                "uploaded_voices": made,
                "default_voice": voices.default,
            }
        )

    async def one(self, request: Request) -> Response:
        """A voice with what is known of its recordings."""
        name = messages.voice_name(request.path_params["name"])
        owner = owner_of_call()
        await self._speech.keeper.look_for(name, owner=owner)
        voices = self._speech.voices.of(owner)
        voice = voices.get(name)
        consent = None
        if voice.consent is not None:
            consent = {"statement": voice.consent.statement, "given_by": voice.consent.given_by}
        return JSONResponse(_whole(voices, voice) | {"consent": consent})

    async def create(self, request: Request) -> Response:
        """Makes a voice of recordings and their words."""
        try:
            return await self._create(request)
        except errors.QuotaExceeded:
            await read_on(request.receive)
            raise

    async def _create(self, request: Request) -> Response:
        keeper, owner = self._speech.keeper, owner_of_call()
        client = client_of(request.scope)
        async with self._speech.creating_voice(client, owner=owner) as holding:
            form = await voice_form(request, self._bodies, holding)
            asked = messages.new_voice(form.name, form.extras)
            try:
                voice = await keeper.create(asked, form.recordings, None, owner=owner)
            except errors.InvalidArgument as error:
                raise messages.renamed_of_voice(error) from None
        whole = _whole(self._speech.voices.of(owner), voice)
        told = [f"{name}: not known" for name in form.unknown if _SHOWN.fullmatch(name)]
        return JSONResponse(whole | {"warnings": told[:MAX_TOLD]})

    async def delete(self, request: Request) -> Response:
        """Forgets a voice that was created."""
        name = messages.voice_name(request.path_params["name"])
        await self._speech.keeper.delete(name, owner=owner_of_call())
        return JSONResponse({"id": name, "object": "audio.voice", "deleted": True})


def _voice(voices: Voices, voice: LibraryVoice) -> dict[str, Any]:
    return {
        "id": voice.name,
        "name": voice.name,
        "object": "audio.voice",
        "created_at": voice.updated_unix_s,
        "description": voice.description,
        "language": voice.language,
        "speaker": voice.speaker,
        "prompt_segments": len(voice.prompts),
        "aliases": voices.aliases_of(voice),
        "source": voice.origin.name.lower(),
        "deletable": voice.origin is VoiceOrigin.CREATED and voice.name != voices.default,
    }


def _whole(voices: Voices, voice: LibraryVoice) -> dict[str, Any]:
    pairs = zip(voice.prompts, voice.qualities, strict=False)
    return _voice(voices, voice) | {
        "recordings": [
            {
                "text": prompt.text,
                "audio_ms": quality.audio_ms,
                "loudness_lufs": round(quality.loudness_lufs, 1),
                "peak_dbfs": round(quality.peak_dbfs, 1),
                "noise_dbfs": round(quality.noise_dbfs, 1),
                "warnings": list(quality.warnings),
            }
            for prompt, quality in pairs
        ]
    }
