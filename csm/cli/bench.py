"""`csm bench`: the measurements of `benchmarks/`, as tables or JSON."""

import json
from typing import Annotated, Any, Literal

import typer

from csm.cli import connecting, options

app = typer.Typer(no_args_is_help=True, help="Measure the model, the codec, the whole system.")

AsJson = Annotated[bool, typer.Option("--json", help="As JSON on standard output.")]


@app.command()
def model(
    shape: Annotated[str, typer.Option(help="csm-1b, pico, or a config.json.")] = "csm-1b",
    dtype: Annotated[Literal["fp32", "bf16"], typer.Option(help="Weights.")] = "bf16",
    batch: Annotated[int, typer.Option(help="Slots.", min=1)] = 1,
    frames: Annotated[int, typer.Option(help="Frames timed.", min=1)] = 20,
    context: Annotated[int, typer.Option(help="Positions before them.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Milliseconds of a frame of the model alone, random weights."""
    from benchmarks import model as benchmark

    _run(
        lambda: benchmark.run(
            shape=shape, dtype=dtype, batch=batch, frames=frames, context=context
        ),
        as_json,
    )


@app.command()
def codec(
    shape: Annotated[str, typer.Option(help="mimi, or a model directory.")] = "mimi",
    streams: Annotated[int, typer.Option(help="Streams in one step.", min=1)] = 1,
    frames: Annotated[int, typer.Option(help="Frames timed.", min=4)] = 60,
    as_json: AsJson = False,
) -> None:
    """Milliseconds of a frame of the codec alone, streaming and at once."""
    from benchmarks import codec as benchmark

    _run(lambda: benchmark.run(shape=shape, streams=streams, frames=frames), as_json)


@app.command()
@connecting.takes_server("A gateway; default: in this process.")
def serve(
    streams: Annotated[int, typer.Option(help="Listeners at once.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Utterances of each.", min=1)] = 5,
    stagger_ms: Annotated[
        float, typer.Option(help="Each listener starts so much after the one before.", min=0)
    ] = 0.0,
    server: connecting.ServerChoice = connecting.HERE,
    model: options.Model = None,
    as_json: AsJson = False,
) -> None:
    """First audio, real-time factor, gaps and underruns of listeners at once."""
    from benchmarks import serve as benchmark

    chosen = server.or_here(model=model)
    _run(
        lambda: benchmark.run(
            streams=streams,
            rounds=rounds,
            stagger_ms=stagger_ms,
            server=chosen.target,
            model=model,
            connection=chosen.arguments(),
        ),
        as_json,
    )


def _run(work: Any, as_json: bool) -> None:
    from csm.cli.reporting import print_figures, status

    with status("measuring"):
        result: dict[str, Any] = work()
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    rows = {name.replace("_", " "): _plain(value) for name, value in result.items()}
    print_figures(rows.pop("benchmark", "measured"), rows)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_flat(one)}" for name, one in value.items())
    return str(value)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_flat(one)}" for name, one in value.items())
    return str(value)
