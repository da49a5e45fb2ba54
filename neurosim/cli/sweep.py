"""`neurosim sweep` and `neurosim collect`: any experiment at any levels of any settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli.options import Json, Kind, Overwrite, RetryFailed, Workers
from neurosim.cli.progress import COUNTED, progress
from neurosim.cli.studies import SWEPT, opened, show, spare_results, tell
from neurosim.cli.terminal import say
from neurosim.core.errors import ConfigError

if TYPE_CHECKING:
    from neurosim.study.blocks import Store
    from neurosim.study.sweep import Plan

File = Annotated[Path, typer.Argument(metavar="SWEEP.toml|EXPERIMENT.toml")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of finished blocks and results.")]
Axes = Annotated[
    list[str] | None,
    typer.Option(
        "--axis",
        metavar="FIELD=LEVELS[@when]",
        help="read_noise=0,0.01,0.05 · wires.ohm=0:5:6 · age_s=log:1:3e7:5 · adc_bits=4,6,8@reading · without=each; "
        "repeat for a grid.",
    ),
]
Holding = Annotated[
    bool,
    typer.Option("--holding", help="Train nothing: what devices make of each layer's weights at each point."),
]
TableFile = Annotated[
    Path | None,
    typer.Option("--table", metavar="FILE.csv|.parquet", help="Write a line a point, arm and seed as well."),
]
OneAtATime = Annotated[bool, typer.Option("--one-at-a-time", help="Each axis alone instead of a grid.")]


def sweep_command(
    file: File,
    out: Folder,
    axis: Axes = None,
    kind: Kind = None,
    one_at_a_time: OneAtATime = False,
    holding: Holding = False,
    workers: Workers = 1,
    executor: Annotated[
        str | None, typer.Option(metavar="loky|dask:ADDRESS", help="Where blocks are carried out instead.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only this part of the blocks, for job arrays.")
    ] = None,
    retry_failed: RetryFailed = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is to be done, and do nothing.")
    ] = False,
    overwrite: Overwrite = False,
    json_file: Json = None,
    table: TableFile = None,
) -> None:
    """Sweep any settings of any experiment; what is finished stays finished, however it ends."""
    from neurosim.study.blocks import Store

    part = None if shard is None else _part(shard)
    store = Store(_plan(file, axis, kind, one_at_a_time, holding), out)
    if dry_run:
        _tell(store, json_file)
        return
    if part is None and workers == 1 and executor is None and len(store.missing()) > 1:
        say(
            f"{len(store.missing())} blocks; as N jobs: neurosim sweep ... --shard I/N, then neurosim collect ..."
        )
    carry_out_sweep(store, json_file, workers, executor, part, retry_failed, table, overwrite)


def carry_out_sweep(
    store: Store,
    json_file: Path | None,
    workers: int = 1,
    executor: str | None = None,
    part: tuple[int, int] | None = None,
    retry_failed: bool = False,
    table: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Carry out what is missing of a sweep, and show what is there.

    Parameters
    ----------
    store : Store
    json_file : Path, optional
        Where the results are written as well.
    workers, executor, part, retry_failed, table, overwrite
        As of `sweep_command`.
    """
    from neurosim.study.blocks import carry_out
    from neurosim.study.swept import collect

    opened_sweep(store.out, json_file, table)
    spare_sweep(store, overwrite)
    tell(point.learning for point in store.plan.points)
    with _lent(executor, workers) as where, progress() as report:
        carry_out(
            store,
            lambda what, done, total: report("blocks", COUNTED, done, total),
            workers,
            where,
            part,
            retry_failed,
        )
    shown_sweep(collect(store), store.out, json_file, table)


def collect_command(
    file: File,
    out: Folder,
    axis: Axes = None,
    kind: Kind = None,
    one_at_a_time: OneAtATime = False,
    holding: Holding = False,
    overwrite: Overwrite = False,
    json_file: Json = None,
    table: TableFile = None,
) -> None:
    """Gather what lies in the folder of a sweep, whoever carried it out; exit code 1 while blocks are missing."""
    from neurosim.study.blocks import Store
    from neurosim.study.swept import collect

    plan = _plan(file, axis, kind, one_at_a_time, holding)
    opened_sweep(out, json_file, table)
    store = Store(plan, out)
    spare_sweep(store, overwrite)
    results = collect(store)
    shown_sweep(results, out, json_file, table, f"neurosim sweep {file} --out {out}")
    if results["blocks"]["missing"]:
        raise typer.Exit(1)


