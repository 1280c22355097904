"""Writes the page: `pico.md`, `pico.json`, charts and listening samples, from the saved parts; and
the voice's card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csm.audio.files import write_audio
from training import provenance
from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS
from training.evaluate import card, charts, report
from training.evaluate.clip import Clip, Part
from training.evaluate.ears import Ears
from training.evaluate.figures import summarise
from training.evaluate.parts import PARTS
from training.evaluate.voice import Voice

# A sample is of a sentence of so many words: long enough to judge, short enough to be small.
_SAMPLE_WORDS = (6, 12)
_PANELS = {"teacher": "teacher", "codec": "teacher through the codec", "speech": "pico"}


def load_parts(work: Path, voice: Voice, ears: Ears) -> tuple[dict[str, Part], list[str]]:
    """Return the parts measured of this voice and corpus, and the names of those of others."""
    found = {name: Part.load(work / "evaluate", name) for name in PARTS}
    saved = {name: part for name, part in found.items() if part is not None}
    own = {
        name: part
        for name, part in saved.items()
        if part.voice in ("", voice.digest) and part.corpus == ears.corpus_digest
    }
    return own, [name for name in saved if name not in own]


def publish(work: Path, voice: Voice, ears: Ears, docs: Path, command: str) -> dict[str, Any]:
    """Write everything under `docs` and return the figures.

    Raises:
        ValueError: nothing has been measured of this voice.
    """
    parts, _ = load_parts(work, voice, ears)
    if not parts:
        raise ValueError(f"{work / 'evaluate'}: no part is measured of {voice.directory}")
    about = {
        "name": voice.directory.name,
        "digest": voice.digest,
        "size_bytes": voice.size_bytes,
    }
    figures = {**summarise(parts, about), "command": command}
    docs.mkdir(parents=True, exist_ok=True)
    clips = {name: part.clips for name, part in parts.items() if part.clips}
    images = _images(work, figures, clips, ears, docs)
    samples = _samples(clips, ears, docs)
    page = report.render(figures, command=command, images=images, samples=samples)
    (docs / "pico.md").write_text(page, encoding="utf-8")
    text = json.dumps(figures, indent=1, allow_nan=False)
    (docs / "pico.json").write_text(text + "\n", encoding="utf-8")
    return figures


def publish_card(figures: Mapping[str, Any], voice: Voice) -> Path:
    """Write the model card beside the voice's weights, and return its path."""
    path = voice.directory / card.FILE
    text = card.render(figures, provenance.read(voice.directory))
    path.write_text(text, encoding="utf-8")
    return path


def _images(
    work: Path, figures: Mapping[str, Any], clips: Mapping[str, list[Clip]], ears: Ears, docs: Path
) -> dict[str, str]:
    """Draw what can be drawn; captions by path from the page."""
    place, images = docs / "images", {}
    if clips:
        charts.word_errors(place / "pico-word-errors.png", figures)
        images["images/pico-word-errors.png"] = "Word error rate by length of sentence"
    shown = _examples(clips)[:1]
    if shown and set(_PANELS) <= clips.keys():
        one = shown[0]
        audios = {title: ears.audio(part, one.index) for part, title in _PANELS.items()}
        charts.spectrograms(place / "pico-spectrogram.png", audios, SAMPLE_RATE_HZ, one.sentence)
        images["images/pico-spectrogram.png"] = "One sentence: teacher, codec, pico"
    for path in charts.copy_curves(work / "curves", place):
        stage = path.stem.removeprefix("pico-curve-").replace("_", " ")
        images[f"images/{path.name}"] = f"Training: {stage}"
    return images


def _samples(clips: Mapping[str, list[Clip]], ears: Ears, docs: Path) -> list[tuple[str, str]]:
    """Write the listening samples: pico once a speaker, and what the first of them is made of."""
    place, samples = docs / "samples", []
    examples = _examples(clips)
    wanted = [("speech", clip) for clip in examples]
    wanted += [(part, clip) for part in ("teacher", "codec", "context") for clip in examples[:1]]
    for part, clip in wanted:
        if clip.index not in {one.index for one in clips.get(part, [])}:
            continue
        place.mkdir(parents=True, exist_ok=True)
        who = "pico" if part == "speech" else f"pico-{part}"
        path = place / f"{who}-{SPEAKERS[clip.speaker]}.ogg"
        write_audio(path, ears.audio(part, clip.index), SAMPLE_RATE_HZ)
        what = {**_PANELS, "context": "pico after two turns"}[part]
        samples.append(
            (f"samples/{path.name}", f"{SPEAKERS[clip.speaker]}, {what}: {clip.sentence}")
        )
    return samples


def _examples(clips: Mapping[str, list[Clip]]) -> list[Clip]:
    """The first sentence of middle length of every speaker: not chosen by how well it went."""
    least, most = _SAMPLE_WORDS
    found: dict[int, Clip] = {}
    for clip in clips.get("speech", []):
        if least <= clip.errors.words <= most:
            found.setdefault(clip.speaker, clip)
    return [found[speaker] for speaker in sorted(found)]
