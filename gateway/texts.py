"""The front end of texts for this gateway's settings, its model and its voices."""

from dataclasses import replace

from gateway.backends.backends import Backends
from gateway.settings import GatewaySettings
from gateway.text.front_end import FrontEnd, Limits
from gateway.text.lexicon import Lexicon, LexiconFile
from gateway.text.options import Markup, TextRules
from gateway.voices.voice import LibraryVoice


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
"""For a sentence, however long a voice's prompts."""


class Texts:
    """Makes the front end of a turn."""

    def __init__(self, settings: GatewaySettings, backends: Backends) -> None:
        """Raises `ValueError` where the operator's lexicon cannot be read."""
        self._settings = settings
        self._backends = backends
        self._lexicon = LexiconFile(settings.lexicon) if settings.lexicon else None
        self.rules = rules_of(settings)
        """Where a call does not say."""

    def front_end(self, rules: TextRules, voice: LibraryVoice) -> FrontEnd:
        """For one turn of that voice."""
        if not rules.language:
            rules = replace(rules, language=voice.language or DEFAULT_LANGUAGE)
        # What a call says of a word goes before the voice's entry, and that before the operator's.
        lexicon = Lexicon(rules.lexicon).over(voice.lexicon)
        if self._lexicon is not None:
            lexicon = lexicon.over(self._lexicon.current())
        info = self._backends.info
        prompts = sum(p.num_frames + len(p.text.encode()) for p in voice.prompts)
        limits = Limits.of_model(
            self._settings.max_sentence_chars,
            max(MIN_POSITIONS, info.generator.max_positions - prompts),
            info.frame_ms,
            info.generator.characters,
        )
        return FrontEnd(rules, lexicon, limits)
