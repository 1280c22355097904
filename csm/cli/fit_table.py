"""What `csm models fit` prints: tables of a `Fit`, and the lines to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from services.model_tools.fit.capacity import Capacity
    from services.model_tools.fit.report import Fit


def print_fit(found: Fit, console: Console) -> None:
    """Print all of it."""
    machine = found.machine
    console.print(
        f"{found.model}: {found.description.parameters / 1e6:,.1f} million parameters, a frame is "
        f"{found.frame_ms:g} ms of speech\n"
        f"{machine.processor}, {machine.cores} cores; {_mib(machine.limit_bytes)} MiB "
        f"({machine.limit_source}), {_mib(machine.free_bytes)} MiB free\n",
        soft_wrap=True,
    )
    if machine.is_busy:
        console.print(
            f"others are at work here (load {machine.load_average:.1f} on {machine.cores} cores): "
            "the times are longer than this machine's own\n",
            soft_wrap=True,
        )
    for table in (_memory(found), _times(found), _conversations(found)):
        console.print(table)
        console.print()
    for line in advice_lines(found):
        console.print(line, soft_wrap=True)


def advice_lines(found: Fit) -> list[str]:
    """What to set, as lines that can be copied, and what is wrong in words."""
    advice = found.advice
    if not advice.dtype:
        return ["nothing could be measured; see the reasons above"]
    lines = []
    if not advice.conversations:
        lines.append(
            f"This model does not keep real time here: {advice.step_ms:.0f} ms a frame of "
            f"{found.frame_ms:g} ms at best, in {advice.dtype}. More cores, a GPU or a smaller "
            "model; until then speech has gaps, but files can be made."
        )
    lines.append(f"Set, for {max(1, advice.conversations)} at once:")
    lines += [f"  {name}={value}" for name, value in advice.settings.items()]
    limits = {name: _mib(size) for name, size in advice.limits_bytes.items()}
    lines += [
        "Memory limits:",
        f"  compose      CSM_GENERATOR_MEMORY={limits['generator']}m, tokenizer "
        f"{limits['tokenizer']}m",
        f"  Kubernetes   generator {limits['generator']}Mi, tokenizer {limits['tokenizer']}Mi",
        f"  csm serve    {limits['together']} MiB for all in one",
    ]
    return lines


def _memory(found: Fit) -> Table:
    # Narrow enough for a terminal of 80 columns.
    names = ("dtype", "slots", "weights", "KV cache", "loading", "generator", "all in one", "most")
    table = _table("Memory, MiB", *names)
    needed = None
    for one in found.dtypes:
        for slots, needed in one.needs.items():
            model = needed.generator
            values = (
                *(model.get(f"generator {part}", 0) for part in ("weights", "KV cache", "loading")),
                needed.generator_bytes,
                needed.together_bytes,
                needed.most_bytes,
            )
            too_much = needed.together_bytes > found.machine.room_bytes
            style = "red" if too_much else None
            table.add_row(one.dtype, str(slots), *map(_mib, values), style=style)
    if needed is not None:
        table.caption = (
            f"generator and all in one: with {_mib(needed.process)} of a process without a model; "
            f"a tokenizer by itself {_mib(needed.tokenizer_bytes)}; most: when clients use all "
            "that they may"
        )
        table.caption_justify = "left"
    return table


def _times(found: Fit) -> Table:
    counts = list(found.codec.decode_ms)
    table = _table("Milliseconds a frame, by conversations at once", "", "threads",
                   *map(str, counts))  # fmt: skip
    for one in found.dtypes:
        if one.times is None:
            table.add_row(one.dtype, "", f"not measured: {one.unmeasured}")
            continue
        measured = one.times.step_ms
        table.add_row(one.dtype, str(one.times.threads), *_cells(measured, counts))
    for name, measured in (
        ("codec, speaking", found.codec.decode_ms),
        ("codec, listening", found.codec.encode_ms),
    ):
        table.add_row(name, str(found.codec.threads), *_cells(measured, counts))
    return table


def _conversations(found: Fit) -> Table:
    table = _table("Conversations that speak in real time", "dtype", "all in one, here",
                   "a generator by itself, here", "loaded in")  # fmt: skip
    for one in found.dtypes:
        if one.times:
            table.add_row(
                one.dtype, _count(one.together), _count(one.alone), f"{one.times.load_s:.1f} s"
            )
    return table


def _count(capacity: Capacity | None) -> str:
    if capacity is None:
        return ""
    return f"{capacity.conversations}{' or more' if capacity.is_least else ''}"


def _cells(measured: dict[int, float], counts: list[int]) -> list[str]:
    return [f"{measured[n]:.1f}" if n in measured else "-" for n in counts]


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"
