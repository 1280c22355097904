"""Protobuf of texts and what is done to them: options into rules, a prepared text into messages."""

import re
from collections.abc import Sequence
from dataclasses import replace

from csm.v1 import common_pb2, speech_pb2
from gateway.prepare import PreparedSentences
from gateway.speaking.events import TurnWarning
from gateway.speaking.warnings import of_text
from gateway.text.options import MAX_PAUSE_MS, Markup, TextRules
from gateway.violations import Violations
from gateway.voices.voice_file import LANGUAGE

MAX_LEXICON_ENTRIES = 256
MAX_WORD_CHARS = 64
MAX_SPELLING_CHARS = 256
_LANGUAGE = re.compile(LANGUAGE)
_MARKUP = {speech_pb2.TextMarkup.Value(f"TEXT_MARKUP_{markup.name}"): markup for markup in Markup}


def text_rules_of(
    found: Violations, field: str, options: speech_pb2.TextOptions, default: TextRules
) -> TextRules:
    """The rules that a call asks for, the default where it does not say."""
    rules = default
    if options.HasField("normalize"):
        rules = replace(rules, normalize=options.normalize)
    if options.language:
        if not _LANGUAGE.fullmatch(options.language):
            found.add(
                f"{field}.language",
                f"{options.language[:32]!r} is no language; allowed are BCP 47 tags such as en-GB",
            )
        rules = replace(rules, language=options.language)
    if options.markup:
        if options.markup not in _MARKUP:
            allowed = ", ".join(f"TEXT_MARKUP_{markup.name}" for markup in Markup)
            found.add(f"{field}.markup", f"{options.markup} is not allowed; allowed are {allowed}")
        rules = replace(rules, markup=_MARKUP.get(options.markup, rules.markup))
    for name in ("newline_pause_ms", "paragraph_pause_ms"):
        if options.HasField(name):
            value = getattr(options, name)
            if value > MAX_PAUSE_MS:
                found.add(
                    f"{field}.{name}", f"{value} is not allowed; allowed are 0..{MAX_PAUSE_MS}"
                )
            rules = replace(rules, **{name: value})
    if options.lexicon:
        rules = replace(rules, lexicon=lexicon_of(found, f"{field}.lexicon", options.lexicon))
    return rules


def lexicon_of(
    found: Violations, field: str, entries: Sequence[speech_pb2.LexiconEntry]
) -> dict[str, str]:
    """The entries of a lexicon; what is wrong with them is added to `found`."""
    if len(entries) > MAX_LEXICON_ENTRIES:
        found.add(field, f"{len(entries)} entries; allowed are at most {MAX_LEXICON_ENTRIES}")
    lexicon = {}
    for number, entry in enumerate(entries[:MAX_LEXICON_ENTRIES]):
        word, spelling = entry.word.strip(), entry.spelling.strip()
        if not 0 < len(word) <= MAX_WORD_CHARS:
            found.add(
                f"{field}[{number}].word",
                f"{len(word)} characters; allowed are 1..{MAX_WORD_CHARS}",
            )
        if not 0 < len(spelling) <= MAX_SPELLING_CHARS:
            found.add(
                f"{field}[{number}].spelling",
                f"{len(spelling)} characters; allowed are 1..{MAX_SPELLING_CHARS}",
            )
        lexicon[word] = spelling
    return lexicon


def prepared(text: PreparedSentences) -> speech_pb2.PrepareTextResponse:
    """A prepared text on the wire."""
    return speech_pb2.PrepareTextResponse(
        spoken_form=text.spoken_form,
        sentences=[
            speech_pb2.PreparedSentence(
                text=sentence.written,
                spoken_form=sentence.text,
                first_char=sentence.first_char,
                end_char=sentence.end_char,
                positions=positions,
                expected_ms=sentence.expected_ms,
                pause_before_ms=sentence.pause_ms,
            )
            for sentence, positions in zip(text.sentences, text.positions, strict=True)
        ],
        warnings=[warning_message(of_text(warning)) for warning in text.warnings],
        expected_ms=text.expected_ms,
    )


def warning_message(warning: TurnWarning) -> common_pb2.Warning:
    """A warning on the wire."""
    return common_pb2.Warning(
        kind=f"WARNING_KIND_{warning.kind.name}",
        field=warning.field,
        first_char=warning.first_char,
        end_char=warning.end_char,
        description=warning.description,
    )
