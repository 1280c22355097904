"""Series under which each alert fires, and under which it does not, for promtool.

Values are a minute apart: `0+10x120` grows by 10 a minute for two hours, `1x60` stays 1 for one.
"""

from dataclasses import dataclass

HOUR = 60
FIRST_AUDIO = "csm_gateway_time_to_first_audio_seconds"
UNDERRUN = "csm_gateway_audio_underrun_seconds"
TURNS = "csm_gateway_requests_total"


@dataclass(frozen=True)
class Case:
    """Series by name, and what becomes of an alert after a while."""

    alert: str
    severity: str
    fires: bool
    why: str
    series: dict[str, str]
    after: str = "2h"

    @property
    def name(self) -> str:
        """What promtool says where it goes wrong."""
        return f"{self.alert} {self.severity}: {self.why}"


def turns(metric: str, bound: str, good: int, of: int, minutes: int) -> dict[str, str]:
    """A histogram of so many turns a minute, of which so many are below the bound."""
    everything = f"0+{of}x{minutes}"
    return {
        f'{metric}_bucket{{le="{bound}"}}': f"0+{good}x{minutes}",
        f"{metric}_count": everything,
        f"{UNDERRUN}_count": everything,
    }


def quantile(metric: str, fast: str, slow: str, slow_share: int, labels: str = "") -> dict:
    """A histogram of 100 values a minute: so many of them between two bounds, the rest below."""
    more = f",{labels}" if labels else ""
    return {
        f'{metric}_bucket{{le="{fast}"{more}}}': f"0+{100 - slow_share}x{HOUR}",
        f'{metric}_bucket{{le="{slow}"{more}}}': f"0+100x{HOUR}",
        f'{metric}_bucket{{le="+Inf"{more}}}': f"0+100x{HOUR}",
    }


def ratio(part: str, whole: str, some: float, of: float) -> dict[str, str]:
    """Two counters, by their growth a minute."""
    return {part: f"0+{some}x{HOUR}", whole: f"0+{of}x{HOUR}"}


def calls(refused: int) -> dict[str, str]:
    """A hundred calls a minute beside so many refused ones."""
    labels = 'grpc_service="csm.v1.SpeechService",grpc_method="Synthesize"'
    name = "grpc_server_handled_total"
    return {
        f'{name}{{{labels},grpc_code="OK"}}': f"0+100x{HOUR}",
        f'{name}{{{labels},grpc_code="RESOURCE_EXHAUSTED"}}': f"0+{refused}x{HOUR}",
        # Another method's are not its business.
        f'{name}{{grpc_service="csm.v1.TokenizerService",grpc_method="Encode",'
        'grpc_code="RESOURCE_EXHAUSTED"}': f"0+100x{HOUR}",
    }


def affinity(misses: int) -> dict[str, str]:
    """A hundred turns with a history a minute, so many of them missed."""
    name = "csm_gateway_affinity_total"
    return ratio(f'{name}{{result="miss"}}', f'{name}{{result="hit"}}', misses, 100 - misses)


def store(timeouts: int, cancelled: int = 0) -> dict[str, str]:
    """Operations of the store."""
    name = "csm_gateway_store_operations_total"
    return {
        f'{name}{{operation="append",outcome="ok"}}': f"0+100x{HOUR}",
        f'{name}{{operation="append",outcome="timeout"}}': f"0+{timeouts}x{HOUR}",
        f'{name}{{operation="append",outcome="cancelled"}}': f"0+{cancelled}x{HOUR}",
    }


def ready(*services: str) -> dict[str, str]:
    """These services are there."""
    return {f'csm_ready{{grpc_service="csm.v1.{name}Service"}}': f"1x{HOUR}" for name in services}


def state(is_ready: int, draining: int) -> dict[str, str]:
    """What one process says of itself."""
    labels = '{job="generator",instance="a",grpc_service="csm.v1.GeneratorService"}'
    return {f"csm_ready{labels}": f"{is_ready}x{HOUR}", f"csm_draining{labels}": f"{draining}x60"}


