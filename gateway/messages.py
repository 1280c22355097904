"""Protobuf into checked data, and data into protobuf. Every field that is wrong is named.

An error gives the field, its value (never a caller's words) and what is allowed.
"""

from collections.abc import Callable
from dataclasses import replace

from csm.audio import frames
from csm.audio.opus import complete_opus_format
from csm.audio.pcm import AudioError, complete_format
from csm.errors import InvalidArgument, invalid, status_message
from csm.limits import LARGER_FILES, MAX_CONTEXT_FILE_BYTES, MAX_ID_CHARS
from csm.v1 import common_pb2, speech_pb2
from gateway.backends.backends import Info
from gateway.backends.convert import audio_format
from gateway.commands import (
    Cancel,
    Command,
    ContextEntry,
    ConverseOptions,
    EndOfTurn,
    Flush,
    HeardPart,
    Resume,
    SamplingOptions,
    StreamFormat,
    Synthesis,
    TextPart,
)
from gateway.marks.spoken_word import SpokenWord
from gateway.settings import GatewaySettings
from gateway.sound_messages import sound_rules_of
from gateway.speaking.events import (
    Audio,
    ConversationOpened,
    Event,
    SpeechTurnCompleted,
    SpeechTurnStarted,
    SpeechTurnTruncated,
)
from gateway.text.markup.characters import speakable
from gateway.text.markup.voice_tags import MAX_NAME_CHARS
from gateway.text.options import TextRules
from gateway.text_messages import prepared as prepared
from gateway.text_messages import text_rules_of, warning_message
from gateway.violations import CONTROL, Violations

MAX_HEARD_BYTES = 1 << 20


