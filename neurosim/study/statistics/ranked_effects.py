"""Which effects cost accuracy, and which cost more than others, as far as the chips can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from neurosim.core.errors import InputError
from neurosim.study.statistics.crossed import SURE, Chips, Crossed, Estimate


@dataclass(frozen=True)
class Cost:
    """What one effect costs.

    Parameters
    ----------
    effect : str
    lost : Estimate
        Share of accuracy lost against the device without it, with its own interval and p value.
    adjusted_p : float
        p value by Holm, among all effects.
    told_apart : bool
        Whether it is told apart from zero at 5 % for all effects together.
    """

    effect: str
    lost: Estimate
    adjusted_p: float
    told_apart: bool


@dataclass(frozen=True)
class Pair:
    """Two effects against each other; p value by Holm, among all pairs."""

    dearer: str
    cheaper: str
    adjusted_p: float
    told_apart: bool


@dataclass(frozen=True)
class Ranking:
    """Costs, the dearest first; pairs; whether there is an order at all; and the same in words."""

    costs: tuple[Cost, ...]
    pairs: tuple[Pair, ...]
    enough: bool
    verdict: str


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values of which one below 0.05 is wrong in 5 % of all families at most.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979) 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        found[place] = largest
    return found


def ranking(bare: Chips, effects: Mapping[str, Chips], taken_away: bool = False) -> Ranking:
    """Rank effects by what each alone costs, or by what is won where each is taken away.

    Parameters
    ----------
    bare : Chips
        The device without any of them; with `taken_away` that with all of them.
    effects : mapping of str to Chips
        The device with one effect, or without that one alone, paired with `bare` by seed.
    taken_away : bool

    Returns
    -------
    found : Ranking
        Two families, each with 5 % for all its comparisons together: every effect against zero, and every pair.
        One chip tells nothing of others, so nothing is told apart.

    Raises
    ------
    InputError
        If there is no effect.
    """
    if not effects:
        raise InputError("effects: at least one is needed")
    names = list(effects)
    crossed = Crossed([bare, *effects.values()])

    def against(worse: int, better: int) -> Estimate:
        weights = [0.0] * (1 + len(names))
        weights[better], weights[worse] = 1.0, -1.0
        return crossed.contrast(weights).estimate(0.0)

    lost = [against(0, k + 1) if taken_away else against(k + 1, 0) for k in range(len(names))]
    order = sorted(range(len(names)), key=lambda k: -lost[k].value)
    between = list(combinations(order, 2))
    alone = holm([_p_value(each) for each in lost])
    paired = holm([_p_value(against(dearer + 1, cheaper + 1)) for dearer, cheaper in between])
    sure = 1 - SURE
    costs = tuple(Cost(names[k], lost[k], alone[k], alone[k] < sure) for k in order)
    pairs = tuple(
        Pair(names[dearer], names[cheaper], p, p < sure)
        for (dearer, cheaper), p in zip(between, paired, strict=True)
    )
    enough = any(pair.told_apart for pair in pairs)
    return Ranking(costs, pairs, enough, _words(bare.count, costs, pairs))


def _p_value(found: Estimate) -> float:
    return found.p_value if found.p_value is not None and found.chips_known else 1.0


def _words(chips: int, costs: tuple[Cost, ...], pairs: tuple[Pair, ...]) -> str:
    if chips < 2:
        return "Not enough chips to rank: one tells nothing of others."
    told = [cost.effect for cost in costs if cost.told_apart]
    zero = f"Told apart from zero: {', '.join(told)}." if told else "None is told apart from zero."
    if len(costs) == 1:
        return zero
    if not any(pair.told_apart for pair in pairs):
        return f"Not enough chips to rank. {zero}"
    first = costs[0].effect
    beside = [pair.cheaper for pair in pairs if pair.dearer == first and not pair.told_apart]
    others = f"; not told apart from it: {', '.join(beside)}" if beside else ", more than every other"
    return f"{first} costs most{others}. {zero}"
