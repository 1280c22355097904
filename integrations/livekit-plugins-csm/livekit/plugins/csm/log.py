"""The plugin's logger. What is spoken is never logged."""

import logging

logger = logging.getLogger("livekit.plugins.csm")
