"""What learning cost, as an object: bills of each arm, shown as tables, figures and sentences."""

from __future__ import annotations

from neurosim.core.errors import UnknownNameError
from neurosim.report.energy import energy_table, reached_table, unpriced, wear_table
from neurosim.report.energy_figures import energy_bars, tradeoff
from neurosim.report.shown import Figures, Tables
from neurosim.study.priced import Cost, Priced, front


class Costs(tuple[Priced, ...]):
    """Bills, seconds and wear of each arm by each price list (`neurosim.study.priced.Priced`), means over seeds.

    Examples
    --------
    >>> import neurosim as ns
    >>> results = ns.compare(ns.DenseExperiment(neurons=20, train_images=300, device=["pcm-nandakumar-2018"]))
    >>> results.costs("hermes-14nm", "generic-28nm")
    <Costs of pcm-nandakumar-2018 by hermes-14nm, generic-28nm; .table(), .sentences(), .plot()>
    """

    __slots__ = ()

    def table(self) -> Tables:
        """Return the tables: joules and seconds, what it took to reach an accuracy, wear."""
        return Tables(
            table for table in (energy_table(self), reached_table(self), wear_table(self)) if table.row_count
        )

    def sentences(self) -> list[str]:
        """Return a sentence for each bill that may be quoted, then what has no price or is not counted."""
        return [f"{each.name}: {each.bill.sentence(each.samples)}" for each in self] + unpriced(self)

    def plot(self) -> Figures:
        """Return the figures: ``where`` joules go, and ``tradeoff`` of accuracy where arms have one."""
        figures = {"where": energy_bars(self), "tradeoff": tradeoff(self)}
        return Figures({name: figure for name, figure in figures.items() if figure is not None})

    def only(self, *names: str) -> Costs:
        """Return those of some arms, by name: all levels of a sweep, all price lists.

        Raises
        ------
        UnknownNameError
            If there is no arm of such a name.
        """
        known = dict.fromkeys(each.arm for each in self)
        for name in names:
            if name not in known:
                raise UnknownNameError("arm", name, known)
        return Costs(each for each in self if each.arm in names)

    def best(self, by: Cost = "joules") -> Costs:
        """Return those that nothing beats: none at the same prices costs less and is at least as accurate.

        Parameters
        ----------
        by : {"joules", "seconds"}
            What it costs, of a sample, or of the training where samples are not known.
        """
        return Costs(front(self, by))

    def __repr__(self) -> str:
        arms = ", ".join(dict.fromkeys(each.name for each in self))
        lists = ", ".join(dict.fromkeys(each.bill.prices for each in self))
        return f"<Costs of {arms} by {lists}; .table(), .sentences(), .plot()>"

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()
