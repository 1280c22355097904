"""The buckets of every histogram, and why those."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Histogram

from csm.serving.metrics.native import NativeHistogram

# RPCs last from a health check to a conversation of minutes.
RPC_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
# A loop that is late by 5 ms is busy; by 100 ms it drops frames.
LOOP_DELAY_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
# 150 ms is our bar, 200 to 300 ms a natural gap between speakers.
FIRST_AUDIO_SECONDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
# Below 1 the listener never waits; 0.25 is our bar on two cores.
REAL_TIME_FACTOR = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2, 5)
# Multiples of a frame (80 ms); 20 ms is where a gap becomes audible.
UNDERRUN_SECONDS = (0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5)
# Dense around one frame (80 ms).
GAP_SECONDS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.16, 0.24, 0.5, 1)
# From one pico step to a frame of csm-1b on a CPU.
STEP_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 0.5, 1)
# Waiting for a slot: none, a step, a sentence.
QUEUE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# A cancel is promised within one step; 80 ms is a frame.
CANCEL_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 2)
# Codec calls: one streamed frame up to a recording of minutes.
CODEC_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# Utterances: a word to a long paragraph.
UTTERANCE_SECONDS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120)
# A part of a text takes less than a millisecond, 4,096 characters at once 40 ms.
TEXT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
# A store beside us answers within a millisecond; half a second is the usual timeout.
STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
# Rows that advance in one step; powers of two as batches are.
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# A short text up to a full context.
PREFILL_FRAMES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
# 1 KiB to 16 MiB.
PAYLOAD_BYTES = tuple(float(1024 * 4**n) for n in range(8))


def histogram(
    registry: CollectorRegistry,
    name: str,
    text: str,
    buckets: Sequence[float],
    labels: Sequence[str] = (),
) -> Histogram:
    """A histogram on `registry`; `text` is its help. It counts in native buckets too."""
    return NativeHistogram(name, text, labels, registry=registry, buckets=buckets)
