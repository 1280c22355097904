"""`docs/pico.md`: the figures as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.corpus.store import SPEAKERS
from training.evaluate import judged
from training.evaluate.markdown import PARTS, number, table

_JUDGES = (
    "Words by Whisper base (WER), quality by DNSMOS (1 to 5: OVRL overall, SIG the speech, BAK the "
    "background; P808 the listeners' overall rating), and the likeness to the speaker's own "
    "teacher (1: the same), each beside the teachers themselves and the teachers through the codec."
)


def render(
    figures: Mapping[str, Any],
    *,
    command: str,
    images: Mapping[str, str] | None = None,
    samples: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page as Markdown.

    Args:
        figures: of `figures.summarise`.
        command: what measured them.
        images: captions by path, relative to the page.
        samples: path and caption of each listening sample.
    """
    voice = figures["voice"]
    sections = [
        "# Pico, measured",
        f"Written by `{command}`; the figures are in [pico.json](pico.json). Voice "
        f"`{voice['name']}` ({voice['digest']}), {figures['sentences']} sentences it has never "
        f"seen, sentence i by speaker i mod {len(SPEAKERS)} ({', '.join(SPEAKERS)}), sampling as "
        "in its `generation_config.json`. Judged by programs, not by ears.",
        bars(figures),
        "## As the judges hear it",
        _JUDGES,
        judged.verdicts(figures),
        judged.losses(figures),
        _differences(figures),
        "## By speaker",
        _groups("speaker", figures["by_speaker"], figures["all"]),
        "## By kind of sentence",
        _groups("sentences", figures["by_kind"], figures["all"]),
        "## What is wrong where it is wrong",
        _errors(figures),
        _silence(figures),
        _lengths(figures),
        "## Who is heard",
        _speakers(figures),
        "## The worst sentences",
        _worst(figures["worst"]),
        *_pictures(images or {}),
        *_samples(samples),
        "## How it was measured",
        _method(figures),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def bars(figures: Mapping[str, Any]) -> str:
    """Return every bar with its figure as a table."""
    rows = []
    for bar in figures["bars"]:
        sign = "<=" if bar["at_most"] else ">="
        limits = [
            f"{sign} {format(bar[key], bar['form']).lstrip('+')}" for key in ("bar", "stretch")
        ]
        state = f"**{bar['state']}**" if bar["state"] == "missed" else bar["state"]
        rows.append([bar["title"], number(bar["figure"], bar["form"]), *limits, state])
    return table(("what", "figure", "bar", "stretch", ""), rows)


def _differences(figures: Mapping[str, Any]) -> str:
    titles = {
        "pico_minus_teacher": "pico minus teacher",
        "codec_minus_teacher": "of which the codec (teacher through the codec minus teacher)",
        "pico_minus_codec": "and the language model (pico minus teacher through the codec)",
        "context_minus_pico": "with two turns of context minus without",
    }
    rows = [
        [title, number(found["value"], "+.3f"), f"{found['low']:+.3f} to {found['high']:+.3f}"]
        for name, title in titles.items()
        if (found := figures["differences"][name])
    ]
    if not rows:
        return ""
    head = (
        "difference of word error rates",
        "figure",
        "95 % interval, by bootstrap over sentences",
    )
    return table(head, rows)


def _groups(what: str, groups: Mapping[str, Any], everything: Mapping[str, Any]) -> str:
    shown = [name for name in PARTS if name in everything["word_error_rate"]]
    heard = everything["sphinx_word_error_rate"]
    sphinx = [name for name in ("teacher", "codec", "speech") if heard.get(name) is not None]
    head = [what, "count", *(f"WER, {PARTS[name]}" for name in shown)]
    head += [f"pocketsphinx, {PARTS[name]}" for name in shown if name in sphinx]
    head += ["ended well", "right speaker", "STOI", "PESQ-WB", "log-mel distance"]
    rows = [
        [
            name,
            str(group["sentences"]),
            *(number(group["word_error_rate"].get(part)) for part in shown),
            *(number(group["sphinx_word_error_rate"].get(part)) for part in sphinx),
            number(group["ended_well"], ".1%"),
            number(group["speaker"], ".1%"),
            number(group["stoi"]),
            number(group["pesq"], ".2f"),
            number(group["mel_distance"]),
        ]
        for name, group in [*groups.items(), ("all", everything)]
        if group["sentences"]
    ]
    return table(head, rows)


def _errors(figures: Mapping[str, Any]) -> str:
    rows = [
        [PARTS[name], *(number(own[key]) for key in ("substituted", "deleted", "inserted"))]
        for name, own in figures["errors"].items()
        if name in PARTS
    ]
    text = "Errors a written word: a skipped word is deleted, babble and repetition are inserted."
    return f"{text}\n\n" + table(("", "substituted", "deleted", "inserted"), rows)


def _silence(figures: Mapping[str, Any]) -> str:
    keys = ("before_ms", "within_ms", "within_ms_p95", "within_ms_longest", "after_ms")
    rows = [
        [PARTS[name], *(number(own[key], ".0f") for key in keys)]
        for name, own in figures["silence"].items()
        if name in PARTS
    ]
    head = (
        "silence, ms",
        "before",
        "longest within",
        "its 95th percentile",
        "its largest",
        "after",
    )
    return table(head, rows)


def _lengths(figures: Mapping[str, Any]) -> str:
    rows = [
        [
            PARTS[name],
            *(number(own[key], ".2f") for key in ("shortest", "median", "longest")),
            str(own["not_ended"]),
            str(own["not_ended_well"]),
        ]
        for name, own in figures["lengths"].items()
    ]
    head = (
        "length by the teacher's",
        "shortest",
        "median",
        "longest",
        "never ended",
        "out of range",
    )
    return table(head, rows) if rows else ""


def _speakers(figures: Mapping[str, Any]) -> str:
    text = (
        "By the nearest mean of resemblyzer's embeddings, a mean of each teacher's validation "
        "sentences. First how near, then how often: asked for in rows, heard in columns."
    )
    tables = [
        table(
            (PARTS[name], *SPEAKERS),
            [[who, *map(str, row)] for who, row in zip(SPEAKERS, counts, strict=True)],
        )
        for name, counts in figures["heard_speakers"].items()
        if name in ("codec", "speech", "context")
    ]
    return "\n\n".join([text, judged.resemblance(figures), *tables])


def _worst(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Not measured."
    head = ("", "speaker", "written", "heard of the teacher", "heard of pico", "length", "ended")
    return table(
        head,
        [
            [
                f"+{row['extra_edits']}" if row["extra_edits"] > 0 else str(row["extra_edits"]),
                row["speaker"],
                row["sentence"],
                row["teacher_heard"] or "(nothing)",
                row["pico_heard"] or "(nothing)",
                number(row["length_ratio"], ".2f"),
                "yes" if row["ended"] else "no",
            ]
            for row in rows
        ],
    )


def _pictures(images: Mapping[str, str]) -> list[str]:
    if not images:
        return []
    return ["## Pictures", *(f"![{caption}]({path})" for path, caption in images.items())]


def _samples(samples: Sequence[tuple[str, str]]) -> list[str]:
    if not samples:
        return []
    return ["## To listen to", "\n".join(f"- [{caption}]({path})" for path, caption in samples)]


def _method(figures: Mapping[str, Any]) -> str:
    lines = [
        "- Every judge but STOI and PESQ gets one clip at 16 kHz and a peak of 0.7. The voice was "
        "never trained against any of them.",
        "- Words: Whisper base, int8, beam of 5, OpenAI's English normaliser; words parted "
        "otherwise (every day, everyday) are no error. Intervals by bootstrap over sentences.",
        "- Pocketsphinx: US English; both texts spelled out by the voice's normaliser. It loses "
        "more than twice as many words of pico as Whisper and is kept to compare with older pages.",
        "- Speech: the generator's engine in float32, the codec in float32, seed of sentence i: i.",
        "- Context: a turn of the speaker asked for and one of another, teachers' audio encoded, "
        "from sentences not trained on.",
        "- Silence: more than 40 dB below the loud parts.",
        "- STOI and PESQ at 16 kHz, the clips as they come, not aligned.",
        "- Speed: all three services in one process, gRPC between them, one listener, median.",
    ]
    machines: dict[str, list[str]] = {}
    for name, part in figures["parts"].items():
        machine = part["machine"]
        text = ", ".join(
            f"{key} {machine[key]}"
            for key in ("cpu", "cores", "cuda", "torch", "python")
            if machine.get(key)
        )
        machines.setdefault(text, []).append(f"{name} ({part['wall_s']:.0f} s)")
    if "speed" in figures["parts"]:
        speed = figures["parts"]["speed"]["figures"]
        lines[-1] += (
            f" First audio after {number(speed['first_audio_ms'], '.0f')} ms; worst real-time "
            f"factor {number(speed['real_time_factor_worst'], '.2f')}; load of the machine before: "
            f"{number(speed['load_before'], '.1f')}."
        )
    lines += [f"- Machine of {', '.join(names)}: {text}." for text, names in machines.items()]
    return "\n".join(lines)
