"""A bridge from the Wyoming protocol (Home Assistant's voices) to a csm server."""

from wyoming_csm.bridge import Bridge
from wyoming_csm.handler import SpeechHandler

__all__ = ["Bridge", "SpeechHandler"]
