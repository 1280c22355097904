"""csm as a text-to-speech service of Pipecat, over gRPC.

from pipecat_csm import CsmTTSService

tts = CsmTTSService(target="127.0.0.1:50050", settings=CsmTTSService.Settings(voice="heart"))
"""

from pipecat_csm.service import CsmTTSService
from pipecat_csm.settings import CsmTTSSettings

__all__ = ["CsmTTSService", "CsmTTSSettings"]
