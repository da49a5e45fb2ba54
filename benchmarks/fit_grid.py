"""How often 95 % intervals of `neurosim fit` hold, over the designs that people have, on data drawn with numpy alone.

python -m benchmarks.fit_grid --sets 200 --out results/fit-grid.json

Three laws of small steps, each by eight designs. A parameter counts at a design where Fisher's information at the
truth gives it a relative standard error below one half; that is decided before anything is fitted. Finished sets are kept in
--out, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim import set_threads
from neurosim.core.errors import NeurosimError
from neurosim.devices.fitting import LawFit, Pulses, Trace
from neurosim.devices.fitting.bipolar import constant_move, linear_move, soft_move
from neurosim.devices.fitting.filtering import OWN, shared_score
from neurosim.devices.fitting.fit import _corrected, _laws
from neurosim.devices.fitting.population import FEWEST_DEVICES
from neurosim.report.text import made_with, markdown_table
from neurosim.study.store import read_json, versions, write_json, write_text

Values = NDArray[np.float64]
LAWS = ("soft-bounds", "constant-step", "linear-step")
LOW_uS, HIGH_uS = 20.0, 90.0
SPAN_uS = (HIGH_uS - LOW_uS) / 2
SPREAD, OF_BOUNDS, TILT, WRITE = 0.3, 0.12, 0.1, 0.5
"""Of steps (lognormal), of bounds, of the asymmetry, and write noise in steps."""
SLOPES = (0.6, 0.4)
SLOPES_PER_uS = ("slope_up_per_uS", "slope_down_per_uS")
COUNTS = 0.5
"""Largest relative standard error, by Fisher's information, of a parameter that counts."""
LARGE_NOISE = 5.0
SURE = 0.9
"""Cover that no parameter may be significantly below."""
MOVES = {"soft-bounds": soft_move, "constant-step": constant_move, "linear-step": linear_move}


class Design(NamedTuple):
    """Steps of half the window, noise of steps, pulses of a ramp, ramps up and down, devices."""

    step: float
    cycle_to_cycle: float
    ramp: int
    cycles: int
    devices: int

    @property
    def words(self) -> str:
        """In words."""
        return (
            f"step {self.step:g}, noise {self.cycle_to_cycle:g}, {self.cycles} x {self.ramp} up and down, "
            f"{self.devices} device{'s' if self.devices > 1 else ''}"
        )


DESIGNS = (
    Design(0.003, 0.3, 50, 10, 10),
    Design(0.003, 1.0, 100, 1, 30),
    Design(0.01, 0.3, 50, 10, 3),
    Design(0.01, 1.0, 50, 10, 10),
    Design(0.03, 1.0, 50, 3, 8),
    Design(0.03, 5.0, 50, 3, 30),
    Design(0.06, 0.3, 100, 1, 1),
    Design(0.06, 3.0, 50, 3, 10),
)


