"""The front end of texts for this gateway's settings, its model and its voices."""

from dataclasses import replace

from gateway.backends.backends import Backends
from gateway.settings import GatewaySettings
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon, LexiconFile
from gateway.text.limits import Limits
from gateway.text.options import Markup, TextRules
from gateway.text.voicing import SpeakingVoice, VoiceRefused, Voicing
from gateway.voices.cast import Cast, CastVoice, NotInCast


def rules_of(settings: GatewaySettings) -> TextRules:
    """What is done to texts where a call does not say; without a language, which is the voice's."""
    return TextRules(
        normalize=settings.normalize_text,
        language="",
        markup=Markup(settings.text_markup),
        newline_pause_ms=settings.newline_pause_ms,
        paragraph_pause_ms=settings.paragraph_pause_ms,
    )


DEFAULT_LANGUAGE = "en"
"""Of texts where neither the call nor the voice names one."""
MIN_POSITIONS = 64
"""For a sentence, however long the voices' prompts."""


class Texts:
    """Makes the front end of a turn."""

    def __init__(self, settings: GatewaySettings, backends: Backends) -> None:
        """Raises `ValueError` where the operator's lexicon cannot be read."""
        self._settings = settings
        self._backends = backends
        self._lexicon = LexiconFile(settings.lexicon) if settings.lexicon else None
        self.rules = rules_of(settings)
        """Where a call does not say."""

    def front_end(
        self, rules: TextRules, cast: Cast, *, speaker: int | None = None, must_know: bool = False
    ) -> FrontEnd:
        """For one turn of a conversation with that cast, of which the text may call others.

        `speaker` is the own voice's number where the call names one. `must_know`: a text that
        names a voice which cannot speak is refused; else the own voice speaks, with a warning.
        """
        if not rules.language:
            rules = replace(rules, language=cast.own.voice.language or DEFAULT_LANGUAGE)
        operators = Lexicon({}) if self._lexicon is None else self._lexicon.current()

        def speaking(one: CastVoice) -> SpeakingVoice:
            # What a call says of a word goes before the voice's entry, and that before the
            # operator's.
            lexicon = Lexicon(rules.lexicon).over(one.voice.lexicon).over(operators)
            if one is cast.own and speaker not in (None, one.speaker):
                # Another's number for this call alone: the conversation keeps the voice's own.
                return SpeakingVoice("", speaker, lexicon)
            return SpeakingVoice(one.voice.name, one.speaker, lexicon)

        def find(name: str) -> SpeakingVoice:
            try:
                return speaking(cast.voice(name))
            except NotInCast as refused:
                raise VoiceRefused(str(refused)) from None

        limits = _LimitsBeside(self._backends, self._settings.max_sentence_chars, cast)
        return FrontEnd(rules, Voicing(speaking(cast.own), find, limits, must_know))


class _LimitsBeside:
    """What a sentence may be beside the prompts of a cast, which may grow."""

    def __init__(self, backends: Backends, max_chars: int, cast: Cast) -> None:
        self._info = backends.info
        self._max_chars = max_chars
        self._cast = cast
        self._prompts: object = None
        self._limits = Limits(max_chars)

    def __call__(self) -> Limits:
        prompts = self._cast.prompts
        if prompts is not self._prompts:
            self._prompts = prompts
            taken = sum(p.num_frames + len(p.text.encode()) for p in prompts)
            generator = self._info.generator
            self._limits = Limits.of_model(
                self._max_chars,
                max(MIN_POSITIONS, generator.max_positions - taken),
                self._info.frame_ms,
                generator.characters,
            )
        return self._limits