BEAT = 'csm_generator_engine_heartbeat_timestamp_seconds{instance="a"}'
CERTIFICATE = (
    'csm_tls_certificate_expiry_timestamp_seconds{instance="a",'
    'grpc_service="csm.v1.SpeechService",certificate="server"}'
)
RESTARTS = 'csm_server_restarts_total{instance="a",grpc_service="csm.v1.SpeechService"}'
FAILED, COMPLETED = f'{TURNS}{{outcome="failed"}}', f'{TURNS}{{outcome="completed"}}'
REJECTED = f'{TURNS}{{outcome="rejected"}}'
RETRIES = "csm_gateway_upstream_retries_total"
FAILOVERS = "csm_gateway_failovers_total"
QUEUE, LOOP = "csm_generator_queue_time_seconds", "csm_event_loop_delay_seconds"
FACTOR, STORE = "csm_gateway_real_time_factor", "csm_gateway_store_seconds"
LATE, GAPS = "CsmFirstAudioLate", "CsmAudioInterrupted"

CASES = [
    Case(LATE, "critical", True, "20 % late for two hours", turns(FIRST_AUDIO, "0.5", 8, 10, 120)),
    Case(LATE, "critical", True, "8 % late for six hours",
         turns(FIRST_AUDIO, "0.5", 92, 100, 400), "6h30m"),
    Case(LATE, "critical", False, "2 % late", turns(FIRST_AUDIO, "0.5", 98, 100, 120)),
    Case(LATE, "critical", False, "half are late, of one turn a minute",
         {**turns(FIRST_AUDIO, "0.5", 1, 2, 120), f"{UNDERRUN}_count": "0+1x120"}),
    Case(LATE, "critical", False, "the cause has gone half an hour ago",
         {f'{FIRST_AUDIO}_bucket{{le="0.5"}}': "0+5x80 410+10x60",
          f"{FIRST_AUDIO}_count": "0+10x130", f"{UNDERRUN}_count": "0+10x130"}, "2h"),
    Case(LATE, "warning", True, "2 % late for eight hours",
         turns(FIRST_AUDIO, "0.5", 98, 100, 500), "8h"),
    Case(LATE, "warning", False, "0.5 % late",
         turns(FIRST_AUDIO, "0.5", 199, 200, 500), "8h"),
    Case(GAPS, "critical", True, "2 % have gaps", turns(UNDERRUN, "0.02", 98, 100, 120)),
    Case(GAPS, "critical", True, "0.8 % have gaps for six hours",
         turns(UNDERRUN, "0.02", 248, 250, 400), "6h30m"),
    Case(GAPS, "critical", False, "0.2 % have gaps", turns(UNDERRUN, "0.02", 499, 500, 120)),
    Case(GAPS, "warning", True, "0.2 % have gaps for eight hours",
         turns(UNDERRUN, "0.02", 499, 500, 500), "8h"),
    Case(GAPS, "warning", False, "0.05 % have gaps",
         turns(UNDERRUN, "0.02", 1999, 2000, 500), "8h"),
    Case("CsmTurnsFail", "critical", True, "2 % fail", ratio(FAILED, COMPLETED, 2, 98), "30m"),
    Case("CsmTurnsFail", "critical", False, "0.5 % fail", ratio(FAILED, COMPLETED, 1, 199), "30m"),
    Case("CsmTurnsFail", "critical", False, "callers' mistakes are none of ours",
         {**ratio(FAILED, COMPLETED, 0, 50), REJECTED: "0+50x60"}, "30m"),
    Case("CsmTurnsFail", "critical", False, "a rollout of three minutes",
         {FAILED: "0x10 0+5x3 15x47", COMPLETED: "0+95x60"}, "20m"),
    Case("CsmSlowerThanRealTime", "warning", True, "one in ten is slower than played",
         quantile(FACTOR, "0.9", "1.25", 10), "30m"),
    Case("CsmSlowerThanRealTime", "warning", False, "three times as fast",
         quantile(FACTOR, "0.3", "0.4", 10), "30m"),
    Case("CsmUnderruns", "critical", True, "5 % stand still",
         turns(UNDERRUN, "0.32", 95, 100, 60), "30m"),
    Case("CsmUnderruns", "critical", False, "0.5 % stand still",
         turns(UNDERRUN, "0.32", 199, 200, 60), "30m"),
    Case("CsmCallsRefused", "warning", True, "5 of 105 are refused", calls(5), "30m"),
    Case("CsmCallsRefused", "warning", False, "none of those that speak are", calls(0), "30m"),
    Case("CsmTurnsRetried", "warning", True, "one in ten is begun again",
         ratio(RETRIES, COMPLETED, 10, 100), "30m"),
    Case("CsmTurnsRetried", "warning", False, "one in a hundred is",
         ratio(RETRIES, COMPLETED, 1, 100), "30m"),
    Case("CsmTurnsFailOver", "warning", True, "three in a hundred go on elsewhere",
         ratio(FAILOVERS, COMPLETED, 3, 100), "30m"),
    Case("CsmTurnsFailOver", "warning", False, "a pod died: ten turns, once",
         {FAILOVERS: "0x10 10x50", COMPLETED: "0+100x60"}, "30m"),
    Case("CsmEngineStalled", "critical", True, "its last beat was five minutes ago",
         {BEAT: "0+60x5 300x10"}, "10m"),
    Case("CsmEngineStalled", "critical", False, "it beats", {BEAT: "0+60x60"}, "10m"),
    Case("CsmQueueLong", "warning", True, "one in ten waits for a second",
         quantile(QUEUE, "0.5", "1.0", 10, 'instance="a"'), "30m"),
    Case("CsmQueueLong", "warning", False, "nobody waits for 100 ms",
         quantile(QUEUE, "0.05", "0.1", 10, 'instance="a"'), "30m"),
    Case("CsmKvCacheFull", "warning", True, "97 %",
         {'csm_generator_kv_cache_usage_ratio{instance="a"}': "0.97x60"}, "30m"),
    Case("CsmKvCacheFull", "warning", False, "80 %",
         {'csm_generator_kv_cache_usage_ratio{instance="a"}': "0.8x60"}, "30m"),
    Case("CsmAffinityMisses", "warning", True, "half", affinity(50), "50m"),
    Case("CsmAffinityMisses", "warning", False, "one in ten", affinity(10), "50m"),
    Case("CsmStoreErrors", "critical", True, "10 % time out", store(10), "30m"),
    Case("CsmStoreErrors", "critical", False, "callers leave", store(0, cancelled=20), "30m"),
    Case("CsmStoreSlow", "warning", True, "one in twenty takes 250 ms",
         quantile(STORE, "0.1", "0.25", 5), "30m"),
    Case("CsmStoreSlow", "warning", False, "all take 1 ms",
         quantile(STORE, "0.0005", "0.001", 5), "30m"),
    Case("CsmServiceAbsent", "critical", True, "no generator",
         ready("Speech", "Tokenizer"), "10m"),
    Case("CsmServiceAbsent", "critical", False, "all are there",
         ready("Speech", "Generator", "Tokenizer"), "10m"),
    Case("CsmFixedBucketsMissing", "warning", True, "only the service itself is there",
         ready("Speech", "Generator"), "20m"),
    Case("CsmFixedBucketsMissing", "warning", False, "both are there",
         ready("Speech") | {f'{FIRST_AUDIO}_bucket{{rpc="Converse",le="0.5"}}': "0x60"}, "20m"),
    Case("CsmTargetDown", "warning", True, "it does not answer",
         {'up{job="gateway",instance="a"}': "0x60"}, "10m"),
    Case("CsmTargetDown", "warning", False, "it answers, and another job's does not",
         {'up{job="gateway",instance="a"}': "1x60", 'up{job="node",instance="a"}': "0x60"}, "10m"),
    Case("CsmNotReady", "warning", True, "it loads for ever", state(0, 0), "20m"),
    Case("CsmNotReady", "warning", False, "it drains", state(0, 1), "20m"),
    Case("CsmNotReady", "warning", False, "it is ready", state(1, 0), "20m"),
    Case("CsmEventLoopLate", "warning", True, "one in twenty is late by 100 ms",
         quantile(LOOP, "0.05", "0.1", 5, 'job="gateway",instance="a"'), "30m"),
    Case("CsmEventLoopLate", "warning", False, "none is late by 10 ms",
         quantile(LOOP, "0.005", "0.01", 5, 'job="gateway",instance="a"'), "30m"),
    Case("CsmServerRestarts", "warning", True, "six an hour", {RESTARTS: "0x5 1 2 3 4 5 6x50"},
         "30m"),
    Case("CsmServerRestarts", "warning", False, "one", {RESTARTS: "0x10 1x50"}, "30m"),
    Case("CsmCertificateExpires", "critical", True, "half a day", {CERTIFICATE: "50400x120"}),
    Case("CsmCertificateExpires", "critical", False, "two days", {CERTIFICATE: "180000x120"}),
    Case("CsmCertificateExpires", "warning", True, "two days", {CERTIFICATE: "180000x120"}),
    Case("CsmCertificateExpires", "warning", False, "ten days", {CERTIFICATE: "871200x120"}),
]  # fmt: skip
