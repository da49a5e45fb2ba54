"""What `neurosim deep`, `ff` and `mortal` share: their options, the part of an experiment that runs, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from neurosim.cli_terminal import console
from neurosim.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from neurosim.study.experiment import Experiment

Kind = TypeVar("Kind", bound="Experiment")

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml")]
Folder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder of checkpoints and results.")
]
OnlyArms = Annotated[
    list[str] | None,
    typer.Option("--arm", help="Only this arm; several may share a folder, then all are collected."),
]
FirstSeed = Annotated[int | None, typer.Option("--seed", help="First seed; same seed, same bits.")]
InAdvance = Annotated[
    bool,
    typer.Option(
        "--holding", help="Train nothing: show what each arm's devices make of the weights of each layer."
    ),
]


def chosen(kind: type[Kind], file: Path, seed: int | None, arms: list[str] | None) -> Kind:
    """Read an experiment and take the part of it that was asked for."""
    spec = kind.from_toml(file)
    if seed is not None:
        spec = spec.changed(first_seed=seed)
    return spec.only(arms) if arms else spec


def opened(out: Path | None) -> Path:
    """Return the folder of results, made if need be; raises `ConfigError` without one."""
    from neurosim.study.store import open_folder

    if out is None:
        raise ConfigError("--out: give a folder for checkpoints and results")
    open_folder(out)
    return out


def keep(
    results: dict[str, Any],
    out: Path,
    name: str,
    figures: Mapping[str, Figure | None],
    json_file: Path | None,
) -> None:
    """Write results and figures into their folder, and results where they were asked for as well."""
    from neurosim.report.style import to_svg
    from neurosim.study.store import whole_file, write_json

    write_json(out / f"{name}.json", results)
    for title, figure in figures.items():
        if figure is not None:
            with whole_file(out / f"{title}.svg") as stream:
                stream.write(to_svg(figure))
    if json_file is not None:
        write_json(json_file, results)


def show_holding(results: dict[str, Any], json_file: Path | None = None) -> None:
    """Print what devices make of the weights of each layer; raises `ConfigError` if no arm has any."""
    from neurosim.report.holding import holding_table
    from neurosim.study.store import write_json

    table = holding_table(results)
    if table is None:
        raise ConfigError("--holding: no arm of this experiment has a device")
    if json_file is not None:
        write_json(json_file, results)
    console().print(table)
