"""The card of a voice carries its figures and what it was made of."""

from training.corpus.store import SPEAKERS
from training.corpus.teachers.origin import NOTICE, ORIGINS
from training.evaluate import card
from training.evaluate.figures import summarise

MADE_OF = {
    "corpus": {
        "utterances": 31234,
        "hours": 27.4,
        "hours_by_speaker": {"heart": 7.0, "michael": 7.1, "emma": 6.9, "fable": 6.4},
    },
    "stages": {"codec": {"minutes": 140, "steps": 17000}},
}
FIGURES = summarise({}, {"name": "tiny", "digest": "0123", "size_bytes": 31_500_000})


def test_figures_data_and_cost_are_on_it() -> None:
    text = card.render(FIGURES, MADE_OF)
    assert text.startswith("# tiny\n")
    assert "| size of the model directory, MB | 31.5 | <= 60.0 | <= 40.0 | stretch met |" in text
    assert (
        "31,234 sentences, 27.4 hours of speech (heart 7.0, michael 7.1, emma 6.9, fable 6.4)"
        in text
    )
    assert "| the codec, encoder and decoder together | 140 | 17,000 |" in text
    for number, speaker in enumerate(SPEAKERS):
        assert f"| {number} | {speaker} | {ORIGINS[speaker].model} |" in text
    assert "synthetic speech" in text
    assert NOTICE in text


def test_what_is_not_known_is_left_out() -> None:
    text = card.render(FIGURES, None)
    assert "## Cost" not in text
    assert "## Figures" in text
