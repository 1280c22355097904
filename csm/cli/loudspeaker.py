"""The loudspeaker of this machine, through sounddevice (the extra `play`)."""

import asyncio
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csm.cli.reporting import CommandError

INSTALL = "pip install 'csm-server[play]'"


def problem() -> str:
    """Why nothing can be played here; empty if it can."""
    try:
        import sounddevice
    except ModuleNotFoundError:
        return f"the package 'sounddevice' is missing; {INSTALL}"
    except OSError as error:
        return f"sounddevice finds no PortAudio ({error}); for instance: apt install libportaudio2"
    try:
        sounddevice.query_devices(kind="output")
    except (ValueError, sounddevice.PortAudioError) as error:
        return f"there is no output device: {' '.join(str(error).split())}"
    return ""


class Loudspeaker:
    """Plays mono samples as they come, on the default output device.

    Opened by its first samples, whose rate it takes; `with` waits for the last sound, unless the
    block was left by an error. Raises `CommandError` where nothing can be played here.
    """

    def __init__(self) -> None:
        if reason := problem():
            raise CommandError(f"no sound here: {reason}")
        self._stream: Any = None
        self.played_s = 0.0
        """Seconds that were handed to the device."""

    def play(self, samples: NDArray[np.float32], rate_hz: int) -> None:
        """Plays float32 [N]; returns when the device has taken them."""
        import sounddevice

        if self._stream is None:
            try:
                self._stream = sounddevice.OutputStream(rate_hz, channels=1, dtype="float32")
                self._stream.start()
            except sounddevice.PortAudioError as error:
                raise CommandError(f"no sound here: {error}") from None
        self._stream.write(np.ascontiguousarray(samples, np.float32))
        self.played_s += len(samples) / rate_hz

    async def play_async(self, samples: NDArray[np.float32], rate_hz: int) -> None:
        """As `play`; the loop goes on meanwhile."""
        await asyncio.to_thread(self.play, samples, rate_hz)

    @property
    def latency_s(self) -> float:
        """Seconds between taking a sample and its sound."""
        return float(self._stream.latency) if self._stream is not None else 0.0

    def hush(self) -> None:
        """Drops what was taken and has not sounded yet."""
        if self._stream is not None:
            self._stream.abort()
            self._stream.start()

    def __enter__(self) -> "Loudspeaker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.abort() if kind else self._stream.stop()
            self._stream.close()
