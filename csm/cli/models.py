"""`csm models`: make, convert, fetch and look at model directories."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from csm.cli import options
from csm.cli.options import Dtype

app = typer.Typer(no_args_is_help=True, help="Make, convert, fetch and look at model directories.")

DEFAULT_REPOSITORY = "sesame/csm-1b"


class LayoutName(StrEnum):
    """Whose names and files are written."""

    HF = "hf"
    SESAME = "sesame"


@app.command()
def create(
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory to make.")],
    shape: Annotated[
        str, typer.Option(help="csm-1b, pico, or a config.json with the sizes.")
    ] = "pico",
    seed: Annotated[int, typer.Option(help="Same seed, same weights.", min=0)] = 0,
    dtype: Annotated[Dtype, typer.Option(help="Of the model; the codec is fp32.")] = Dtype.BFLOAT16,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="A tokenizer.json. Default: pico's for pico, else one of bytes."),
    ] = None,
) -> None:
    """Make a model of random weights, codec and tokenizer included: for tests and benchmarks."""
    from csm.cli.reporting import print_figures, status
    from services.model_tools.making import make

    with status(f"making {shape}"):
        made = make(shape, output, seed=seed, dtype=dtype.torch_name, tokenizer=tokenizer)
    print_figures(str(output), made)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A model directory or a safetensors file.")],
    target: Annotated[Path, typer.Argument(help="The directory to make.")],
    layout: Annotated[
        LayoutName, typer.Option(help="Hugging Face's, or Sesame's with Kyutai's Mimi file.")
    ] = LayoutName.HF,
    codec: Annotated[
        Path | None, typer.Option(help="Mimi, where SOURCE has none: a file or a directory.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json, where SOURCE has none.")
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Default: as it is.")] = None,
) -> None:
    """Write a model in another layout."""
    from csm.cli.reporting import print_figures, status
    from services.model_tools.conversion import convert as run

    with status(f"converting {source}"):
        written = run(
            source,
            target,
            layout.value,
            codec=codec,
            tokenizer=tokenizer,
            dtype=dtype.torch_name if dtype else None,
        )
    print_figures(str(target), written)


@app.command()
def pull(
    repository: Annotated[
        str, typer.Argument(help="owner/name on the Hugging Face hub.")
    ] = DEFAULT_REPOSITORY,
    output: Annotated[
        Path | None, typer.Option("--to", "--output", "-o", help="Default: models/NAME.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; a commit never changes.")
    ] = None,
) -> None:
    """Fetch a model from the Hugging Face hub: safetensors, configs and tokenizer.

    What is there is not fetched again, a broken transfer goes on where it was, and each file's
    digest is checked.
    """
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from csm.cli.reporting import CommandError, console
    from services.model_tools.pulling import PullError
    from services.model_tools.pulling import pull as fetch

    target = output or Path("models") / repository.rsplit("/", 1)[-1]
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task(f"fetching {repository}", total=None)
        try:
            pulled = fetch(
                repository,
                target,
                lambda done, total: progress.update(task, completed=done, total=total),
                revision=revision,
            )
        except PullError as error:
            progress.remove_task(task)
            raise CommandError(str(error)) from None
    console().print(
        f"{target}: {len(pulled.files)} files, {pulled.bytes / 1e9:.2f} GB, digests checked, "
        f"commit {pulled.commit}",
        soft_wrap=True,
    )
    console().print(
        f"try  csm models fit {target}   and  csm speak --model {target} 'Hello there.'",
        soft_wrap=True,
    )


@app.command()
def fit(
    path: Annotated[
        Path, typer.Argument(help="A model directory.", callback=options.model_directory)
    ],
    slots: Annotated[
        list[int] | None,
        typer.Option(help="Turns at once to tell of; may be given several times. Default: 1, 2, 4, "
                     "8, 16, 32.", min=1, max=512),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="float32, bfloat16 (fp32 and bf16 for short) or int8; may be given "
                     "several times. Default: all."),
    ] = None,
    device: options.Device = None,
    threads: options.Threads = None,
    seconds: Annotated[
        float, typer.Option(help="To measure in, beside loading.", min=0.5, max=600)
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on standard output.")] = False,
) -> None:  # fmt: skip
    """Say whether a model fits this machine: memory, milliseconds a frame, conversations in real
    time, and what to set. Measured by the engine and the codec themselves."""
    # All that a server has in memory before its model: `process` is counted with it.
    import gateway.main  # noqa: F401
    import services.generator.main
    import services.tokenizer.main  # noqa: F401

    # isort: split
    from csm.cli.fit_table import print_fit
    from csm.cli.reporting import CommandError, console, status
    from services.model_tools.fit import report

    names = [options.serving_dtype(name) or name for name in dtype or []]
    if wrong := [name for name in names if name not in report.CPU_DTYPES]:
        raise CommandError(
            f"--dtype: {wrong[0]!r} is not allowed, must be one of {', '.join(report.CPU_DTYPES)}"
        )
    with status(f"measuring {path}"):
        found = report.fit(
            path,
            slots=slots or report.SLOTS,
            dtypes=names or None,
            device=device,
            threads=threads,
            seconds=seconds,
        )
    if as_json:
        typer.echo(json.dumps(report.as_json(found), indent=2))
    else:
        print_fit(found, console())


@app.command()
def info(
    path: Annotated[Path, typer.Argument(help="A model directory or a safetensors file.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on standard output.")] = False,
) -> None:
    """Say what a model is, from its headers alone."""
    from csm.cli.reporting import print_figures
    from services.model_tools.info import figures

    found = figures(path)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        print_figures(str(path), {name.replace("_", " "): _plain(v) for name, v in found.items()})


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
