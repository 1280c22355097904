"""Which store of created voices the settings name."""

from csm.serving.metrics import GatewayMetrics
from gateway.extra import extra
from gateway.settings import GatewaySettings
from gateway.voices.created.files import VoiceFolder
from gateway.voices.created.memory import VoiceMemory
from gateway.voices.created.store import VoiceStore


def make_voice_store(settings: GatewaySettings, metrics: GatewayMetrics) -> VoiceStore:
    """A folder where one is named, else the Redis that keeps conversations, else this process.

    Not started. Raises `ValueError` where `store_url` is wrong or its package is missing.
    """
    most = settings.max_created_voices
    if settings.created_voices_directory is not None:
        if settings.voices_directory is not None and (
            settings.created_voices_directory.resolve() == settings.voices_directory.resolve()
        ):
            raise ValueError(
                f"created_voices_directory {settings.created_voices_directory}: is "
                "voices_directory too; allowed is another folder"
            )
        return VoiceFolder(settings.created_voices_directory, most)
    url = settings.store_url.get_secret_value()
    if not url:
        return VoiceMemory(most)
    with extra("redis", "store_url"):
        from gateway.conversations.redis.connection import connect
        from gateway.voices.created.redis_store import RedisVoices
    client = connect(url, settings.store_timeout_s)
    return RedisVoices(client, metrics, settings.store_timeout_s, most)