class Checker:
    """Turns messages into data for one server's limits."""

    def __init__(self, settings: GatewaySettings, info: Info) -> None:
        self._settings = settings
        self._info = info

    def synthesis(self, request: speech_pb2.SynthesizeRequest, rules: TextRules) -> Synthesis:
        """The call; raises `InvalidArgument` naming every field at fault."""
        found = Violations()
        found.text("text", request.text, self._settings.max_text_chars, may_be_empty=True)
        if not request.text and not request.context:
            found.add(
                "text",
                f"is empty; allowed are 1..{self._settings.max_text_chars} characters, or an "
                "empty text with context whose last turn has sound",
            )
        elif not request.text and request.context[-1].WhichOneof("sound") is None:
            found.add(
                "text", "is empty; allowed only where the context's last turn has sound to continue"
            )
        if request.context and request.conversation_id:
            found.add(
                "context", "is not allowed with a conversation_id, which brings its own context"
            )
        limit = self._settings.max_context_turns
        if len(request.context) > limit:
            found.add("context", f"{len(request.context)} turns; allowed are at most {limit}")
        found.conversation_id("conversation_id", request.conversation_id)
        speaker = request.speaker if request.HasField("speaker") else None
        found.speaker("speaker", speaker)
        found.sampling("sampling", request.sampling)
        found.audio_ms("max_audio_ms", request.max_audio_ms)
        found.lead_ms("max_lead_ms", request.max_lead_ms)
        context = [
            self._context(found, f"context[{i}]", turn)
            for i, turn in enumerate(request.context[:limit])
        ]
        form = self._output_form(found, "format", request.format)
        text_rules = text_rules_of(found, "text_options", request.text_options, rules)
        sound = sound_rules_of(found, "sound_options", request.sound_options)
        found.raise_any()
        return Synthesis(
            request.text,
            request.voice,
            request.conversation_id,
            context,
            speaker,
            sampling_of(request.sampling),
            request.max_audio_ms,
            form,
            request.max_lead_ms or self._settings.default_max_lead_ms,
            text_rules,
            sound,
            request.word_times,
        )

    def opening(self, config: speech_pb2.ConverseConfig, rules: TextRules) -> ConverseOptions:
        """The conversation; raises `InvalidArgument` naming every field at fault."""
        found = Violations()
        found.conversation_id("config.conversation_id", config.conversation_id)
        heard_speaker = config.heard_speaker if config.HasField("heard_speaker") else None
        found.speaker("config.heard_speaker", heard_speaker)
        found.sampling("config.sampling", config.sampling)
        found.audio_ms("config.max_audio_ms", config.max_audio_ms)
        found.lead_ms("config.max_lead_ms", config.max_lead_ms)
        output = self._output_form(found, "config.output_format", config.output_format)
        heard = self._form(found, "config.input_format", config.input_format)
        text_rules = text_rules_of(found, "config.text_options", config.text_options, rules)
        sound = sound_rules_of(found, "config.sound_options", config.sound_options)
        found.raise_any()
        return ConverseOptions(
            config.conversation_id,
            config.voice,
            sampling_of(config.sampling),
            config.max_audio_ms,
            output,
            heard,
            config.max_lead_ms or self._settings.default_max_lead_ms,
            heard_speaker,
            text_rules,
            sound,
            config.word_times,
        )

    def text_to_prepare(
        self, request: speech_pb2.PrepareTextRequest, rules: TextRules
    ) -> tuple[str, str, TextRules]:
        """Text, voice's name and rules; raises `InvalidArgument` naming every field at fault."""
        found = Violations()
        limit = self._settings.max_text_chars
        if not 0 < len(request.text) <= limit:
            found.add("text", f"{len(request.text)} characters; allowed are 1..{limit}")
        text_rules = text_rules_of(found, "text_options", request.text_options, rules)
        found.raise_any()
        return request.text, request.voice, text_rules

    def command(self, request: speech_pb2.ConverseRequest) -> Command:
        """A message after the config; raises `InvalidArgument`."""
        kind = request.WhichOneof("request")
        if kind == "heard_audio":
            size = len(request.heard_audio.audio)
            if size > MAX_HEARD_BYTES:
                raise invalid(
                    "heard_audio.audio", f"{size} bytes; allowed are at most {MAX_HEARD_BYTES}"
                )
            return HeardPart(request.heard_audio.audio)
        if kind == "text":
            # One character more than any name has is enough of it.
            return TextPart(request.text.text, request.text.voice[: MAX_NAME_CHARS + 1])
        if kind == "flush":
            return Flush()
        if kind == "end_of_turn":
            # What has no letter or digit is what a recogniser makes of noise, and ends no call.
            heard_text, limit = request.end_of_turn.heard_text, self._settings.max_text_chars
            if len(heard_text) > limit:
                raise invalid(
                    "end_of_turn.heard_text",
                    f"{len(heard_text)} characters; allowed are at most {limit}",
                )
            return EndOfTurn(heard_text)
        if kind == "cancel":
            cancel = request.cancel
            return Cancel(cancel.turn_id, cancel.heard_ms if cancel.HasField("heard_ms") else None)
        if kind == "resume":
            resume, size = request.resume, len(request.resume.turn_id)
            if not 0 < size <= MAX_ID_CHARS:
                raise invalid("resume.turn_id", f"{size} characters; allowed are 1..{MAX_ID_CHARS}")
            if CONTROL.search(resume.turn_id):
                raise invalid("resume.turn_id", "has control characters; allowed are all others")
            return Resume(resume.turn_id, resume.heard_ms if resume.HasField("heard_ms") else None)
        if kind == "config":
            raise invalid("config", "was sent a second time; allowed is once, first")
        raise invalid(
            "request",
            "is empty; allowed are heard_audio, text, flush, end_of_turn, cancel and resume",
        )

    def conversation_id(self, value: str) -> str:
        """A conversation's name; raises `InvalidArgument`."""
        found = Violations()
        found.conversation_id("conversation_id", value)
        if not value:
            found.add("conversation_id", f"is empty; allowed are 1..{MAX_ID_CHARS} characters")
        found.raise_any()
        return value

    def _form(
        self,
        found: "Violations",
        field: str,
        form: common_pb2.AudioFormat,
        complete: Callable[..., common_pb2.AudioFormat] = complete_format,
    ) -> StreamFormat:
        try:
            full = complete(form, self._info.tokenizer.sample_rate_hz, field)
            return StreamFormat(full.encoding, full.sample_rate_hz, full.channels)
        except AudioError as error:
            found.add(error.field, error.description)
            return StreamFormat(form.encoding, form.sample_rate_hz, form.channels)

    def _output_form(
        self, found: "Violations", field: str, form: common_pb2.AudioFormat
    ) -> StreamFormat:
        """What the turn is made in: PCM also for Opus, which it becomes on its way out."""
        full = self._form(found, field, form, complete_opus_format)
        if is_ogg_opus(form):
            return replace(full, encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE)
        return full

    def _context(
        self, found: "Violations", field: str, turn: speech_pb2.ContextTurn
    ) -> ContextEntry:
        found.speaker(f"{field}.speaker", turn.speaker)
        limit = self._settings.max_text_chars
        if len(turn.text) > limit:
            found.add(f"{field}.text", f"{len(turn.text)} characters; allowed are at most {limit}")
        sound = turn.WhichOneof("sound")
        if sound == "audio_file":
            size = len(turn.audio_file)
            if not 0 < size <= MAX_CONTEXT_FILE_BYTES:
                remedy = f"; {LARGER_FILES}" if size else ""
                found.add(
                    f"{field}.audio_file",
                    f"{size} bytes; allowed are 1..{MAX_CONTEXT_FILE_BYTES}{remedy}",
                )
            return ContextEntry(field, turn.speaker, turn.text, audio_file=turn.audio_file)
        if sound == "frames":
            tokenizer = self._info.tokenizer
            try:
                frames.unpack(
                    turn.frames,
                    num_codebooks=tokenizer.num_codebooks,
                    codebook_size=tokenizer.codebook_size,
                    field=f"{field}.frames",
                )
            except InvalidArgument as error:
                found.extend(error.violations)
            if not turn.frames.num_frames:
                found.add(f"{field}.frames.num_frames", "0; allowed is at least 1")
            return ContextEntry(
                field,
                turn.speaker,
                turn.text,
                codes=turn.frames.codes,
                num_frames=turn.frames.num_frames,
            )
        if not speakable(turn.text):
            found.add(field, "has neither sound nor words; allowed is a turn with one or both")
        return ContextEntry(field, turn.speaker, turn.text)


