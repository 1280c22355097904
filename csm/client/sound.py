"""What is done to speech before it is sent."""

from dataclasses import asdict, dataclass

from csm.errors import invalid
from csm.v1 import speech_pb2


@dataclass(frozen=True)
class SoundOptions:
    """What is done to speech before it is sent. None is left to the server.

    Times that the server tells, and `heard_ms`, are those of the audio that is sent.
    """

    speed: float | None = None
    """Pace, its pitch unchanged, 0.5..2; 1 is as the model speaks."""
    even_loudness: bool | None = None
    """Bring turns and voices to one loudness."""
    max_leading_silence_ms: int | None = None
    """Longest silence left before the first sound of a turn, 0..10000."""
    max_trailing_silence_ms: int | None = None
    """Longest silence left behind the last sound of a turn, 0..10000."""

    def to_proto(self) -> speech_pb2.SoundOptions:
        """The wire message; raises `InvalidArgument` for what the wire cannot carry."""
        message = speech_pb2.SoundOptions()
        for name, value in asdict(self).items():
            if value is None:
                continue
            try:
                setattr(message, name, value)
            except (TypeError, ValueError) as error:
                raise invalid(
                    f"sound_options.{name}", f"{value!r} is not allowed: {error}"
                ) from None
        return message
