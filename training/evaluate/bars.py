"""The bars a voice is held to."""

from benchmarks.bars import Bar

BARS = (
    Bar(
        "ovrl",
        "DNSMOS OVRL over all",
        bar=2.85, stretch=3.1, at_most=False, form=".2f",
    ),
    Bar(
        "ovrl_worst",
        "DNSMOS OVRL of the worst voice",
        bar=2.6, stretch=3.0, at_most=False, form=".2f",
    ),
    Bar("p808", "DNSMOS P808 over all", bar=3.4, stretch=3.8, at_most=False, form=".2f"),
    Bar(
        "codec_share",
        "the codec's own share of OVRL (teacher minus teacher through the codec)",
        bar=0.3, stretch=0.15, at_most=True, form=".2f",
    ),
    Bar("words", "Whisper's word error rate", bar=0.05, stretch=0.03, at_most=True, form=".3f"),
    Bar(
        "word_errors",
        "Whisper's word error rate minus that of the teachers",
        bar=0.03, stretch=0.015, at_most=True, form="+.3f",
    ),
    Bar(
        "speaker",
        "the speaker asked for is heard (nearest mean of speaker embeddings)",
        bar=0.97, stretch=0.995, at_most=False, form=".1%",
    ),
    Bar(
        "ended",
        "ended by EOS within 0.6 to 1.6 of the teacher's length",
        bar=0.99, stretch=1.0, at_most=False, form=".1%",
    ),
    Bar(
        "context",
        "word error rate with two turns of context minus without",
        bar=0.02, stretch=0.0, at_most=True, form="+.3f",
    ),
    Bar(
        "speed",
        "real-time factor, all in one, one listener",
        bar=0.2, stretch=0.1, at_most=True, form=".3f",
    ),
    Bar("first_audio", "first audio, ms", bar=80.0, stretch=40.0, at_most=True, form=".0f"),
    Bar(
        "size",
        "size of the model directory, MB",
        bar=60.0, stretch=40.0, at_most=True, form=".1f",
    ),
)  # fmt: skip
