"""What a study came to, as an object: still the dictionary of its file, which shows itself as tables, figures, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.figure import Figure
from pydantic import ValidationError

from neurosim.core.errors import DataError, UnknownNameError
from neurosim.core.plain import printable
from neurosim.report import aged, captions, page, plots, table, words
from neurosim.report.costs import Costs
from neurosim.report.page import Drawn, Shows
from neurosim.report.results import Results as Comparison
from neurosim.report.shown import Figures, Tables
from neurosim.study import swept
from neurosim.study.arm import IDEAL
from neurosim.study.axis import Axis
from neurosim.study.blocks import Told
from neurosim.study.experiment import Experiment
from neurosim.study.kinds import load_experiment
from neurosim.study.priced import ON_A_PAGE, priced
from neurosim.study.requirements import FACTORS, backwards
from neurosim.study.requirements import requirements as carry_out_requirements
from neurosim.study.run import study
from neurosim.study.store import open_folder, read_json, write_json
from neurosim.study.sweep import Enough, Sweep
from neurosim.study.training import Report

if TYPE_CHECKING:
    from pandas import DataFrame

FILES = ("results.json", "sweep.json")
"""What studies write into their folders; the last is that of sweeps."""


def _figures(results: dict[str, Any]) -> dict[str, Drawn]:
    found = Comparison.of(results)
    return {
        "accuracy": Drawn("Accuracy", captions.accuracy(found), plots.accuracy_bars(found)),
        "gap": Drawn("Gap to ideal", captions.gap(found), plots.gap_points(found)),
        "curves": Drawn("Learning curves", captions.curves(found), plots.learning_curves(found)),
        "energy": Drawn("Energy", captions.energy(found), plots.energy_bars(found)),
    }


DENSE = Shows(
    lambda results: words.title(Comparison.of(results)),
    _figures,
    lambda results: [table.summary_table(results), table.mcnemar_table(results)],
    lambda results: [
        (IDEAL, words.lead(Comparison.of(results))),
        *words.findings(Comparison.of(results)),
    ],
    "neurosim compare EXPERIMENT.toml --out {folder}",
)
"""What a comparison of one layer shows; all other kinds are in `neurosim.report.page.KINDS`."""


class Results(dict[str, Any]):
    """What a study of any kind returned, as it stands in its file, and how it is shown.

    It is a dictionary: ``results["summary"]``, ``json.dumps(results)`` and comparisons go as with any other. The
    following are the same for every kind.

    Parameters
    ----------
    values : dict
        What a study returned, or what its file holds.

    Examples
    --------
    >>> import neurosim as ns
    >>> results = ns.compare(ns.DenseExperiment(neurons=20, train_images=300))
    >>> results
    <Results of dense: 1 run of ideal on digits; .table(), .findings(), .plot(), .to_pandas()>
    """

    @property
    def kind(self) -> str:
        """The kind of study; of files of earlier versions as their contents tell."""
        if "kind" in self:
            return str(self["kind"])
        if "originals" in self:
            return "mortal"
        first = (self.get("summary") or [{}])[0]
        return "deep" if "depth" in first else "forward-forward" if "readout" in first else "dense"

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in their order."""
        entries = self.get("summary") or self.get("points") or []
        return list(dict.fromkeys(str(entry["arm"]) for entry in entries))

    def table(self) -> Tables:
        """Return the tables that the terminal prints; print them, or let a notebook show them."""
        return Tables(found for found in self._shown("tables") if found is not None)

    def findings(self) -> list[tuple[str, str]]:
        """Return (arm, what was found of it) in sentences."""
        found: list[tuple[str, str]] = self._shown("findings")
        return found

    def plot(self, name: str | None = None) -> Figures | Figure:
        """Return the figures of this kind of study.

        Parameters
        ----------
        name : str, optional
            Of one figure alone.

        Raises
        ------
        UnknownNameError
            If there is no figure of that name.
        """
        drawn = self._shown("figures").items()
        found = Figures({key: one.figure for key, one in drawn if one.figure is not None})
        if name is None:
            return found
        if name not in found:
            raise UnknownNameError("figure", name, found)
        return found[name]

    def costs(self, *prices: Any, strict: bool = False, endurance: float | None = None) -> Costs:
        """Return what learning cost by some price lists, made of what was counted: nothing runs again.

        Parameters
        ----------
        *prices : str, Path or PriceList
            By name, file or object; default the one that pages use, a 28 nm generic periphery.
        strict : bool
            Refuse joules that rest on assumed, remembered or unstated numbers.
        endurance : float, optional
            Pulses that a device stands, instead of what the card says.

        Raises
        ------
        ConfigError
            If nothing was counted: ideal arithmetic alone, or results of an earlier version.
        AssumedError, UnknownNameError
            As of `neurosim.energy.price`.
        """
        return Costs(priced(self, prices or [ON_A_PAGE], strict, endurance))

    def to_pandas(self, prices: Any = ON_A_PAGE) -> DataFrame:
        """Return one row a run (of a sweep: a point, arm and seed), what was counted in columns of its own.

        Joules and seconds are those of a price list, by name, file or object; None leaves them out.
        """
        return swept.to_pandas(self, prices)

    def save(self, path: Path | str) -> Path:
        """Write the results into a folder, or a file of a name that ends in .json, and return the file's path."""
        path = Path(path)
        if path.suffix != ".json":
            path = open_folder(path) / FILES[self.kind == "sweep"]
        write_json(path, self)
        return path

    def __repr__(self) -> str:
        runs = len(self.get("runs") or self.get("rows") or ())
        arms = self.arms
        named = ", ".join(arms[:3]) + (f" and {len(arms) - 3} more" if len(arms) > 3 else "")
        dataset = self.get("config", {}).get("dataset", "")
        on = f" on {dataset}" if isinstance(dataset, str) and dataset else ""
        said = f"{runs} run{'s' if runs != 1 else ''} of {named}{on}" if arms else f"{runs} runs"
        return printable(f"<Results of {self.kind}: {said}; .table(), .findings(), .plot(), .to_pandas()>")

    def _repr_html_(self) -> str:
        said = "".join(f"<li><b>{escape(arm)}</b>: {escape(words)}</li>" for arm, words in self.findings())
        return f"<h4>{escape(self._shown('title'))}</h4><ul>{said}</ul>{self.table()._repr_html_()}"

    def _shown(self, what: str) -> Any:
        """The title, tables, figures or findings of this kind of study; raises `DataError` if the results have no such."""
        shows = DENSE if self.kind == "dense" else page.shows_of(self.kind)
        try:
            found = getattr(shows, what)(self)
            if what == "tables":
                return [*found, aged.aged_table(self)]
            return {**found, "aged": page.left_alone(self)} if what == "figures" else found
        except (ValidationError, KeyError, IndexError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"these results of kind '{self.kind}' are damaged, of an earlier version or of another study ({reason})"
            ) from None


