"""The bars a voice is held to."""

from benchmarks.bars import Bar

BARS = (
    Bar(
        "word_errors",
        "word error rate of pico minus its teachers'",
        bar=0.08, stretch=0.03, at_most=True, form="+.3f",
    ),
    Bar(
        "ended",
        "ended by EOS within 0.6 to 1.6 of the teacher's length",
        bar=0.98, stretch=0.995, at_most=False, form=".1%",
    ),
    Bar("stoi", "codec round trip: STOI", bar=0.92, stretch=0.95, at_most=False, form=".3f"),
    Bar("pesq", "codec round trip: PESQ-WB", bar=2.0, stretch=2.8, at_most=False, form=".2f"),
    Bar("speaker", "the speaker asked for", bar=0.97, stretch=0.995, at_most=False, form=".1%"),
    Bar(
        "context",
        "word error rate with two turns of context minus without",
        bar=0.02, stretch=0.0, at_most=True, form="+.3f",
    ),
    Bar(
        "speed",
        "real-time factor, all in one, one listener",
        bar=0.25, stretch=0.1, at_most=True, form=".3f",
    ),
    Bar(
        "size",
        "size of the model directory, MB",
        bar=40.0, stretch=30.0, at_most=True, form=".1f",
    ),
)  # fmt: skip
