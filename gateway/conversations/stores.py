"""Which store the settings name."""

from collections.abc import Callable

from csm.serving.metrics import GatewayMetrics
from gateway.conversations.conversation import ConversationLimits
from gateway.conversations.in_process import InProcessStore
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.store import ConversationStore
from gateway.extra import extra
from gateway.settings import GatewaySettings


def make_store(
    settings: GatewaySettings, metrics: GatewayMetrics, codec: Callable[[], str]
) -> ConversationStore:
    """The store, not started. Call inside a running event loop.

    `codec` names the codec whose frames conversations hold, once a conversation is opened. Raises
    `ValueError` where `store_url` is wrong or its package is missing.
    """
    memory = ConversationMemory(
        max_conversations=settings.max_conversations,
        max_bytes=settings.max_conversations_bytes,
        ttl_s=settings.conversation_ttl_s,
        limits=ConversationLimits(
            settings.max_conversation_turns, settings.max_conversation_frames
        ),
        on_count=metrics.conversations_active.set,
    )
    url = settings.store_url.get_secret_value()
    if not url:
        return InProcessStore(memory)
    with extra("redis", "store_url"):
        from gateway.conversations.redis.commands import RedisCommands
        from gateway.conversations.redis.connection import connect
        from gateway.conversations.redis.store import RedisStore
    commands = RedisCommands(
        connect(url, settings.store_timeout_s),
        metrics,
        timeout_s=settings.store_timeout_s,
        lease_s=settings.store_lease_s,
        ttl_s=settings.conversation_ttl_s,
    )
    return RedisStore(memory, commands, codec, settings.store_fail)