def sampling_of(message: common_pb2.Sampling) -> SamplingOptions:
    """How codes are drawn, as data."""
    names = ("temperature", "depth_temperature", "top_k", "top_p", "seed", "min_audio_ms")
    return SamplingOptions(**{n: getattr(message, n) for n in names if message.HasField(n)})


def is_ogg_opus(form: common_pb2.AudioFormat) -> bool:
    """Whether audio in this format goes out as `gateway.speaking.opus_stream` makes it."""
    return form.encoding == common_pb2.AUDIO_ENCODING_OGG_OPUS


def synthesized(event: Event) -> speech_pb2.SynthesizeResponse:
    """An event of a Synthesize call."""
    match event:
        case Audio():
            return speech_pb2.SynthesizeResponse(audio=_audio(event))
        case SpeechTurnStarted():
            return speech_pb2.SynthesizeResponse(started=_started(event))
        case SpeechTurnCompleted():
            return speech_pb2.SynthesizeResponse(completed=_completed(event))
        case _:
            raise TypeError(f"{type(event).__name__} is no event of Synthesize")


def conversed(event: Event) -> speech_pb2.ConverseResponse:
    """An event of a Converse call."""
    match event:
        case Audio():
            return speech_pb2.ConverseResponse(audio=_audio(event))
        case SpeechTurnStarted():
            return speech_pb2.ConverseResponse(turn_started=_started(event))
        case SpeechTurnCompleted():
            return speech_pb2.ConverseResponse(turn_completed=_completed(event))
        case SpeechTurnTruncated():
            truncated = speech_pb2.SpeechTurnTruncated(
                turn_id=event.turn_id,
                kept_audio_ms=event.kept_audio_ms,
                kept_text=event.kept_text,
            )
            return speech_pb2.ConverseResponse(turn_truncated=truncated)
        case ConversationOpened():
            opened = speech_pb2.ConverseStarted(
                conversation_id=event.conversation_id,
                output_format=audio_format(event.form),
                num_turns=event.num_turns,
                voice=event.voice,
            )
            return speech_pb2.ConverseResponse(started=opened)


def _started(event: SpeechTurnStarted) -> speech_pb2.SpeechTurnStarted:
    return speech_pb2.SpeechTurnStarted(
        turn_id=event.turn_id, format=audio_format(event.form), seed=event.seed
    )


def _audio(event: Audio) -> speech_pb2.SpeechAudio:
    message = speech_pb2.SpeechAudio(
        turn_id=event.turn_id,
        audio=event.pcm,
        first_sample=event.first_sample,
        text_chars=event.text_chars,
    )
    if event.words:
        names = SpokenWord.__slots__
        message.words.extend(
            speech_pb2.WordTime(**{n: getattr(word, n) for n in names}) for word in event.words
        )
    return message


def _completed(event: SpeechTurnCompleted) -> speech_pb2.SpeechTurnCompleted:
    usage, timing = event.usage, event.timing
    message = speech_pb2.SpeechTurnCompleted(
        turn_id=event.turn_id,
        finish_reason=f"FINISH_REASON_{event.finish_reason.name}",
        usage=common_pb2.Usage(**{n: getattr(usage, n) for n in usage.__slots__}),
        timing=common_pb2.Timing(
            **{f.name: getattr(timing, f.name) for f in common_pb2.Timing.DESCRIPTOR.fields}
        ),
        kept_audio_ms=event.kept_audio_ms,
        heard=event.heard,
        warnings=[warning_message(warning) for warning in event.warnings],
    )
    if event.error is not None:
        message.error.CopyFrom(status_message(event.error))
    return message
