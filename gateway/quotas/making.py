"""The quotas that the settings name."""

from collections.abc import Awaitable, Callable

from csm.serving.metrics import GatewayMetrics
from csm.serving.metrics.tenants import QUOTAS
from gateway.extra import extra
from gateway.quotas.quota_limits import QuotaLimits
from gateway.quotas.quotas import Quotas
from gateway.quotas.rules import QuotaRules
from gateway.quotas.store import QuotaStore
from gateway.settings import GatewaySettings


def make_quotas(
    settings: GatewaySettings,
    metrics: GatewayMetrics,
    *,
    voices: Callable[[str], int],
    num_bytes: Callable[[str], Awaitable[int]],
) -> Quotas:
    """The quotas, not started. Call inside a running event loop. Raises `ValueError` where a
    setting or the file is wrong, or a package is missing."""
    limits = QuotaLimits(**{quota: getattr(settings, f"quota_{quota}") for quota in QUOTAS})
    rules = QuotaRules(limits, settings.quotas_file)
    return Quotas(
        rules,
        _store(settings, metrics) if limits or settings.quotas_file is not None else None,
        metrics.tenants,
        voices=voices,
        num_bytes=num_bytes,
        bytes_free_s=settings.conversation_ttl_s,
    )


def _store(settings: GatewaySettings, metrics: GatewayMetrics) -> QuotaStore:
    url = settings.quota_store_url.get_secret_value()
    if not url:
        from gateway.quotas.in_process import InProcessQuotas

        return InProcessQuotas()
    with extra("redis", "quota_store_url"):
        from gateway.quotas.redis_quotas import RedisQuotas
    return RedisQuotas(
        url, metrics, timeout_s=settings.store_timeout_s, lease_s=settings.store_lease_s
    )
