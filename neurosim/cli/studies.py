"""The commands that carry out a study: one way to make them, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.cli.options import Common, with_common
from neurosim.cli.progress import progress
from neurosim.cli.terminal import console, expect_json, say
from neurosim.core.errors import ConfigError

if TYPE_CHECKING:
    from neurosim.study.experiment import Experiment

RESULTS, SWEPT = "results.json", "sweep.json"
"""What a study and a sweep write into their folder."""


NETWORKS = {
    "deep": "Train deep networks layer by layer, resumable at any time, and show the accuracy at each depth.",
    "ff": "Train networks by Forward-Forward, resumable at any time, and show the accuracy of each readout.",
    "mortal": "Learn on one chip, copy to others, learn on there; resumable at any time.",
    "spikes": "Train spiking layers on devices, resumable at any time, and show the accuracy of their assigned neurons.",
    "study": "Carry out an experiment of the kind that its file says (kind = "
    '"deep", "my.py:Kind"), resumable at any time.',
}
"""The commands of networks by name, and their help; a comparison of one layer has options of its own (`cli.compare`)."""
ANY = "study"
"""The command whose kind is what the file says."""


def network_command(name: str) -> Callable[..., None]:
    """Return the command of that name in `NETWORKS`."""

    def command(common: Common) -> None:
        from neurosim.study.run import study

        spec = chosen(None if name == ANY else name, common)
        if spec.kind == "dense":
            raise ConfigError(f"{common.experiment} is of kind 'dense': neurosim compare carries it out")
        if named(spec, common):
            return
        results = carry_out(spec, common, common.folder(), study)
        show(results, common.folder())

    command.__doc__ = NETWORKS[name]
    return with_common(command)


def named(spec: Experiment, common: Common, out: str | None = None) -> bool:
    """Carry out the sweep that `--vary` or `--ablate` is a name of, or show what `--holding` asks for.

    Parameters
    ----------
    spec : Experiment
    common : Common
    out : str, optional
        Name of the folder below ``out`` where none is given.

    Returns
    -------
    done : bool
        False where none of them was given.
    """
    axes = common.axes
    if axes:
        from neurosim.cli.sweep import carry_out_sweep
        from neurosim.study.axis import Axis
        from neurosim.study.blocks import Store
        from neurosim.study.sweep import Plan, Sweep

        option = "--ablate" if common.ablate else "--vary"
        if not spec.device_arms():
            raise ConfigError(f"{option} needs at least one --device, or an arm with a device")
        given = tuple(Axis.from_text(axis, option) for axis in axes)
        plan = Plan(Sweep(axis=given, measure="holding" if common.holding else "accuracy"), spec)
        carry_out_sweep(
            Store(plan, common.folder(out)), common.json_file, common.workers,
            retry_failed=common.retry_failed, overwrite=common.overwrite,
        )  # fmt: skip
    elif common.retry_failed:
        raise ConfigError(
            "--retry-failed is of sweeps: give --vary or --ablate with it; runs of a study that failed are tried again anyway"
        )
    elif common.holding:
        show_holding(spec, common.json_file)
    return bool(axes) or common.holding


def chosen(kind: str | None, common: Common, **further: Any) -> Any:
    """Return the experiment of a file, or of options alone, with what options change of it, and its chosen arms.

    Of no kind in particular it is what the file says. Settings of `read` and `write` are changed number by number; options that are None change nothing.
    """
    from neurosim.study.axis import changed_by
    from neurosim.study.kinds import kind_of

    known = kind_of(kind, common.experiment)
    changes = {**common.changes, **{name: value for name, value in further.items() if value is not None}}
    if common.experiment is None:
        spec = known.parse(changes, "command line")
    else:
        spec = known.from_toml(common.experiment)
        for part in {"read", "write"} & set(changes):
            changes[part] = {**getattr(spec, part).model_dump(exclude_unset=True), **changes[part]}
        spec = spec.changed(**changes) if changes else spec
    for setting in common.settings or ():
        spec = changed_by(spec, setting)
    return spec.only(common.arm) if common.arm else spec


def carry_out(
    spec: Experiment, common: Common, out: Path, study: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Check an experiment, open its folder, carry it out, and write its results there and where they were asked for.

    Parameters
    ----------
    spec : Experiment
    common : Common
    out : Path
    study : callable
        Called as `neurosim.study.run.study`.
    """
    from neurosim.study.same import said_of
    from neurosim.study.store import write_json

    spec.check()
    opened(out, common.json_file)
    spare_results(out, said_of(spec), common.overwrite, bool(common.arm))
    tell([spec])
    with progress() as report:
        results = study(spec, out, report, common.workers)
    write_json(out / RESULTS, results)
    if common.json_file is not None:
        write_json(common.json_file, results)
    return results


def tell(specs: Iterable[Experiment]) -> None:
    """Print what experiments assume that no setting says; each line once."""
    for line in dict.fromkeys(line for spec in specs for line in spec.said()):
        say(line)


def opened(out: Path, json_file: Path | None) -> None:
    """Make the folder of results if need be; a place for `--json` that cannot be written is refused before that."""
    from neurosim.study.store import open_folder

    within = json_file is not None and json_file.absolute().is_relative_to(out.absolute())
    if not within:
        expect_json(json_file)
    open_folder(out)
    if within:
        expect_json(json_file)


def spare_results(out: Path, now: dict[str, Any], overwrite: bool, some_arms: bool = False) -> None:
    """Refuse to write over results of another experiment, or take them away where that was asked for.

    Parameters
    ----------
    out : Path
    now : dict
        What `neurosim.study.same.said_of` says of the experiment that is to be carried out.
    overwrite : bool
    some_arms : bool
        Whether some of its arms were asked for, which share a folder with others.

    Raises
    ------
    ConfigError
        If there are some of an experiment that differs by more than its seeds, further arms, or time left alone.
    """
    from neurosim.study.same import difference
    from neurosim.study.store import read_json

    for file in (out / RESULTS, out / SWEPT):
        other = difference(read_json(file), now, some_arms) if file.exists() else ""
        if other and overwrite:
            file.unlink()
        elif other:
            raise ConfigError(
                f"--out {out}: {file} is of another experiment ({other}); choose another folder, or --overwrite (finished runs stay)"
            )


def spare_files(files: Iterable[Path], overwrite: bool) -> None:
    """Refuse to write over a file, unless that was asked for; raises `ConfigError`."""
    for file in files:
        if file.exists() and not overwrite:
            raise ConfigError(f"{file} is there already; give another --out, or --overwrite")


def show(results: dict[str, Any], out: Path) -> None:
    """Print the tables of results, and write their figures and their page into the folder."""
    from neurosim.report.page import figures_of, tables_of, write_page
    from neurosim.report.style import to_svg
    from neurosim.study.store import whole_file

    for name, drawn in figures_of(results, out).items():
        if drawn.figure is not None:
            with whole_file(out / f"{name}.svg") as stream:
                stream.write(to_svg(drawn.figure))
    for table in tables_of(results):
        console().print(table)
    say(f"report: {write_page(out, results)}")


def show_holding(spec: Experiment, json_file: Path | None) -> None:
    """Print what devices make of the weights of each layer; raises `ConfigError` if no arm has any."""
    from neurosim.report.holding import holding_table
    from neurosim.study.store import write_json

    expect_json(json_file)
    spec.check()
    results = {"kind": spec.kind, "holding": spec.holding(spec.data())}
    table = holding_table(results)
    if table is None:
        raise ConfigError("--holding: no arm of this experiment has a device")
    if json_file is not None:
        write_json(json_file, results)
    console().print(table)
