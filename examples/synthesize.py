"""Say one text and write it as a WAV while it is being made.

csm serve                                   # in another terminal
python examples/synthesize.py "Hello there." hello.wav
"""

import sys

from csm import Client, ServiceError
from csm.audio.wav import WavStream


def main(text: str, path: str, target: str = "127.0.0.1:50050") -> None:
    """Streams the speech of `target` into the file."""
    with Client(target) as client, client.synthesize(text, timeout_s=60) as speech:
        wav = None
        for chunk in speech:
            wav = wav or WavStream(path, chunk.format)
            wav.write(chunk.pcm)
        if wav:
            wav.close()
        if speech.completed:
            usage, timing = speech.completed.usage, speech.completed.timing
            print(
                f"{path}: {usage.audio_ms / 1000:.2f} s, first frame after "
                f"{timing.first_frame_ms:.0f} ms, all after {timing.total_ms:.0f} ms"
            )


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(f"usage: {sys.argv[0]} TEXT FILE.wav [HOST:PORT]")
    try:
        main(*sys.argv[1:4])
    except ServiceError as error:
        raise SystemExit(f"{sys.argv[0]}: {error}") from None
