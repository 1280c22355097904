"""The model card of a voice: what it is, what it was made of, how good it is, what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.corpus.store import SPEAKERS
from training.corpus.teachers.origin import NOTICE, ORIGINS
from training.evaluate.markdown import number, table
from training.evaluate.report import bars

FILE = "MODEL_CARD.md"

_STAGES = {
    "codec": "the codec, encoder and decoder together",
    "language_model": "the language model",
    "listener": "a judge of the decoder that hears phones and speakers; not shipped",
    "polish": "the decoder alone, by discriminators, models of hearing, the listener if any",
}
_TEXTS = """\
The sentences come from Debian's packages: WordNet's glosses and examples (WordNet licence),
fortunes (BSD), the Jargon File and the King James Bible (public domain), GCIDE (GPL), SCOWL's word
lists (public domain and similar), the prose of Endless Sky (GPL-3), and from this project's own
grammars. They were read aloud, not stored: no text of theirs is in the weights' files. Sentences of
the held-out set, and near copies of them, are left out; those of one to three words may occur
within others."""
_LIMITS = """\
- A synthetic voice, taught by synthetic voices: it imitates four of Kokoro-82M's, no person.
- English only: `heart` and `michael` American, `emma` and `fable` British, as their teachers'
  lexicon and rules have it. The gateway writes numbers, dates, money and signs out in words.
- No feeling, no emphasis beyond its teachers', no laughter, no music.
- Texts longer than some 25 words should come by sentence or clause, as the gateway sends them.
- It speaks in one of its four speakers; a prompt in another voice does not clone that voice."""


def render(figures: Mapping[str, Any], made_of: Mapping[str, Any] | None) -> str:
    """Return the card as Markdown.

    Args:
        figures: of `figures.summarise`.
        made_of: of `training.provenance.describe`; None leaves its section out.
    """
    name = figures["voice"]["name"]
    sections = [
        f"# {name}",
        "A small CSM with a small Mimi in the layout of `sesame/csm-1b`, trained from nothing by "
        "this repository (`training/`, `make voice`). It ships so that the server speaks in a "
        "fresh clone, and so that a change of the server can be judged by how it sounds.",
        "**All that it says is synthetic speech.** Say so where people hear it.",
        "## Figures",
        f"On {figures['sentences']} sentences that it has never seen; details, samples and method "
        "in `docs/pico.md`.",
        bars(figures),
        "## Speakers and teachers",
        table(
            ("speaker", "name", "teacher", "voice", "licence of the teacher"),
            [
                [str(place), name, ORIGINS[name].model, ORIGINS[name].who, ORIGINS[name].licence]
                for place, name in enumerate(SPEAKERS)
            ],
        ),
        *_made_of(made_of),
        "## Limits",
        _LIMITS,
        "## Licence",
        "That of this repository (MIT). `NOTICE`, beside this card:",
        f"```\n{NOTICE}```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _made_of(made_of: Mapping[str, Any] | None) -> list[str]:
    if made_of is None:
        return []
    corpus = made_of["corpus"]
    hours = ", ".join(f"{name} {h:.1f}" for name, h in corpus["hours_by_speaker"].items())
    rows = [
        [_STAGES[name], number(float(stage["minutes"]), ".0f"), f"{stage['steps']:,}"]
        for name, stage in made_of["stages"].items()
    ]
    return [
        "## Data",
        f"{corpus['utterances']:,} sentences, {corpus['hours']:.1f} hours of speech ({hours}). "
        + _TEXTS,
        "## Cost of training",
        table(("stage", "minutes", "steps"), rows),
        "Of one or two cores of a server CPU, no GPU.",
    ]
