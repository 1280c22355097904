"""How much each tenant uses, under labels that the operator names."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

OTHER = "other"
"""The label of every tenant that is not named."""
QUOTAS = (
    "streams",
    "requests_per_minute",
    "characters_per_day",
    "audio_seconds_per_day",
    "voices",
    "bytes",
)
"""Labels of refusals: what is bounded, by the names of `gateway.quotas.quota_limits`."""


class TenantMetrics:
    """Counters by tenant; `named` alone have a label of their own."""

    def __init__(self, registry: CollectorRegistry, named: Iterable[str] = ()) -> None:
        self.named = frozenset(named)
        self.requests = Counter(
            "csm_gateway_tenant_requests_total",
            "Requests that count for the quota of a tenant: turns, and what else costs work.",
            ("tenant",),
            registry=registry,
        )
        self.characters = Counter(
            "csm_gateway_tenant_characters_total",
            "Characters of texts that were spoken, as they were given, by tenant.",
            ("tenant",),
            registry=registry,
        )
        self.audio_seconds = Counter(
            "csm_gateway_tenant_audio_seconds_total",
            "Seconds of audio sent, by tenant.",
            ("tenant",),
            registry=registry,
        )
        self.refusals = Counter(
            "csm_gateway_tenant_quota_refusals_total",
            "Requests and turns refused because a quota is used up, by tenant and quota.",
            ("tenant", "quota"),
            registry=registry,
        )
        for tenant in (OTHER, *sorted(self.named)):
            for counter in (self.requests, self.characters, self.audio_seconds):
                counter.labels(tenant)
            for quota in QUOTAS:
                self.refusals.labels(tenant, quota)

    def label(self, tenant: str) -> str:
        """What a tenant is called here."""
        return tenant if tenant in self.named else OTHER