def _plan(file: Path, axes: list[str] | None, kind: str | None, one_at_a_time: bool, holding: bool) -> Plan:
    """The sweep that a file, or an experiment and axes, describe; refuses what cannot be."""
    import tomllib

    from neurosim.study.axis import Axis
    from neurosim.study.sweep import Sweep
    from neurosim.study.swept import planned

    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"sweep {file}: {error}") from None
    if "experiment" in given or "axis" in given:
        what = Sweep.from_toml(file)
        added = tuple(axes or ())
    else:
        if not axes:
            raise ConfigError(f"{file} is an experiment without any axis: give --axis FIELD=LEVEL,LEVEL,...")
        own = tuple(Axis.from_text(axis) for axis in axes)
        what, added = Sweep(experiment=str(file), kind=kind, axis=own), ()
    if kind is not None:
        what = what.changed(kind=kind)
    if one_at_a_time:
        what = what.changed(plan="one at a time")
    return planned(what, added, "holding" if holding else None)


def _part(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not (slash and number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise ConfigError(f"--shard {text}: expected I/N with I from 1 to N")
    return int(number), int(of)


def _lent(name: str | None, workers: int) -> Any:
    """The executor that a name stands for; a context that leaves it as it was."""
    from contextlib import nullcontext

    if name is None:
        return nullcontext()
    if name == "loky":
        from neurosim.study.workers import loky_pool

        return loky_pool(workers if workers > 1 else None)
    scheme, _, address = name.partition(":")
    if scheme == "dask" and address:
        import distributed

        client: Any = distributed.Client  # untyped
        return client(address).get_executor(pure=False)
    raise ConfigError(f"--executor {name}: must be loky or dask:ADDRESS of a scheduler")


def spare_sweep(store: Store, overwrite: bool) -> None:
    """Refuse to write over another sweep, or take it away where that was asked for, as `spare_results`."""
    from neurosim.study.same import said_of

    spare_results(store.out, said_of(store.plan.experiment, list(store.plan.columns)), overwrite)


def _tell(store: Store, json_file: Path | None) -> None:
    from neurosim.report.text import si
    from neurosim.study.store import write_json
    from neurosim.study.swept import estimate

    found = estimate(store)
    if json_file is not None:
        write_json(json_file, {"points": len(store.plan.points), **found})
    seconds = (
        "unknown until a block is finished"
        if found["seconds"] is None
        else f"{found['seconds']:.0f} s of computing"
    )
    size = "unknown" if found["bytes"] is None else si(found["bytes"], "B")
    say(
        f"{len(store.plan.points)} points, {found['blocks']} blocks, {found['missing']} to do: {seconds}, {size}"
    )


def opened_sweep(out: Path, json_file: Path | None, table: Path | None = None) -> None:
    """Make the folder; refuse before any work files that could not be written."""
    from neurosim.study.tables import expect_table

    opened(out, json_file)
    if table is not None:
        expect_table(table)


def shown_sweep(
    results: dict[str, Any],
    out: Path,
    json_file: Path | None,
    table: Path | None = None,
    going_on: str = "the same command",
) -> None:
    """Write the results where they were asked for, print their tables, and say what is missing and what carries it out."""
    from neurosim.study.store import write_json
    from neurosim.study.tables import write_table

    if json_file is not None:
        write_json(json_file, results)
    if table is not None:
        write_table(results, table)
    blocks = results["blocks"]
    if results["points"]:
        show(results, out)
    if blocks["failed"] or blocks["missing"]:
        say(
            f"{blocks['done']} of {blocks['all']} blocks done, {blocks['failed']} failed, {blocks['missing']} missing; "
            f"{going_on} goes on (with --retry-failed it tries failed ones again)"
        )
    say(f"results: {out / SWEPT}")
