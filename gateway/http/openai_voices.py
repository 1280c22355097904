"""OpenAI's names of voices: one that no voice has stands for the default voice."""

from csm import errors
from gateway.speech import SpeechHandler

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer",
    "verse", "marin", "cedar",
)  # fmt: skip


async def name_or_default(speech: SpeechHandler, name: str, *, owner: str) -> tuple[str, str]:
    """The name, or none where it is one of OpenAI's that nobody has here; and what to warn of then,
    else nothing."""
    if name in OPENAI_VOICES:
        await speech.keeper.look_for(name, owner=owner)
        try:
            speech.voices.of(owner).get(name)
        except errors.NotFound:
            return "", f"there is no {name} here, the default voice speaks"
    return name, ""