def sets_of(design: Design, sets: int) -> int:
    """Return how many of so many sets there are of a design: an eighth where every pulse may meet a bound, and a fit takes minutes."""
    return sets if design.cycle_to_cycle < LARGE_NOISE else max(1, sets // 8)


class Drawn(NamedTuple):
    """Data, and the numbers of their devices as the filter takes them."""

    pulses: Pulses
    own: Values
    shared: Values
    origin_uS: float


def drawn(
    law: str, design: Design, draws: np.random.Generator, slopes: tuple[float, float] = SLOPES
) -> Drawn:
    """Draw traces with numpy alone."""
    step, noise, ramp, cycles, count = design
    top = 1.0 if law == "constant-step" else 1.1
    above, below = (abs(end * (1 + OF_BOUNDS * draws.standard_normal(count))) for end in (top, 2 - top))
    gain, tilt = np.exp(SPREAD * draws.standard_normal(count)), TILT * draws.standard_normal(count)
    up, down = step * abs(gain + tilt), step * abs(gain - tilt)
    sign = np.array([0, *([1] * ramp + [-1] * ramp) * cycles], np.int8)
    state, seen = np.zeros(count), np.empty((sign.size, count))
    for row, way in enumerate(sign):
        if way:
            xi, size = draws.standard_normal(count), up if way > 0 else down
            if law == "soft-bounds":
                share = 1 - (state / above if way > 0 else -state / below) + noise * xi
            elif law == "linear-step":
                slope = -slopes[0] / top if way > 0 else slopes[1] / (2 - top)
                share = (1 + slope * state) * (1 + noise * xi)
            else:
                share = 1 + noise * xi
            state = np.clip(state + way * size * share, -below, above)
        seen[row] = state + WRITE * step * draws.standard_normal(count)
    origin = HIGH_uS - top * SPAN_uS
    conductance = np.maximum(origin + SPAN_uS * seen, 1e-3)
    traces = tuple(Trace(str(k), sign.copy(), conductance[:, k].copy()) for k in range(count))
    own = np.log(SPAN_uS * np.stack([up, down, above, below], axis=1))
    shared = [np.log(noise), np.log(WRITE * step * SPAN_uS)]
    if law == "linear-step":
        with np.errstate(divide="ignore"):
            shared += [np.log(slopes[0] / (top * SPAN_uS)), np.log(slopes[1] / ((2 - top) * SPAN_uS))]
    return Drawn(Pulses(traces, "drawn in numpy"), own, np.array(shared), origin)


def _draws(law: str, design: Design, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, LAWS.index(law), DESIGNS.index(design)])


def truth(law: str, design: Design, seed: int = 0) -> dict[str, float]:
    """Return what a fit is to find of a set, free of the fitted window: the population, or the devices alone if they are too few for one."""
    step_uS = design.step * SPAN_uS
    if design.devices < FEWEST_DEVICES:
        data = drawn(law, design, _draws(law, design, seed))
        up, down, above, below = np.exp(data.own).mean(axis=0)
        known = {
            "g_min_uS": data.origin_uS - below, "g_max_uS": data.origin_uS + above, "step_uS": (up + down) / 2,
            "cycle_to_cycle": design.cycle_to_cycle, "write_noise_uS": WRITE * step_uS,
        }  # fmt: skip
        return known | _slopes(law)
    known = {
        "g_min_uS": LOW_uS, "g_max_uS": HIGH_uS, "step_uS": step_uS, "step_spread_lognormal": SPREAD,
        "state_max_spread": OF_BOUNDS, "state_min_spread": OF_BOUNDS, "asymmetry_spread": TILT,
        "cycle_to_cycle": design.cycle_to_cycle, "write_noise_uS": WRITE * step_uS,
    }  # fmt: skip
    if law != "constant-step":
        known["state_max"] = 1.1
    return known | _slopes(law)


def _slopes(law: str) -> dict[str, float]:
    """Share of the step that is lost for each uS."""
    if law != "linear-step":
        return {}
    reach = SPAN_uS * np.array([1.1, 0.9])
    return dict(zip(SLOPES_PER_uS, np.array(SLOPES) / reach, strict=True))


