"""The panels of the dashboard: rows of plain data, what each panel shows and by which queries."""

from collections.abc import Iterator
from typing import Any

from deploy.grafana.queries import (
    ANY,
    GATEWAY,
    GENERATOR,
    TOKENIZER,
    Query,
    by,
    quantiles,
    rate,
    share,
    total,
)

Panel = dict[str, Any]

OBJECTIVE_FIRST_AUDIO = 0.99
OBJECTIVE_CONTINUITY = 0.999


def panel(
    title: str, unit: str, *queries: Query, about: str, ceiling: float = 0, floor: float = 0
) -> Panel:
    """One panel, with a line above which it is bad, or below."""
    return {
        "title": title,
        "unit": unit,
        "queries": list(queries),
        "about": about,
        "ceiling": ceiling,
        "floor": floor,
    }


ROWS: dict[str, list[Panel]] = {
    "Latency": [
        panel(
            "First audio", "s",
            *quantiles("csm_gateway_time_to_first_audio_seconds", GATEWAY, "rpc", (50, 95, 99)),
            about="From the complete request for a turn to its first chunk.", ceiling=0.5,
        ),
        panel(
            "Turns with first audio within 500 ms", "percentunit",
            (
                share(
                    f'csm_gateway_time_to_first_audio_seconds_bucket{{le="0.5",{GATEWAY}}}',
                    f"csm_gateway_time_to_first_audio_seconds_count{{{GATEWAY}}}",
                ),
                "share",
            ),
            about="Objective 1: 99 %.", floor=OBJECTIVE_FIRST_AUDIO,
        ),
        panel(
            "First audible sample", "s",
            *quantiles("csm_gateway_time_to_first_audible_seconds", GATEWAY, "rpc"),
            about="As a listener hears it: silence before the first word counts.",
        ),
        panel(
            "First audio by stage", "s",
            *quantiles("csm_gateway_stage_duration_seconds", GATEWAY, "stage", (95,)),
            about="Where the time to first audio goes; context_encode comes before it.",
        ),
        panel(
            "First frame in the generator", "s",
            *[
                (expr, part)
                for part, metric in (
                    ("queue", "csm_generator_queue_time_seconds"),
                    ("prefill", "csm_generator_prefill_seconds"),
                    ("first frame", "csm_generator_time_to_first_frame_seconds"),
                )
                for expr, _ in quantiles(metric, GENERATOR, shares=(95,))
            ],
            about="p95 of waiting for a slot, of prefill, and of both with the first step.",
        ),
        panel(
            "Text preparation and cancel", "s",
            *[
                (expr, part)
                for part, metric, where in (
                    ("text", "csm_gateway_text_preparation_seconds", GATEWAY),
                    ("cancel of a turn", "csm_gateway_cancel_latency_seconds", GATEWAY),
                    ("cancel of a slot", "csm_generator_cancel_latency_seconds", GENERATOR),
                )
                for expr, _ in quantiles(metric, where, shares=(99,))
            ],
            about="p99. A cancel is promised within one step.",
        ),
    ],
    "Continuity": [
        panel(
            "Turns without an audible gap", "percentunit",
            (
                share(
                    f'csm_gateway_audio_underrun_seconds_bucket{{le="0.02",{GATEWAY}}}',
                    f"csm_gateway_audio_underrun_seconds_count{{{GATEWAY}}}",
                ),
                "share",
            ),
            about="Objective 2: 99.9 %. All gaps of a turn are 20 ms at the most.",
            floor=OBJECTIVE_CONTINUITY,
        ),
        panel(
            "Waiting of listeners a turn", "s",
            *quantiles("csm_gateway_audio_underrun_seconds", GATEWAY, shares=(95, 99)),
            about="Seconds that a listener waits who plays the first chunk at once.",
        ),
        panel(
            "Real-time factor", "none",
            *quantiles("csm_gateway_real_time_factor", GATEWAY),
            about="Seconds of making per second of audio.", ceiling=0.9,
        ),
        panel(
            "Between frames", "s",
            *quantiles("csm_generator_inter_frame_seconds", GENERATOR, "instance", (95,)),
            (
                " / ".join(
                    by("instance", f"csm_generator_{metric}{{{GENERATOR}}}")[0]
                    for metric in ("step_duration_seconds_sum", "batch_size_count")
                ),
                "step {{instance}}",
            ),
            about="p95 between two frames of a turn, and the mean of a step of the batch, which "
            "must be below 80 ms. Turns that are paced come two frames at a time.", ceiling=0.08,
        ),
        panel(
            "Between chunks, and lead", "s",
            *[
                (expr, part)
                for part, metric in (
                    ("gap", "csm_gateway_chunk_gap_seconds"),
                    ("lead", "csm_gateway_pacing_lead_seconds"),
                )
                for expr, _ in quantiles(metric, GATEWAY, shares=(95,))
            ],
            about="p95 of the time between chunks, and of how far ahead of real time they leave.",
        ),
        panel(
            "Event loop delay", "s",
            *quantiles("csm_event_loop_delay_seconds", ANY, "job, instance", (99,)),
            about="p99: how late an event loop wakes up.", ceiling=0.05,
        ),
    ],
    "Capacity": [
        panel(
            "Turns in the generators", "none",
            (f"sum(csm_generator_requests_running{{{GENERATOR}}})", "running"),
            (f"sum(csm_generator_requests_waiting{{{GENERATOR}}})", "waiting"),
            (f"sum(csm_generator_requests_parked{{{GENERATOR}}})", "parked"),
            (f"sum(csm_generator_slots{{{GENERATOR}}})", "slots"),
            about="Parked turns gave their slot up because their client does not read.",
        ),
        panel(
            "Slots in use by generator", "percentunit",
            (
                f"csm_generator_requests_running{{{GENERATOR}}}"
                f" / csm_generator_slots{{{GENERATOR}}}",
                "{{instance}}",
            ),
            about="One far above the others holds the conversations that talk most.",
        ),
        panel(
            "KV cache in use", "percentunit",
            (f"csm_generator_kv_cache_usage_ratio{{{GENERATOR}}}", "{{instance}}"),
            about="Idle conversations keep theirs until others need it.", ceiling=0.95,
        ),
        panel(
            "Engine by phase", "percentunit",
            by("phase", f"csm_generator_step_duration_seconds_sum{{{GENERATOR}}}"),
            about="Share of the time that the engines spend in each phase of a step.",
        ),
        panel(
            "Batch size", "none",
            (
                share(
                    f"csm_generator_batch_size_sum{{{GENERATOR}}}",
                    f"csm_generator_batch_size_count{{{GENERATOR}}}",
                ),
                "generator",
            ),
            (
                f"sum by (operation) ({rate(f'csm_tokenizer_batch_size_sum{{{TOKENIZER}}}')}) / "
                f"sum by (operation) ({rate(f'csm_tokenizer_batch_size_count{{{TOKENIZER}}}')})",
                "tokenizer {{operation}}",
            ),
            about="Mean number of rows that advance in one step.",
        ),
        panel(
            "Audio made", "none",
            total(f"csm_gateway_audio_seconds_total{{{GATEWAY}}}", "sent"),
            by("operation", f"csm_tokenizer_audio_seconds_total{{{TOKENIZER}}}", "{{operation}}d"),
            about="Seconds of audio a second: so many people speak or are heard at once.",
        ),
        panel(
            "Tokenizer", "s",
            *quantiles("csm_tokenizer_step_seconds", TOKENIZER, "operation", (95,)),
            *[
                (expr, f"{name}, first output")
                for expr, name in quantiles(
                    "csm_tokenizer_first_chunk_seconds", TOKENIZER, "operation", (95,)
                )
            ],
            about="p95 of a step of the codec, and from a stream's first input to its output.",
        ),
        panel(
            "Processors", "none",
            (rate(f"process_cpu_seconds_total{{{ANY}}}"), "{{job}} {{instance}}"),
            about="Processor seconds a second.",
        ),
        panel(
            "Memory", "bytes",
            (f"process_resident_memory_bytes{{{ANY}}}", "{{job}} {{instance}}"),
            about="Resident memory.",
        ),
    ],
    "Errors": [
        panel(
            "Turns by outcome", "ops",
            by("outcome", f"csm_gateway_requests_total{{{GATEWAY}}}"),
            about="rejected is the caller's mistake or want of room, failed is ours.",
        ),
        panel(
            "Calls that end with an error", "ops",
            by("grpc_method, grpc_code", f'grpc_server_handled_total{{grpc_code!="OK",{ANY}}}'),
            about="All three services.",
        ),
        panel(
            "Refused by the backends", "ops",
            by("reason", f"csm_generator_rejected_total{{{GENERATOR}}}"),
            by("reason", f"csm_tokenizer_rejected_total{{{TOKENIZER}}}", "tokenizer {{reason}}"),
            about="queue_full and streams_full are want of room.",
        ),
        panel(
            "Begun again", "ops",
            by("service", f"csm_gateway_upstream_retries_total{{{GATEWAY}}}"),
            by("service", f"csm_gateway_failovers_total{{{GATEWAY}}}", "{{service}}, in mid-turn"),
            total(f"csm_gateway_sentences_repeated_total{{{GATEWAY}}}", "sentences ended early"),
            about="Turns submitted again because a backend failed, or that go on with another; "
            "sentences said once more.",
        ),
        panel(
            "Warnings", "ops",
            by("kind", f"csm_gateway_warnings_total{{{GATEWAY}}}"),
            about="What the terminals of turns warn of.",
        ),
        panel(
            "Ready", "none",
            (f"csm_ready{{{ANY}}}", "{{grpc_service}} {{instance}}"),
            about="1 while a service takes calls.",
        ),
        panel(
            "Restarts", "none",
            (
                f"sum by (instance) (increase(csm_server_restarts_total{{{ANY}}}[1h]))",
                "server {{instance}}",
            ),
            about="gRPC servers that ended unasked and were started again, in an hour.",
        ),
        panel(
            "Engine's last beat", "s",
            (
                f"time() - csm_generator_engine_heartbeat_timestamp_seconds{{{GENERATOR}}}",
                "{{instance}}",
            ),
            about="Seconds since the engine went round its loop; above 10 it stands.",
            ceiling=10,
        ),
    ],
    "Conversations": [
        panel(
            "Open and kept", "none",
            (f"sum(csm_gateway_streams_active{{{GATEWAY}}})", "calls"),
            (f"sum(csm_gateway_conversations_active{{{GATEWAY}}})", "conversations kept"),
            (f"sum(csm_generator_conversations_cached{{{GENERATOR}}})", "idle with a slot"),
            about="Calls that speak or converse; conversations in gateways and generators.",
        ),
        panel(
            "Found in the cache", "percentunit",
            (
                share(
                    f'csm_gateway_affinity_total{{result="hit",{GATEWAY}}}',
                    f"csm_gateway_affinity_total{{{GATEWAY}}}",
                ),
                "turns whose history was there",
            ),
            (
                share(
                    f'csm_generator_prefix_frames_total{{source="reused",{GENERATOR}}}',
                    f"csm_generator_prefix_frames_total{{{GENERATOR}}}",
                ),
                "positions of prompts",
            ),
            about="Low after a rollout; low for long means routing, or too few slots.",
        ),
        panel(
            "Lost from the cache", "ops",
            by(
                "reason",
                f"csm_generator_conversation_evictions_total{{{GENERATOR}}}",
                "slot, {{reason}}",
            ),
            total(f"csm_generator_segments_evicted_total{{{GENERATOR}}}", "segments left out"),
            about="Idle conversations that lost their slot; segments that no context held.",
        ),
        panel(
            "Store operations", "ops",
            by("outcome", f"csm_gateway_store_operations_total{{{GATEWAY}}}"),
            about="Redis or Valkey; nothing where conversations are kept in the process.",
        ),
        panel(
            "Store latency", "s",
            *quantiles("csm_gateway_store_seconds", GATEWAY, "operation", (99,)),
            about="p99 by operation.",
        ),
    ],
    "Tenants": [
        panel(
            "Requests by tenant", "ops",
            by("tenant", f"csm_gateway_tenant_requests_total{{{GATEWAY}}}"),
            about="What counts for quotas. Tenants that CSM_GATEWAY_QUOTA_METRIC_TENANTS does not "
            "name are other.",
        ),
        panel(
            "Audio by tenant", "none",
            by("tenant", f"csm_gateway_tenant_audio_seconds_total{{{GATEWAY}}}"),
            about="Seconds of audio a second: so many people of a tenant are spoken to at once.",
        ),
        panel(
            "Characters by tenant", "none",
            by("tenant", f"csm_gateway_tenant_characters_total{{{GATEWAY}}}"),
            about="Characters of texts that were spoken, a second.",
        ),
        panel(
            "Refused for a quota", "ops",
            by("tenant, quota", f"csm_gateway_tenant_quota_refusals_total{{{GATEWAY}}}"),
            about="The tenant's business, unless its quota is too small.",
        ),
    ],
}  # fmt: skip


def panels() -> Iterator[Panel]:
    """All panels, without their rows."""
    for row in ROWS.values():
        yield from row
