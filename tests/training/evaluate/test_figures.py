import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bars import judge
from training.corpus.store import SPEAKERS
from training.evaluate.bars import BARS
from training.evaluate.clip import Clip, Part
from training.evaluate.dnsmos import Rating
from training.evaluate.figures import summarise
from training.evaluate.markdown import table
from training.evaluate.quality import Quality
from training.evaluate.report import render
from training.evaluate.silence import Silence
from training.evaluate.words import count_errors

SENTENCES = (
    "It is raining.",
    "Will you come with us tomorrow?",
    "Two cups of coffee and a glass of water, please, right away.",
    "At 9 we left.",
)
VOICE = {"name": "pico", "digest": "abc", "size_bytes": 35_000_000}
MACHINE = {"cpu": "A Processor", "cores": 2, "torch": "2.13"}


def _near(speaker: int) -> list[float]:
    return [0.9 if n == speaker else 0.5 for n in range(4)]


def _clip(index: int, wrong: int, **values: Any) -> Clip:
    """A clip of the sentence in which `wrong` words were heard as another."""
    words = SENTENCES[index].lower().split()
    heard = ["xyzzy"] * wrong + words[wrong:]
    known: dict[str, Any] = {
        "index": index,
        "sentence": SENTENCES[index],
        "speaker": index % 4,
        "audio_s": 2.0,
        "heard": " ".join(heard),
        "errors": count_errors(words, heard),
        "rating": Rating(3.0, 3.3, 4.0, 3.5),
        "similarities": _near(index % 4),
        "silence": Silence(80, 40, 120),
    }
    return Clip(**{**known, **values})


def _parts() -> dict[str, Part]:
    spoken: dict[str, Any] = {"ended": True, "length_ratio": 1.0}
    speech = [_clip(i, wrong, **spoken) for i, wrong in enumerate((1, 0, 3, 0))]
    speech[1] = replace(speech[1], similarities=_near(0), rating=Rating(2.0, 2.3, 4.0, 3.0))
    speech[3] = replace(speech[3], length_ratio=1.7)
    context = [_clip(i, 0, **spoken) for i in range(3)]
    quality = [Quality(0.9, 2.0, 0.3), Quality(float("nan"), 3.0, 0.5)] * 2
    coded = Rating(2.75, 3.0, 4.0, 3.2)
    clips = {
        "teacher": [_clip(i, 0) for i in range(4)],
        "codec": [_clip(i, 1, quality=q, rating=coded) for i, q in enumerate(quality)],
        "speech": speech,
        "context": context,
    }
    parts = {name: Part(name, "abc", "c", own, {}, MACHINE, 1.0) for name, own in clips.items()}
    speed = {
        "real_time_factor": 0.2,
        "real_time_factor_worst": 0.31,
        "first_audio_ms": 50.0,
        "load_before": 0.5,
    }
    parts["speed"] = Part("speed", "abc", "c", [], speed, MACHINE, 1.0)
    return parts


def test_only_sentences_that_every_part_has_are_compared() -> None:
    figures = summarise(_parts(), VOICE)
    # Sentence 3 has no context: its bad ending is not counted either.
    assert figures["sentences"] == 3
    assert figures["all"]["ended_well"] == 1.0
    words = sum(len(s.split()) for s in SENTENCES[:3])
    difference = figures["differences"]["pico_minus_teacher"]
    assert difference["value"] == pytest.approx(4 / words, abs=1e-4)
    assert figures["differences"]["context_minus_pico"]["value"] == pytest.approx(
        -4 / words, abs=1e-4
    )


def test_every_figure_comes_from_its_clips() -> None:
    parts = _parts()
    del parts["context"]
    figures = summarise(parts, VOICE)
    assert figures["sentences"] == 4
    assert figures["all"]["ended_well"] == 0.75
    assert figures["lengths"]["speech"]["longest"] == 1.7
    assert figures["lengths"]["speech"]["not_ended_well"] == 1
    assert figures["all"]["speaker"] == 0.75
    assert figures["heard_speakers"]["speech"][1] == [1, 0, 0, 0]
    assert figures["by_speaker"][SPEAKERS[1]]["speaker"] == 0.0
    # A clip without a figure leaves the mean to the others.
    assert figures["all"]["stoi"] == 0.9
    assert figures["all"]["pesq"] == 2.5
    assert figures["by_kind"]["questions"]["sentences"] == 1
    assert figures["by_kind"]["with digits"]["sentences"] == 1
    assert figures["by_kind"]["9 to 14 words"]["word_error_rate"]["speech"] == 0.25
    assert [row["index"] for row in figures["worst"][:2]] == [0, 2]
    states = {bar["name"]: bar["state"] for bar in figures["bars"]}
    assert states == {
        "ovrl": "missed",
        "ovrl_worst": "missed",
        "p808": "missed",
        "codec_share": "met",
        "words": "missed",
        "word_errors": "missed",
        "speaker": "missed",
        "ended": "missed",
        "context": "not measured",
        "speed": "met",
        "first_audio": "met",
        "size": "stretch met",
    }
    measured = {bar["name"]: bar["figure"] for bar in figures["bars"]}
    assert measured["ovrl"] == pytest.approx((3 + 2 + 3 + 3) / 4)
    assert measured["ovrl_worst"] == 2.0
    assert measured["codec_share"] == pytest.approx(0.25)
    assert measured["words"] == measured["word_errors"]


