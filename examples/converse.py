"""A conversation in which the listener interrupts: hear, speak, barge in, and go on.

    csm serve                                   # in another terminal
    python examples/converse.py question.wav

The recording is the other side's first turn. The answer is cut short after half a second of
audio; the server keeps what was heard of it, and the conversation goes on from there.
"""

import asyncio
import sys

from csm import (
    AsyncClient,
    AsyncConversation,
    AudioChunk,
    AudioFormat,
    ServiceError,
    TurnCompleted,
)
from csm.audio.files import read_audio

ANSWER = "Of course. The station is not far from here. Walk down to the river and turn left."
HEARD_MS = 500


async def listen(conversation: AsyncConversation, *, stop_after_ms: int | None = None) -> None:
    """Takes events until a spoken turn is over; interrupts it when so much was heard."""
    heard_ms = 0.0
    interrupted = False
    async for event in conversation:
        if isinstance(event, AudioChunk):
            heard_ms += event.duration_s * 1000
            if stop_after_ms is not None and heard_ms >= stop_after_ms and not interrupted:
                interrupted = True
                await conversation.cancel(turn_id=event.turn_id, heard_ms=stop_after_ms)
        elif isinstance(event, TurnCompleted):
            kind = "heard" if event.heard else "spoken"
            print(
                f"{kind} turn {event.turn_id}: {event.finish_reason}, "
                f"{event.kept_audio_ms} ms kept, {event.usage.reused_frames} frames reused"
            )
            for warning in event.warnings:
                print(f"  {warning.field}: {warning.description}")
            if event.error:
                raise event.error
            if not event.heard:
                return


async def main(path: str, target: str = "127.0.0.1:50050") -> None:
    """Plays the part of somebody with a microphone and little patience."""
    samples, rate_hz = read_audio(path, max_seconds=60)
    async with (
        AsyncClient(target) as client,
        client.converse(
            input_format=AudioFormat("s16", rate_hz),
            # At most a quarter of a second ahead: what is cut off was hardly made.
            max_lead_ms=250,
        ) as conversation,
    ):
        print(f"conversation {conversation.conversation_id}, voice {conversation.started.voice}")
        step = rate_hz // 10
        for start in range(0, len(samples), step):
            await conversation.send_audio(samples[start : start + step])
        await conversation.say(ANSWER)
        await conversation.end_turn(heard_text="Can you tell me where the station is?")
        await listen(conversation, stop_after_ms=HEARD_MS)

        await conversation.say("As you like.")
        await conversation.end_turn()
        await listen(conversation)

        for turn in (await client.get_conversation(conversation.conversation_id)).turns:
            print(f"  {'heard' if turn.heard else 'said '} {turn.audio_ms:>6} ms  {turn.text!r}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(f"usage: {sys.argv[0]} RECORDING [HOST:PORT]")
    try:
        asyncio.run(main(*sys.argv[1:3]))
    except ServiceError as error:
        raise SystemExit(f"{sys.argv[0]}: {error}") from None
