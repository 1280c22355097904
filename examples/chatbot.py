"""A chatbot over the WebSocket: lines are typed, answers are written and spoken.

    csm serve                                   # its HTTP port is 8080
    python examples/chatbot.py -o answers/
    python examples/chatbot.py --llm http://127.0.0.1:11434/v1 --server 127.0.0.1:8080 < lines.txt

Needs `websockets` and nothing of csm's gRPC: any language with a WebSocket can do the same
(docs/http.md). Each answer is a WAV; the conversation's id is printed, and `--conversation ID` goes
on with it later, at this gateway or another one of its store.
"""

import argparse
import asyncio
import json
import signal
import sys
import wave
from pathlib import Path
from typing import Any

from answers import Answers, add_arguments, answers, as_they_come
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException


class Chat:
    """A conversation, a line and its answer at a time."""

    def __init__(self, socket: ClientConnection, answer: Answers, folder: Path) -> None:
        self._socket, self._answer, self._folder = socket, answer, folder
        self._rate_hz = 0
        self._count = 0

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def _told(self) -> dict[str, Any] | bytes:
        """The next message; raises `ValueError` for an error."""
        message = await self._socket.recv()
        if isinstance(message, bytes):
            return message
        told: dict[str, Any] = json.loads(message)
        if error := told.get("error"):
            raise ValueError(error["message"])
        return told

    async def start(self, voice: str, conversation_id: str) -> str:
        """Opens the conversation; its id."""
        given = {"voice": voice, "conversation_id": conversation_id}
        await self._send("config", **{name: value for name, value in given.items() if value})
        started = await self._told()
        assert isinstance(started, dict)
        self._rate_hz = started["output_format"]["sample_rate_hz"]
        return str(started["conversation_id"])

    async def turn(self, line: str) -> None:
        """Answers a line."""
        # What was typed is a turn of the conversation too, of text alone.
        await self._send("end_of_turn", heard_text=line)
        saying = asyncio.create_task(self._say(line))
        pcm = b""
        while True:
            told = await self._told()
            if isinstance(told, bytes):
                pcm += told
            elif told["type"] == "turn_completed" and not told.get("heard"):
                break
        await saying
        self._count += 1
        file = self._folder / f"answer-{self._count:02}.wav"
        with wave.open(str(file), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(self._rate_hz)
            sound.writeframes(pcm)
        print(f"  {file}: {len(pcm) / 2 / self._rate_hz:.2f} s, {told['finish_reason']}")

    async def _say(self, line: str) -> None:
        async for part in as_they_come(self._answer(line)):
            print(part, end="", flush=True)
            await self._send("text", text=part)
        print()
        await self._send("end_of_turn")

    async def close(self) -> None:
        """Says that nothing more comes."""
        await self._send("close")


async def main(arguments: argparse.Namespace) -> None:
    """Chats until the input ends."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    async with connect(f"ws://{arguments.server}/v1/conversations") as socket:
        chat = Chat(socket, answers(arguments), arguments.output)
        print(f"conversation {await chat.start(arguments.voice, arguments.conversation)}")
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip():
                await chat.turn(line.strip())
        await chat.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("--voice", default="")
    parser.add_argument("--conversation", default="", metavar="ID", help="go on with this one")
    parser.add_argument("-o", "--output", type=Path, default=Path("."), help="folder of answers")
    add_arguments(parser)
    # Ctrl-C ends it at once: a thread that waits for a line would go on waiting.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        asyncio.run(main(parser.parse_args()))
    except (OSError, ValueError, WebSocketException) as error:
        raise SystemExit(f"{sys.argv[0]}: {error}") from None