@pytest.mark.parametrize(
    ("name", "figure", "state"),
    [
        ("word_errors", 0.03, "met"),
        ("word_errors", 0.0301, "missed"),
        ("word_errors", -0.1, "stretch met"),
        ("ended", 0.99, "met"),
        ("ended", 0.989, "missed"),
        ("ended", 1.0, "stretch met"),
        ("context", 0.0, "stretch met"),
        ("speed", None, "not measured"),
    ],
)
def test_a_bar_is_met_at_its_value(name: str, figure: float | None, state: str) -> None:
    (judged,) = [bar for bar in judge(BARS, {name: figure}) if bar["name"] == name]
    assert judged["state"] == state


def test_the_page_says_what_was_measured() -> None:
    figures = summarise(_parts(), VOICE)
    page = render(
        figures,
        command="measure it",
        images={"images/a.png": "A chart"},
        samples=[("samples/b.ogg", "A sample")],
    )
    assert (
        "| real-time factor, all in one, one listener | 0.200 | <= 0.200 | <= 0.100 | met |" in page
    )
    assert "| size of the model directory, MB | 35.0 | <= 60.0 | <= 40.0 | stretch met |" in page
    assert "![A chart](images/a.png)" in page
    assert "- [A sample](samples/b.ogg)" in page
    assert "xyzzy is raining." in page
    words = sum(len(s.split()) for s in SENTENCES[:3])
    assert f"| **pico, all** | 3 | {round(4 / words, 4):.3f} |" in page
    assert (
        "| the codec (teacher minus teacher through the codec) | +0.25 (+0.25 to +0.25) |" in page
    )
    assert f"| pico, {SPEAKERS[1]} | 0.90 | 0.50 | 0.50 | 0.50 | 0.0% |" in page
    assert "pocketsphinx, teacher" not in page
    assert "A Processor" in page
    assert "nan" not in page.lower().split()
    for bar in BARS:
        assert bar.title in page


def test_a_page_of_a_single_part_is_whole() -> None:
    parts = {"codec": _parts()["codec"]}
    page = render(summarise(parts, VOICE), command="measure it")
    assert "| **through the codec, all** | 4 |" in page
    assert page.count("not measured") == len(BARS) - 1
    assert "by EOS within 0.6 to 1.6 of the teacher's length | - |" in page


def test_figures_are_json_without_nan() -> None:
    text = json.dumps(summarise(_parts(), VOICE), allow_nan=False)
    assert json.loads(text)["voice"]["size_bytes"] == 35_000_000


def test_a_part_is_what_was_saved(tmp_path: Path) -> None:
    part = _parts()["speech"]
    part.save(tmp_path / "new")
    assert Part.load(tmp_path / "new", "speech") == part
    assert Part.load(tmp_path / "new", "codec") is None


def test_a_part_of_other_judges_counts_as_none(tmp_path: Path) -> None:
    _parts()["speech"].save(tmp_path)
    path = tmp_path / "speech.json"
    values = json.loads(path.read_text())
    for clip in values["clips"]:
        del clip["rating"]
    path.write_text(json.dumps(values))
    assert Part.load(tmp_path, "speech") is None


def test_pocketsphinx_is_a_column_where_it_was_installed() -> None:
    parts = _parts()
    errors = count_errors(["a", "b"], ["a"])
    parts["speech"] = replace(
        parts["speech"], clips=[replace(c, sphinx_errors=errors) for c in parts["speech"].clips]
    )
    page = render(summarise(parts, VOICE), command="measure it")
    assert "| pocketsphinx, pico |" in page
    assert "pocketsphinx, teacher" not in page


def test_a_bar_within_a_sentence_does_not_break_the_table() -> None:
    assert table(("a",), [["x | y"]]).splitlines()[-1] == "| x \\| y |"