def informed(law: str, design: Design, sets: int = 5) -> dict[str, float]:
    """Return the relative standard error of each number by Fisher's information at the truth, mean over some sets."""
    found = [_errors(law, drawn(law, design, _draws(law, design, seed))) for seed in range(sets)]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _errors(law: str, data: Drawn) -> dict[str, float]:
    count, size = len(data.own), len(data.shared)
    whole = np.zeros((size, size))
    own = np.full((count, OWN), np.inf)
    for k, trace in enumerate(data.pulses.traces):
        _, matrix = shared_score(
            data.own[k], data.shared, data.origin_uS, trace.conductance_uS, trace.sign, MOVES[law]
        )
        inner, cross = matrix[:OWN, :OWN], matrix[:OWN, OWN:]
        whole += matrix[OWN:, OWN:] - cross.T @ np.linalg.pinv(inner) @ cross
        told = np.diag(inner) > 1e-9
        own[k, told] = np.sqrt(np.diag(np.linalg.pinv(inner[np.ix_(told, told)])))
    shared = np.sqrt(np.diag(np.linalg.pinv(whole)))
    reach = np.exp(data.own[:, 2:])
    known = np.isfinite(own[:, 2:]) & (own[:, 2:] < 1)

    def mean(spread: float, errors: Values) -> float:
        weight = 1 / (spread**2 + errors**2)
        return float(1 / np.sqrt(weight.sum())) if weight.sum() > 0 else np.inf

    def spread(of: float, errors: Values) -> float:
        usable = errors[np.isfinite(errors)]
        if usable.size < 3:
            return np.inf
        return float((1 + np.mean(usable**2) / of**2) / np.sqrt(2 * (usable.size - 1)))

    bounds = {}
    for side, (end, value) in enumerate((("max", HIGH_uS), ("min", LOW_uS))):
        errors = np.where(known[:, side], own[:, 2 + side], np.inf)
        bounds[f"g_{end}_uS"] = mean(OF_BOUNDS, errors) * float(reach[:, side].mean()) / value
        bounds[f"state_{end}_spread"] = spread(OF_BOUNDS, errors)
    steps = np.hypot(own[:, 0], own[:, 1]) / 2
    found = {
        **bounds, "step_uS": mean(SPREAD, steps), "step_spread_lognormal": spread(SPREAD, steps),
        "asymmetry_spread": spread(TILT, steps), "cycle_to_cycle": float(shared[0]), "write_noise_uS": float(shared[1]),
        "state_max": mean(OF_BOUNDS, np.where(known.all(axis=1), np.hypot(own[:, 2], own[:, 3]), np.inf)),
    }  # fmt: skip
    if law == "linear-step":
        found |= dict(zip(SLOPES_PER_uS, map(float, shared[2:]), strict=True))
    return found


def _fitted(law: str, design: Design, seed: int) -> dict[str, list[float]] | str:
    """Numbers of a fit with their intervals, in the units of `truth`; or why there is none."""
    data = drawn(law, design, _draws(law, design, seed)).pulses
    try:
        found = _corrected(_laws(data, law)[0][0], data, 12)
    except NeurosimError as error:
        return str(error)
    return {name: [e.value, e.low, e.high] for name, e in physical(found).items()}


def physical(found: LawFit) -> dict[str, Any]:
    """Return the numbers of a fit, free of the window that it is written with."""
    numbers = dict(found.numbers)
    ends = [
        numbers[name].value if name in numbers else found.conventions[name][0]
        for name in ("g_min_uS", "g_max_uS")
    ]
    half_uS = (ends[1] - ends[0]) / 2
    larger = numbers["asymmetry"].value if "asymmetry" in numbers else 0.0  # a card's step is the larger one
    numbers["step_uS"] = numbers.pop("step").times(half_uS * (1 - abs(larger) / 2))
    balance = numbers.pop("state_max", None)
    above = found.conventions["state_max"][0] if balance is None else balance.value
    if balance is not None and {"g_min_uS", "g_max_uS"} <= numbers.keys():
        numbers["state_max"] = balance
    for name, per_uS, share in zip(
        ("slope_up", "slope_down"), SLOPES_PER_uS, (above, 2 - above), strict=True
    ):
        if name in numbers:
            numbers[per_uS] = numbers.pop(name).times(1 / (share * half_uS))
    if "write_noise" in numbers:
        numbers["write_noise_uS"] = numbers.pop("write_noise").times(numbers["step_uS"].value)
    if "step_spread" in numbers:  # a lognormal taken for a normal: the same spread to first order
        numbers["step_spread_lognormal"] = numbers.pop("step_spread")
    return numbers


def _job(job: tuple[str, int, int]) -> tuple[tuple[str, int, int], dict[str, list[float]] | str]:
    law, design, seed = job
    return job, _fitted(law, DESIGNS[design], seed)


