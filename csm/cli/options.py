"""Options that several commands share: where the model runs, how codes are drawn, what to write."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from csm.cli.reporting import CommandError


class Container(StrEnum):
    """File formats that can be written."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    OPUS = "opus"
    MP3 = "mp3"
    RAW = "raw"


class SampleFormat(StrEnum):
    """How a sample is stored."""

    U8 = "8"
    S16 = "16"
    S24 = "24"
    S32 = "32"
    FLOAT = "float"


class SampleEncoding(StrEnum):
    """How the bytes of a sample are to be read or written; names of `csm.client.formats`."""

    U8 = "u8"
    S16 = "s16"
    S24 = "s24"
    S32 = "s32"
    F32 = "f32"
    MULAW = "mulaw"
    ALAW = "alaw"


TELEPHONE_SUFFIXES: dict[str, SampleEncoding] = {
    ".ulaw": SampleEncoding.MULAW,
    ".mulaw": SampleEncoding.MULAW,
    ".alaw": SampleEncoding.ALAW,
}
"""Of files without a header whose samples are known by their name."""


class Dtype(StrEnum):
    """Weight types of a stored or benchmarked model."""

    FLOAT32 = "fp32"
    BFLOAT16 = "bf16"
    FLOAT16 = "fp16"

    @property
    def torch_name(self) -> str:
        """Its name in torch and in the services' settings."""
        return {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[self.value]


def model_directory(path: Path | None) -> Path | None:
    """The path, where there is something; else how to get it. For the hub's names too."""
    if path is None or path.exists():
        return path
    fetched = Path("models") / path.name
    if _HUB_NAME.fullmatch(str(path)):
        if fetched.is_dir():
            raise CommandError(f"{path}: no such directory, but {fetched} is there: -M {fetched}")
        raise CommandError(
            f"{path}: no such directory; fetch it from the Hugging Face hub with "
            f"`csm models pull {path}`, then say -M {fetched}"
        )
    if path.parent == fetched.parent:
        owner = _OWNERS.get(path.name, "OWNER")
        raise CommandError(
            f"{path}: no such directory; `csm models pull {owner}/{path.name}` makes it of the "
            "Hugging Face hub's"
        )
    raise CommandError(f"{path}: no such directory")


# owner/name, as the hub has them; models/NAME is where they are put.
_HUB_NAME = re.compile(r"(?!models/)[\w-][\w.-]*/[\w-][\w.-]*")
_OWNERS = {"csm-1b": "sesame"}
_HERE = "Running it here"
_SAMPLING = "Sampling"
_OUTPUT = "Output"

Model = Annotated[
    Path | None,
    typer.Option(
        "--model", "-M", help="Model directory; default: the voice that ships.",
        callback=model_directory, rich_help_panel=_HERE,
    ),
]  # fmt: skip
Voices = Annotated[
    Path | None,
    typer.Option(help="Directory of voices: NAME/voice.json and its audio.", rich_help_panel=_HERE),
]
GATEWAY = "A gateway's host:port. Without it, everything runs in this process."
"""Help of `--server`."""
Threads = Annotated[
    int | None,
    typer.Option(
        help="Torch threads of each service; default: all cores it has, or one for a small model.",
        min=0,
        rich_help_panel=_HERE,
    ),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_HERE)]
ServingDtype = Annotated[
    str | None,
    typer.Option("--dtype", help="Weights of the generator: auto, float32, bfloat16 "
                 "(fp32 and bf16 for short) or int8.", rich_help_panel=_HERE),
]  # fmt: skip

Temperature = Annotated[
    float | None,
    typer.Option("--temperature", "-t", help="0..10; 0 is argmax.", rich_help_panel=_SAMPLING),
]
DepthTemperature = Annotated[
    float | None,
    typer.Option(help="That of codebooks 1 and up.", rich_help_panel=_SAMPLING),
]
TopK = Annotated[
    int | None,
    typer.Option("--top-k", "-k", help="Keep the k likeliest; 0: all.", rich_help_panel=_SAMPLING),
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", "-p", help="Keep this much probability.", rich_help_panel=_SAMPLING),
]
Seed = Annotated[
    int | None, typer.Option(help="Same seed, same speech.", rich_help_panel=_SAMPLING)
]

Speed = Annotated[
    float | None,
    typer.Option(help="Pace, 0.5..2, the pitch unchanged. Default: 1.", min=0.5, max=2.0),
]
EvenLoudness = Annotated[
    bool | None,
    typer.Option(
        "--even-loudness/--own-loudness",
        help="Bring it to one loudness. Default: voices with recordings.",
    ),
]

Format = Annotated[
    Container | None,
    typer.Option("--format", help="Default: by the output's suffix.", rich_help_panel=_OUTPUT),
]
Rate = Annotated[
    int,
    typer.Option(help="Samples a second; 0: the model's, of mulaw and alaw 8000.", min=0,
                 rich_help_panel=_OUTPUT),
]  # fmt: skip
Encoding = Annotated[
    SampleEncoding | None,
    typer.Option("--encoding", help="How a WAV or a raw file holds its samples, instead of "
                 "--bit-depth.", rich_help_panel=_OUTPUT),
]  # fmt: skip
Bits = Annotated[
    SampleFormat | None,
    typer.Option("--bit-depth", help="Default: 16, where the format has one.",
                 rich_help_panel=_OUTPUT),
]  # fmt: skip


def serving_dtype(given: str | None) -> str | None:
    """The settings' name of a dtype given in either way."""
    return Dtype(given).torch_name if given in list(Dtype) else given
