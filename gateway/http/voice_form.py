"""The form that `POST /v1/audio/voices` takes: a name, recordings, their words."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from csm import errors
from csm.limits import MAX_RECORDING_BYTES
from gateway.http.bodies import Bodies, read_on
from gateway.http.errors import HttpError
from gateway.violations import Violations
from gateway.voices.created.asked import MAX_RECORDINGS, MAX_RECORDINGS_BYTES, VoiceRecording
from gateway.voices.voice_file import MAX_TEXT_CHARS

MULTIPART = "multipart/form-data"
MAX_FORM_BYTES = MAX_RECORDINGS_BYTES + (1 << 20)
"""Recordings, and the fields beside them."""
MAX_FIELDS = 64
MAX_FIELD_BYTES = 64 << 10
MAX_TOLD = 8
NAMES = {"file": "file", "audio_sample": "file", "text": "text", "ref_text": "text"}
"""Recordings and words by their names here, and those of OpenAI and of vLLM."""


@dataclass
class VoiceForm:
    """What was filled in."""

    name: str = ""
    recordings: list[VoiceRecording] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    """The object `csm`, not checked yet."""
    unknown: list[str] = field(default_factory=list)
    """Fields that mean nothing here."""


class _Parser(MultiPartParser):
    spool_max_size = MAX_FORM_BYTES
    """Recordings stay in memory, where they are counted: nothing of them touches a disk."""


async def voice_form(request: Request, bodies: Bodies, holding: Callable[[int], None]) -> VoiceForm:
    """The form, its parts counted by `holding` before they are kept.

    Raises `HttpError` 400, 408, 413 or 415, `InvalidArgument` that names every field at fault,
    what `holding` raises, `ClientGone`.
    """
    kind = Headers(scope=request.scope).get("content-type", "").lower()
    if not kind.startswith(MULTIPART):
        await read_on(request.receive)
        raise HttpError(415, "unsupported_media_type", f"Content-Type: must be {MULTIPART}")

    async def counted() -> AsyncIterator[bytes]:
        async for part in await bodies.parts(request.scope, request.receive, MAX_FORM_BYTES):
            try:
                holding(len(part))
            except errors.ServiceError:
                await read_on(request.receive)
                raise
            yield part

    parser = _Parser(
        request.headers,
        counted(),  # type: ignore[arg-type]
        max_files=MAX_RECORDINGS + 1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        await read_on(request.receive)
        raise HttpError(400, "invalid_form", f"body: {error.message}") from None
    try:
        return await _filled(form)
    finally:
        await form.close()


async def _filled(form: FormData) -> VoiceForm:
    found, filled = Violations(), VoiceForm()
    files: list[bytes] = []
    texts: list[str] = []
    for name, value in form.multi_items():
        known = NAMES.get(name, name)
        if known not in ("name", "csm", "file", "text"):
            filled.unknown.append(name)
        elif known == "file" and isinstance(value, UploadFile):
            files.append(await _recording(found, f"file[{len(files)}]", value))
        elif known == "file" or isinstance(value, UploadFile):
            found.add(known, "must be a file" if known == "file" else "must be text, not a file")
        elif known == "text":
            found.text(f"text[{len(texts)}]", value, MAX_TEXT_CHARS, may_be_empty=False)
            texts.append(value)
        elif known == "csm":
            filled.extras = _object(found, value)
        else:
            filled.name = value
    if len(files) > MAX_RECORDINGS:
        found.add("file", f"more than {MAX_RECORDINGS}; allowed are at most so many")
    if len(texts) != len(files):
        found.add(
            "text", f"{len(texts)} for {len(files)} files; allowed is one for each, in their order"
        )
    found.raise_any()
    filled.recordings = [VoiceRecording(t, f) for t, f in zip(texts, files, strict=True)]
    return filled


async def _recording(found: Violations, name: str, value: UploadFile) -> bytes:
    data = await value.read()
    if not 0 < len(data) <= MAX_RECORDING_BYTES:
        found.add(name, f"{len(data)} bytes; allowed is a file of 1..{MAX_RECORDING_BYTES}")
    return data


def _object(found: Violations, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    found.add("csm", "must be a JSON object")
    return {}
