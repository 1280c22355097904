"""What clients may have in the gateway's memory, as the settings allow it."""

from csm.audio import compressed, opus
from csm.audio.opus import MAX_PCM_BYTES_PER_S
from gateway.hearing.heard_audio import MIN_WAITING_BYTES
from gateway.hearing.recognition.process import available
from gateway.settings import GatewaySettings

CONTEXT_COPIES = 2
"""Context is there as it came, in the message, and once more as what is sent on."""
LARGE_MESSAGES_AT_ONCE = 8
"""Messages of the largest size that arrive at the same moment: those of audio and text are small,
and context, once it is there, is counted as such."""
JUDGE_BYTES = 190 << 20
"""A recogniser with its model; measured."""
MEASURED_BYTES = 12 << 20
"""A recording of 30 s while it is measured: its samples a few times."""
CONNECTION_BYTES = 24 << 10
"""Of HTTP, idle: a WebSocket takes less. Bodies and audio are counted elsewhere."""
RPC_CONNECTION_BYTES = 44 << 10
"""Of gRPC, idle, over TLS; in plaintext 15 KiB. Measured."""
ENCODER_BYTES = max(opus.ENCODER_BYTES, compressed.ENCODER_BYTES)
_FRAME_S = 0.08
_CODES_BYTES_PER_S = 12.5 * 32 * 2
"""Of CSM-1B's codec: frames a second, codes of a frame, bytes of a code."""


def memory_bytes(settings: GatewaySettings) -> dict[str, int]:
    """Bytes by part, at the most. The process itself, without any client, is not in it."""
    calls = min(settings.max_converse_calls, settings.max_concurrent_rpcs)
    heard_codes = int(settings.max_heard_audio_ms / 1000 * _CODES_BYTES_PER_S)
    return {
        "conversations": settings.max_conversations_bytes,
        "voices": settings.max_created_voices_bytes + MEASURED_BYTES,
        "audio for clients": settings.max_streams * _turn_bytes(settings),
        "heard audio": settings.max_heard_waiting_bytes + calls * (MIN_WAITING_BYTES + heard_codes),
        "context": CONTEXT_COPIES * settings.max_context_bytes,
        "messages": LARGE_MESSAGES_AT_ONCE * settings.max_message_bytes,
        "connections": settings.max_connections * RPC_CONNECTION_BYTES,
        "http": _http_bytes(settings),
        "recognition": _recognition_bytes(settings),
    }


def _turn_bytes(settings: GatewaySettings) -> int:
    """Of a spoken turn: the widest PCM, or an encoder and the PCM that it is given."""
    credit_bytes = int(settings.initial_credit_frames * _FRAME_S * MAX_PCM_BYTES_PER_S)
    coded_bytes = ENCODER_BYTES + min(settings.max_pcm_bytes, credit_bytes)
    return max(settings.max_pcm_bytes, coded_bytes)


def _recognition_bytes(settings: GatewaySettings) -> int:
    """Of the process that listens whether recordings say their words, where there can be one."""
    return JUDGE_BYTES if settings.check_recordings == "words" and available() else 0


def _http_bytes(settings: GatewaySettings) -> int:
    if settings.http_port is None:
        return 0
    # A body is there as it came, and once more as what JSON makes of it; and WebSockets have as
    # much in messages that are not whole yet.
    bodies = 3 * settings.http_max_bodies_bytes
    return settings.http_max_connections * CONNECTION_BYTES + bodies
