"""Texts to speech, one after the other, and what to say of them at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import typer

from csm.cli.listening import Spoken, report, write_speech, write_words
from csm.cli.loudspeaker import Loudspeaker
from csm.cli.output import Output
from csm.cli.reporting import CommandError, console
from csm.cli.text_files import TextFile, text_of
from csm.cli.text_parts import parts_of
from csm.client import AsyncSpeech, AudioFormat
from csm.errors import InvalidArgument

Synthesize = Callable[[str, AudioFormat | None], AsyncSpeech]
"""Speaks a text that is short enough, in a format."""
TargetAt = Callable[[Path | None], Output | None]
"""What is written at a path, in the format that the command line asks for."""


async def speak_files(
    files: Sequence[TextFile],
    skipped: Sequence[str],
    synthesize: Synthesize,
    max_text_chars: int,
    target_at: TargetAt,
    loudspeaker: Loudspeaker | None,
    words: Path | None,
    *,
    marked: bool = True,
) -> None:
    """Speaks them all; `marked`: what is markup in them is not read as words.

    In a folder, a text that cannot be spoken does not end the work; what was skipped, and why, is
    said at the end, and then the command ends with 1 if a text failed.
    """

    async def speak(file: TextFile, message: str) -> tuple[Spoken, Output | None]:
        said = text_of(file)
        parts, left_out = parts_of(said, max_text_chars, marked=marked)

        def speeches(form: AudioFormat | None) -> Iterator[tuple[int, AsyncSpeech]]:
            for first_char, part in parts:
                yield first_char, synthesize(part, form)

        with file.opened() as path:
            target = target_at(path)
            spoken = await write_speech(
                speeches(target.format if target else None),
                target,
                message,
                total_chars=len(said),
                left_out=left_out,
                loudspeaker=loudspeaker,
                kept=not file.in_folder,
            )
            if spoken is None:
                told = f"{file.output}: not written" if file.output else "nothing to play"
                raise CommandError(f"{told}, the model ended without audio")
        return spoken, target

    if len(files) == 1 and not files[0].in_folder:
        spoken, target = await speak(files[0], f"speaking {files[0].name}".rstrip())
        report(spoken, target, played=loudspeaker is not None)
        if words is not None:
            write_words(spoken.words, words)
        return
    done: list[Spoken] = []
    failed: list[str] = []
    try:
        for number, file in enumerate(files, start=1):
            try:
                spoken, _ = await speak(file, f"speaking {file.name} ({number} of {len(files)})")
            except (CommandError, InvalidArgument) as error:
                # About this text; the next one may be right.
                told = str(error)
                failed.append(told if told.startswith(file.name) else f"{file.name}: {told}")
                continue
            done.append(spoken)
            _say(f"{file.output}: {spoken.audio_s:.2f} s{_skipped_chars(spoken)}")
    finally:
        # Also where the server has gone or the user breaks it off.
        _say_at_the_end(done, skipped, failed)
    if failed:
        raise typer.Exit(1)


def _say_at_the_end(done: Sequence[Spoken], skipped: Iterable[str], failed: Iterable[str]) -> None:
    skipped, failed = list(skipped), list(failed)
    seconds = sum(one.audio_s for one in done)
    _say(
        f"{len(done)} spoken, {seconds:.2f} s in all; {len(skipped)} skipped, {len(failed)} failed"
    )
    for line in skipped:
        _say(f"  skipped {line}")
    for line in failed:
        _say(f"  failed {line}")


def _skipped_chars(spoken: Spoken) -> str:
    count = spoken.num_skipped_chars
    return f", {count} characters skipped" if count else ""


def _say(line: str) -> None:
    console().print(line, soft_wrap=True)
