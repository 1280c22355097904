"""csm as a text-to-speech plugin of LiveKit Agents, over gRPC.

from livekit.plugins import csm

session = AgentSession(tts=csm.TTS("127.0.0.1:50050", voice="heart"), ...)
"""

from livekit.agents import Plugin

from .api_errors import api_error
from .log import logger
from .streams import SpeechStream, TextStream
from .tts import TTS
from .version import __version__

__all__ = ["TTS", "SpeechStream", "TextStream", "__version__", "api_error"]


class CsmPlugin(Plugin):
    """How LiveKit Agents knows of this package."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(CsmPlugin())
