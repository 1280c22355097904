"""A `sounddevice` that needs no loudspeaker: it keeps what it was given to play."""

from types import ModuleType
from typing import Any

import numpy as np


class PortAudioError(Exception):
    """As sounddevice's."""


class FakeSoundDevice(ModuleType):
    """Stands in `sys.modules` for sounddevice."""

    PortAudioError = PortAudioError

    def __init__(self, *, has_device: bool = True) -> None:
        super().__init__("sounddevice")
        self.has_device = has_device
        self.played: list[np.ndarray] = []
        self.rates_hz: list[int] = []
        self.aborted = 0

    def query_devices(self, kind: str) -> dict[str, str]:
        assert kind == "output"
        if not self.has_device:
            raise PortAudioError("Error querying device -1")
        return {"name": "fake"}

    def OutputStream(self, rate_hz: int, channels: int, dtype: str) -> Any:
        assert (channels, dtype) == (1, "float32")
        self.rates_hz.append(rate_hz)
        return _Stream(self)


class _Stream:
    latency = 0.0

    def __init__(self, device: FakeSoundDevice) -> None:
        self._device = device

    def start(self) -> None:
        pass

    stop = close = start

    def abort(self) -> None:
        self._device.aborted += 1

    def write(self, samples: np.ndarray) -> None:
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        self._device.played.append(samples.copy())