def compare(
    experiment: Experiment | Path | str,
    out: Path | str | None = None,
    report: Report | None = None,
    workers: int = 1,
    ideal: bool = True,
    executor: Executor | None = None,
) -> Results:
    """Carry out an experiment of any kind: every arm with every seed.

    Parameters
    ----------
    experiment : Experiment, str or Path
        Of one layer, of deep networks, by Forward-Forward, of mortal chips; or its file.
    out : Path, optional
        Folder of checkpoints and finished runs: killed at any time, the same call goes on. None keeps nothing.
    report : callable, optional
        Progress, called with (arm, seed, done, total).
    workers : int
        Processes; results do not depend on it.
    ideal : bool
        Carry out the arm in ideal arithmetic as well, without which no gap can be given.
    executor : concurrent.futures.Executor, optional
        Where runs are carried out instead, such as that of loky or dask; its workers must see `out`.

    Returns
    -------
    results : Results
        ``runs``, ``summary``, ``data``, ``config``, ``devices`` and more: what the command writes to ``results.json``.

    Raises
    ------
    NeurosimError
        If a device, rule, setting or data set is wrong; nothing has been computed then.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    return Results(study(experiment, None if out is None else Path(out), report, workers, executor, ideal))


def sweep(
    what: Sweep | Experiment | Path | str,
    out: Path | str,
    axes: Sequence[str | Axis] = (),
    told: Told | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
) -> Results:
    """Carry out what is missing of a sweep, or of an experiment at levels of its settings, and return what is there.

    Parameters
    ----------
    what : Sweep, Experiment, str or Path
        Or the file of an experiment.
    out, axes, told, workers, executor, shard, retry_failed
        As of `neurosim.study.swept.sweep`.

    Returns
    -------
    results : Results
        Also written to ``sweep.json`` in `out`.

    Raises
    ------
    NeurosimError
        If a setting, a level or the experiment is wrong; nothing has been computed then.
    """
    if isinstance(what, str | Path):
        what = load_experiment(what)
    return Results(swept.sweep(what, out, axes, told, workers, executor, shard, retry_failed))


def requirements(
    experiment: Experiment | Path | str,
    out: Path | str,
    share: float = 0.99,
    against: Literal["ideal", "device"] = "ideal",
    factors: Sequence[float] = FACTORS,
    told: Told | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    retry_failed: bool = False,
) -> Results:
    """Say how much of each thing that its devices have an experiment would stand: a sweep of all of them, read backwards.

    Parameters
    ----------
    experiment : Experiment, str or Path
        With its devices: the table is beside them.
    out : Path
        Folder of finished blocks: killed at any time, the same call goes on.
    share : float
        Of an accuracy that is to be kept.
    against : {"ideal", "device"}
        That of ideal arithmetic, or of the device as given.
    factors : sequence of float
        Levels of each thing, times what the device has of it; 0: without it.
    told, workers, executor, retry_failed
        As of `neurosim.study.swept.sweep`.

    Returns
    -------
    results : Results
        Those of the sweep, with ``requirements`` (`neurosim.study.requirements.read_backwards`); also in ``sweep.json``.

    Raises
    ------
    NeurosimError
        If there is no device, nothing to compare with, or a setting is wrong; nothing has been computed then.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    enough = Enough.parse({"share": share, "against": against}, "requirements")
    plan = backwards(experiment, enough, factors)
    return Results(
        swept.collect(carry_out_requirements(plan, Path(out), told, workers, executor, retry_failed))
    )


def load_results(path: Path | str) -> Results:
    """Return the results in a folder of any study, or of one file.

    Raises
    ------
    DataError
        If there are none.
    CheckpointError
        If the file is damaged.
    """
    path = Path(path)
    files = [path] if path.is_file() else [path / name for name in FILES if (path / name).is_file()]
    if not files:
        raise DataError(f"{path}: no {' or '.join(FILES)} there; .save() writes one, and so does any command")
    if len(files) > 1:
        raise DataError(f"{path} holds {' and '.join(FILES)}; say which: load_results(DIR / FILE)")
    found = read_json(files[0])
    if not isinstance(found, dict) or not {"runs", "points", "summary"} & set(found):
        raise DataError(f"{files[0]}: these are no results of a study")
    return Results(found)