def tally(
    sets: Iterable[dict[str, list[float]] | str], truths: Iterable[dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Count, for each number, the fits that have it and the intervals that hold the truth of their set."""
    found: dict[str, dict[str, float]] = {}
    fits = [(one, known) for one, known in zip(sets, truths, strict=True) if not isinstance(one, str)]
    for name in dict.fromkeys(name for _, known in fits for name in known):
        rows = np.array([[*one[name], known[name]] for one, known in fits if name in one]).reshape(-1, 4)
        value = rows[:, 3]
        held = int(((rows[:, 1] <= value) & (value <= rows[:, 2])).sum())
        found[name] = {
            "fitted": len(rows),
            "held": held,
            "bias": float(np.mean(rows[:, 0] / value - 1)) if len(rows) else 0.0,
            "below": float(stats.binom.cdf(held, len(rows), SURE)) if len(rows) else 1.0,
        }
    return found


def page(result: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    counted = [
        one
        for point in result["designs"]
        for name, one in point["numbers"].items()
        if point["information"].get(name, np.inf) < COUNTS and one["fitted"]
    ]
    shares = [one["held"] / one["fitted"] for one in counted]
    held, fitted = (sum(int(one[name]) for one in counted) for name in ("held", "fitted"))
    order = np.sort([one["below"] for one in counted])
    holm = np.maximum.accumulate(order * np.arange(len(order), 0, -1))
    said = (
        f"Of {len(counted)} numbers that count, the intervals hold the truth in {100 * np.median(shares):.1f} % in the median, in all "
        f"{held} of {fitted} ({100 * held / fitted:.1f} %); "
        f"{int((holm < 0.05).sum())} are below {100 * SURE:.0f} % beyond chance (Holm, 5 %)."
        if counted
        else "Nothing counts."
    )
    parts = ["# fit-grid\n", " ".join((__doc__ or "").split("\n\n")[0].split()) + "\n", said + "\n"]
    for point in result["designs"]:
        rows = [
            [
                f"`{name}`",
                f"{100 * point['information'].get(name, np.inf):.0f}",
                "yes" if point["information"].get(name, np.inf) < COUNTS else "no",
                f"{one['fitted']} of {point['sets']}",
                f"{100 * one['held'] / one['fitted']:.0f}" if one["fitted"] else "–",
                f"{100 * one['bias']:+.0f}",
            ]
            for name, one in point["numbers"].items()
        ]
        heads = ("number", "error by information, %", "counts", "fitted", "held, %", "mean error, %")
        parts.append(f"## {point['law']}: {point['design']}\n\n{markdown_table(heads, rows)}")
    return "\n".join(parts)


def main() -> None:
    """Fit what is missing, keep all, and write the page beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/fit-grid.json"))
    given = parser.parse_args()
    kept_in = given.out.with_suffix(".sets.json")
    kept: dict[str, Any] = read_json(kept_in) if kept_in.exists() else {}
    information = {(law, design): informed(law, design) for law in LAWS for design in DESIGNS}
    jobs = [
        (law, design, seed)
        for seed, law, design in itertools.product(range(given.sets), LAWS, range(len(DESIGNS)))
        if f"{law} {design} {seed}" not in kept and seed < sets_of(DESIGNS[design], given.sets)
    ]
    with ProcessPoolExecutor(given.workers, initializer=set_threads, initargs=(1,)) as pool:
        asked = [pool.submit(_job, job) for job in jobs]  # one that takes minutes holds no other up
        for done, ((law, design, seed), found) in enumerate(map(Future.result, as_completed(asked)), start=1):
            kept[f"{law} {design} {seed}"] = found
            if done % 8 == 0 or done == len(jobs):
                write_json(kept_in, kept)
                print(f"{done} of {len(jobs)}", flush=True)
    points = [
        {
            "law": law, "design": DESIGNS[design].words, "sets": sets_of(DESIGNS[design], given.sets),
            "information": {name: min(error, 1e6) for name, error in information[law, DESIGNS[design]].items()},
            "numbers": tally(
                [kept[f"{law} {design} {seed}"] for seed in range(sets_of(DESIGNS[design], given.sets))],
                [truth(law, DESIGNS[design], seed) for seed in range(sets_of(DESIGNS[design], given.sets))],
            ),
        }
        for law, design in itertools.product(LAWS, range(len(DESIGNS)))
    ]  # fmt: skip
    result = {"designs": points, "versions": versions()}
    write_json(given.out, result)
    write_text(given.out.with_suffix(".md"), f"{page(result).rstrip()}\n\n{made_with(result)}")
    print(page(result).split("\n\n")[2])


if __name__ == "__main__":
    main()
