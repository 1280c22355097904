"""Settings of the gateway: `CSM_GATEWAY_<NAME>` in the environment, the same names as flags."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from csm.serving.settings import PathOrNone, Port, ServiceSettings, port_or_none

LoadBalancing = Literal["pick_first", "round_robin", "ring_hash"]
LeadMs = Annotated[int, Field(ge=0, le=600_000)]
QuotaAmount = Annotated[int, Field(ge=0, le=1 << 50)]
SilenceMs = Annotated[int, Field(ge=0, le=10_000)]


class GatewaySettings(ServiceSettings):
    """What the gateway can be told. Defaults fit one machine."""

    model_config = SettingsConfigDict(env_prefix="CSM_GATEWAY_", extra="ignore")

    port: Port = Field(50050, description="gRPC port; 0 picks a free one")
    metrics_port: Port | None = Field(9464, description="Prometheus port; none: no endpoint")

    http_port: Annotated[Port | None, BeforeValidator(port_or_none)] = Field(
        8080, description="port of HTTP and WebSocket; 0 picks a free one; none: no HTTP"
    )
    http_max_connections: int = Field(
        1024, ge=1, le=100_000, description="HTTP connections open at once, WebSockets included"
    )
    http_arrival_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="seconds that the head of an HTTP request, and its body, may take to arrive",
    )
    http_max_body_bytes: int = Field(
        1 << 20, ge=16 << 10, le=64 << 20, description="largest body of JSON or of codes"
    )
    http_max_bodies_bytes: int = Field(
        8 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="bodies held at once, of all HTTP requests; unfinished messages of all "
        "WebSockets may have as much again",
    )
    http_max_upload_bytes: int = Field(
        64 << 20,
        ge=64 << 10,
        le=1 << 40,
        description="largest recording that is sent to be encoded; it is passed on as it comes",
    )
    http_cors_origins: str = Field(
        "",
        max_length=4096,
        description="web pages that browsers may let call: origins such as https://example.org, "
        "parted by commas, or *; empty: none",
    )

    playground: bool = Field(True, description="a page to speak with, at / of the HTTP port")

    tokenizer_target: str = Field(
        "127.0.0.1:50051", min_length=1, description="tokenizer: host:port or dns:///name:port"
    )
    generator_target: str = Field(
        "127.0.0.1:50052", min_length=1, description="generator: host:port or dns:///name:port"
    )
    tokenizer_load_balancing: LoadBalancing = Field(
        "round_robin", description="how calls spread over tokenizers"
    )
    generator_load_balancing: LoadBalancing = Field(
        "ring_hash", description="how calls spread over generators; ring_hash keeps a conversation"
    )
    backend_ca: PathOrNone = Field(
        None,
        description="authorities of the two services' certificates, PEM; turns TLS towards them on",
    )
    backend_certificate: PathOrNone = Field(
        None, description="certificate to show to the two services, PEM (mutual TLS)"
    )
    backend_key: PathOrNone = Field(None, description="its key, PEM, without a passphrase")
    backend_token_file: PathOrNone = Field(
        None,
        description="file with the bearer token that tokenizer and generator are shown, read again "
        "when it changes",
    )
    backend_refresh_s: float = Field(
        5.0, gt=0, le=300, description="seconds between looks at a backend that answers"
    )
    backend_retry_s: float = Field(
        0.5, gt=0, le=60, description="seconds between looks at a backend that does not"
    )
    failover_s: float = Field(
        2.0,
        ge=0,
        le=60,
        description="seconds that a turn waits for a backend, or for a slot, before it fails",
    )

    voices_directory: Path | None = Field(
        None, description="folder of NAME/voice.json with their recordings; none: the model's voice"
    )
    default_voice: str = Field(
        "", max_length=64, description="voice where none is named; empty: the model's own"
    )
    voice_aliases: str = Field(
        "",
        max_length=65_536,
        description="other names of voices: alias=voice, parted by commas, e.g. alloy=heart,"
        "onyx=michael",
    )
    created_voices_directory: Path | None = Field(
        None,
        description="folder that keeps voices made by CreateVoice; none: the store of store_url, "
        "without one the memory of this process",
    )
    max_created_voices: int = Field(
        1000, ge=0, le=1_000_000, description="voices made by CreateVoice that are kept"
    )
    max_created_voices_bytes: int = Field(
        16 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="bytes of memory for all voices made by CreateVoice; of CSM-1B's codec ten "
        "seconds of recordings are about 10 KB",
    )

    max_streams: int = Field(64, ge=1, le=10_000, description="turns spoken at once, of all calls")
    max_streams_per_client: int = Field(
        48, ge=1, le=10_000, description="of these, turns of one client's address"
    )
    max_converse_calls: int = Field(
        512, ge=1, le=100_000, description="Converse calls open at once, speaking or not"
    )
    max_idle_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="seconds that a Converse call may neither say nor hear anything",
    )
    max_text_chars: int = Field(4096, ge=1, le=100_000, description="longest text of a turn")
    max_sentence_chars: int = Field(
        200, ge=20, le=4096, description="longer sentences are cut at a comma or a space"
    )
    normalize_text: bool = Field(
        True, description="put numbers, units, signs and abbreviations into words"
    )
    text_markup: Literal["strip", "obey", "off"] = Field(
        "obey", description="what becomes of SSML, HTML and Markdown where a call does not say"
    )
    newline_pause_ms: int = Field(
        0, ge=0, le=10_000, description="silence at a line break between sentences"
    )
    paragraph_pause_ms: int = Field(300, ge=0, le=10_000, description="silence at a blank line")
    lexicon: Path | None = Field(
        None, description="file of words and how they are said, read again when it changes"
    )
    text_quiet_ms: int = Field(
        400,
        ge=0,
        le=60_000,
        description="quiet after which a sentence that lacks only the next character is spoken; "
        "0: never",
    )
    retry_early_end: bool = Field(
        True,
        description="say a sentence once more whose speech ended far too early, where nothing of "
        "it was delivered",
    )
    max_context_turns: int = Field(
        64, ge=1, le=1024, description="turns of context that a Synthesize call may bring"
    )
    max_heard_audio_ms: int = Field(
        300_000, ge=1000, le=3_600_000, description="longest heard turn in milliseconds"
    )
    initial_credit_frames: int = Field(
        64, ge=8, le=4096, description="frames generated ahead of what the client has taken"
    )
    default_max_lead_ms: LeadMs = Field(
        0, description="lead over real time where a call names none; 0: as fast as it is made"
    )
    speed: float = Field(
        1.0, ge=0.5, le=2.0, description="pace of speech where a call does not say, pitch unchanged"
    )
    even_loudness: Literal["prompted", "on", "off"] = Field(
        "prompted",
        description="whose turns are brought to loudness_lufs where a call does not say: voices "
        "with prompts, all, none",
    )
    loudness_lufs: float = Field(
        -20.0, ge=-40, le=-10, description="loudness of evened turns, LUFS (ITU-R BS.1770)"
    )
    max_leading_silence_ms: SilenceMs | None = Field(
        None,
        description="longest silence before a turn's first sound; none: as the model leaves it",
    )
    max_trailing_silence_ms: SilenceMs | None = Field(
        None, description="longest silence behind a turn's last sound; none: as the model leaves it"
    )
    watermark: str = Field(
        "",
        max_length=200,
        description="module:attribute that makes the watermark of all audio; empty: none",
    )
    watermark_key: SecretStr = Field(
        SecretStr(""), description="the operator's key of the watermark, as that one wants it"
    )
    max_pcm_bytes: int = Field(
        2 << 20,
        ge=64 << 10,
        le=64 << 20,
        description="audio of a turn that may wait, decoded, for a client that does not read",
    )
    cancel_timeout_s: float = Field(
        1.0, gt=0, le=30, description="seconds that a cancelled turn waits for the generator"
    )
    frame_timeout_s: float = Field(
        20.0,
        gt=0,
        le=600,
        description="seconds that a generator with a free slot may owe a frame before another "
        "is tried; one that does not answer at all is left after about two",
    )
    slot_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="seconds that a turn may wait in a full generator's queue"
    )
    decode_timeout_s: float = Field(
        4.0,
        gt=0,
        le=600,
        description="seconds that a tokenizer may owe audio for frames before another is tried",
    )

    conversation_ttl_s: float = Field(
        3600.0, gt=0, le=30 * 86_400, description="seconds that an unused conversation is kept"
    )
    max_conversations: int = Field(1000, ge=1, le=1_000_000, description="conversations kept")
    max_conversation_turns: int = Field(
        400, ge=4, le=100_000, description="turns kept of a conversation; the oldest go first"
    )
    max_conversation_frames: int = Field(
        40_000, ge=1000, le=10_000_000, description="frames kept of a conversation"
    )
    max_conversations_bytes: int = Field(
        128 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="bytes of memory for all conversations; the least recently used go first, "
        "then the oldest turns of the largest",
    )
    store_url: SecretStr = Field(
        SecretStr(""),
        description="Redis or Valkey that keeps conversations: redis://HOST:PORT/DB, rediss://, "
        "unix://, redis+sentinel://, redis+cluster://; empty: this process",
    )
    store_timeout_s: float = Field(
        0.5, gt=0, le=10, description="seconds that the store may take for an operation"
    )
    store_lease_s: float = Field(
        10.0,
        ge=0.5,
        le=600,
        description="seconds after which a conversation of a gateway that died can be opened "
        "elsewhere",
    )
    store_fail: Literal["open", "closed"] = Field(
        "open",
        description="while the store is away: open begins conversations in memory, with a warning; "
        "closed refuses them, and the gateway is not ready",
    )

    quota_streams: QuotaAmount = Field(
        0, description="streams at once of a tenant: Synthesize turns and open Converse calls"
    )
    quota_requests_per_minute: QuotaAmount = Field(
        0, description="requests and turns a minute of a tenant; 0: no bound, as for all quotas"
    )
    quota_characters_per_day: QuotaAmount = Field(
        0, description="characters of texts to be spoken, a day, of a tenant"
    )
    quota_audio_seconds_per_day: QuotaAmount = Field(
        0, description="seconds of audio sent, a day, of a tenant"
    )
    quota_voices: QuotaAmount = Field(0, description="created voices that a tenant may keep")
    quota_bytes: QuotaAmount = Field(
        0, description="bytes of conversations and created voices that a tenant may keep"
    )
    quotas_file: Path | None = Field(
        None,
        description="file of quotas by tenant and principal, TOML or (.json) JSON, read again when "
        "it changes",
    )
    quota_store_url: SecretStr = Field(
        SecretStr(""),
        description="Redis or Valkey in which gateways count quotas together, as store_url but no "
        "cluster; empty: each process counts for itself",
    )
    quota_metric_tenants: str = Field(
        "",
        max_length=4096,
        description="tenants with labels of their own in the metrics, parted by commas; the others "
        "are other",
    )

    max_files_encoding: int = Field(
        4, ge=1, le=1024, description="files of context that are encoded at once, of all calls"
    )
    encode_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="seconds that a file of context may take, or wait to begin"
    )
    mend_recordings: bool = Field(
        True,
        description="recordings of voices and of context are mended where that is harmless: a "
        "constant offset, a level far off, long silence at the ends; the turn's warnings say so",
    )
    check_recordings: Literal["off", "length", "words"] = Field(
        "words",
        description="what recordings of voices and of context are asked about their words: length, "
        "whether they fit its length; words, also whether it says them (English, and only with "
        "the extra recognition)",
    )
    max_context_bytes: int = Field(
        32 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="bytes of context that Synthesize calls under way have brought, all together",
    )
    heard_timeout_s: float = Field(
        15.0, gt=0, le=600, description="seconds that the tokenizer may owe frames of heard audio"
    )
    max_heard_waiting_bytes: int = Field(
        16 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="heard audio that may wait for the tokenizer, of all calls; beyond, calls with "
        "much of it are read no further",
    )
