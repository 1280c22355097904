"""From a speech to a file, with the figures a listener cares about."""

import time
from dataclasses import dataclass

from csm.cli.output import Output
from csm.cli.reporting import audio_progress, print_figures
from csm.client import AsyncSpeech, TurnCompleted, TurnStarted


@dataclass(frozen=True)
class Heard:
    """What became of an utterance, timed from the request."""

    started: TurnStarted
    completed: TurnCompleted
    audio_s: float
    first_audio_s: float
    total_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of audio."""
        return self.total_s / self.audio_s if self.audio_s else float("nan")


async def write_speech(speech: AsyncSpeech, output: Output, message: str) -> Heard | None:
    """Writes the chunks as they come. None where the model had nothing to say."""
    began = time.perf_counter()
    first: float | None = None
    file = None
    try:
        with audio_progress(message, None) as progress:
            async for chunk in speech:
                if file is None:
                    first = time.perf_counter() - began
                    file = output.open(chunk.format)
                file.write(chunk.pcm)
                progress.add(chunk.duration_s)
        total_s = time.perf_counter() - began
    finally:
        if file is not None:
            file.close()
    if file is None or first is None or speech.started is None or speech.completed is None:
        return None
    return Heard(speech.started, speech.completed, file.duration_s, first, total_s)


def report(heard: Heard, output: Output) -> None:
    """Prints the figures."""
    form, usage = heard.started.format, heard.completed.usage
    print_figures(
        str(output.path),
        {
            "time to first audio": f"{heard.first_audio_s * 1000:.0f} ms",
            "real-time factor": f"{heard.real_time_factor:.3f}",
            "audio length": f"{heard.audio_s:.2f} s",
            "format": f"{output.container.value}, {form.sample_rate_hz} Hz"
            + (f", {output.depth.value} bit" if output.container in ("wav", "flac") else ""),
            "finished": f"{heard.completed.finish_reason.value}, seed {heard.started.seed}",
            "tokens": f"{usage.text_tokens} of text, {usage.generated_frames} frames made",
        },
    )
