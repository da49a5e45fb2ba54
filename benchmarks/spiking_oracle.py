"""What a spiking soft winner-take-all computes beside rate SoftHebb, its oracle (results/spiking-oracle.md).

python -m benchmarks.spiking_oracle [--json FILE] [--page FILE] [--again]

With --again kept runs (FILE) are written anew, and nothing is run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import neurosim as ns
from benchmarks.kept_page import RESULTS, main
from neurosim import LIF, Soft, SpikingLayer
from neurosim.report.style import new_figure, to_svg
from neurosim.rules import SpikingSoftHebb
from neurosim.study.store import versions

Result = dict[str, Any]
ROWS, COLS, PATTERNS, SHARPNESS = 20, 6, 8, 3.0
HIGHEST_HZ, DT_S, MEMBRANE_S = 100.0, 1e-3, 20e-3
RATES, SAMPLES = (0.1, 0.04, 0.02, 0.01), 20
"""Rates of the trajectories, and samples that the first of them learns; all learn the same rate times samples."""
REPEATS, DRAWS = 3000, 100_000
PCM, PULSES = "pcm-nandakumar-2018", 4000
MEMBRANES_S = (5e-3, 20e-3, 80e-3, 320e-3)
BLUE, RED = "#0072b2", "#d55e00"
PLACE = "<!-- from here on written by python -m benchmarks.spiking_oracle -->"


def patterns() -> NDArray[np.float32]:
    """Return the inputs that are learnt, (n, rows) from 0 to 1."""
    return np.random.default_rng(6).random((PATTERNS, ROWS)).astype(np.float32)


def start() -> NDArray[np.float64]:
    """Return the weights that all start from."""
    return np.random.default_rng(5).normal(0, 0.3, (ROWS, COLS))


def layer(
    array: Any, rate: float, seed: int, membrane_s: float = MEMBRANE_S, draws_Hz: float = 100.0
) -> SpikingLayer:
    """Return a soft winner-take-all whose sharpness is that of the rate rule."""
    kept = 1 - np.exp(-DT_S / membrane_s)
    gain = SHARPNESS * kept / (HIGHEST_HZ * DT_S)
    rule = SpikingSoftHebb(learning_rate=rate, rate_power=0.0, row_trace_s=membrane_s)
    neuron = LIF(membrane_s=membrane_s, gain_mV=float(gain), adaptation_mV=0.0)
    return SpikingLayer(
        array,
        rule,
        neuron,
        Soft(rate_Hz=draws_Hz),
        dt_s=DT_S,
        highest_Hz=HIGHEST_HZ,
        seed=seed,
        norm_every=10**9,
    )


def of_rates(rate: float) -> ns.rules.SoftHebb:
    """Return the rate rule that is the oracle."""
    return ns.rules.SoftHebb(inverse_temperature=SHARPNESS, learning_rate=rate, rate_power=0.0)


def softmax(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the answers of the rate rule to currents (..., cols)."""
    e = np.exp(SHARPNESS * (u - u.max(axis=-1, keepdims=True)))
    return e / e.sum(axis=-1, keepdims=True)


def ideal(weights: NDArray[np.float64]) -> Any:
    """Return ideal arithmetic in double precision at these weights."""
    array = ns.IdealArray((ROWS, COLS), "float64")
    array.program(weights)
    return array


def winners() -> Result:
    """Frequencies of the winners of each pattern beside the softmax."""
    spiking = layer(ideal(start()), 0.02, 1)
    wins = np.stack([spiking.drawn(x, DRAWS, learn=False) for x in patterns()])
    expected = softmax(patterns().astype(float) @ start())
    chi = ((wins - DRAWS * expected) ** 2 / (DRAWS * expected)).sum(axis=1)
    return {
        "draws": DRAWS, "softmax": expected.tolist(), "frequency": (wins / DRAWS).tolist(),
        "chi_square": chi.tolist(), "degrees": COLS - 1,
    }  # fmt: skip


def by_rate(rate: float, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights that rate SoftHebb learns from the patterns in this order, one update each."""
    rule, array = of_rates(rate), ideal(start())
    state = rule.state(ROWS, COLS)
    for x in patterns()[order].astype(np.float64):
        array.update(*rule(x[None], array.forward(x[None]), state)[:3])
    return np.array(array.weights())


def trajectories() -> list[Result]:
    """How far the mean of spiking trajectories is from the rate rule's, at `RATES` with the same rate times samples."""
    found = []
    for rate in RATES:
        samples = round(SAMPLES * RATES[0] / rate)
        order = np.random.default_rng(7).integers(0, PATTERNS, samples)
        oracle = by_rate(rate, order)
        ends = np.empty((REPEATS, ROWS, COLS))
        for repeat in range(REPEATS):
            array = ideal(start())
            spiking = layer(array, rate, 100 + repeat)
            for x in patterns()[order]:
                spiking.drawn(x)
            ends[repeat] = array.weights()
        away = ends.mean(axis=0) - oracle
        error = ends.std(axis=0, ddof=1) / np.sqrt(REPEATS)
        squared = float((away**2).sum() - (error**2).sum())
        found.append(
            {
                "rate": rate, "samples": samples, "repeats": REPEATS,
                "learnt": float(np.linalg.norm(oracle - start())),
                "mean_difference": float(np.sqrt(max(squared, 0.0))),
                "its_error": float(np.sqrt((error**2).sum())),
                "largest_z": float(np.abs(away / error).max()),
                "spread_of_one": float(np.sqrt(((ends - oracle) ** 2).sum(axis=(1, 2)).mean())),
            }
        )  # fmt: skip
    return found


def of_poisson(membrane_s: float) -> Result:
    """Mean change of one draw with Poisson spikes as input, beside one rate step on the mean input."""
    array, rate, shown_s = Watched((ROWS, COLS)), 0.02, 10 * membrane_s
    array.program(start())
    spiking = layer(array, rate, 3, membrane_s, draws_Hz=1 / membrane_s)
    x = patterns()[0]
    u = x.astype(float) @ start()
    step = of_rates(rate)(x[None].astype(np.float64), u[None].copy(), of_rates(rate).state(ROWS, COLS))
    expected = step.pre.T @ step.post - step.decay * start()
    while array.given < 20_000:
        spiking.present(spiking.trains(x, shown_s))
        array.settle()
    mean = array.total / array.given
    wins = array.wins / array.given
    return {
        "membrane_s": membrane_s, "draws": array.given,
        "relative_difference": float(np.linalg.norm(mean - expected) / np.linalg.norm(expected)),
        "frequency": wins.tolist(), "softmax": softmax(u).tolist(),
        "potential_spread": float(np.sqrt((start() ** 2 * x[:, None]).sum(axis=0).mean() / (2 * HIGHEST_HZ * membrane_s))),
    }  # fmt: skip


class Watched(ns.IdealArray):
    """Sums what updates would change once the potentials have settled, and changes nothing."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__(shape, "float64")
        self.total, self.wins, self.given = np.zeros(shape), np.zeros(shape[1]), 0
        self._some: list[Any] = []

    def update(self, pre: Any, post: Any, decay: Any = None, mode: Any = "accumulate") -> int:
        """Take note of a change."""
        self._some.append((pre, post, decay))
        return 0

    def settle(self) -> None:
        """Count the later half of what was noted: in the first, potentials rise from rest."""
        for pre, post, decay in self._some[len(self._some) // 2 :]:
            self.total += pre.T @ post - decay * self.weights()
            self.wins += post[0] != 0
            self.given += 1
        self._some = []


def on_pcm() -> Result:
    """Mean pulses that one draw, and one rate step, give each column of a PCM array that stands still."""
    rate, x = 0.2, patterns()[1]
    made = ns.Crossbar(
        (ROWS, COLS), PCM, seed=4, read={"read_noise": None}, write={"decay_mode": "exact", "refresh": None}
    )
    made.program(start(), 1.0)
    there = made.snapshot()
    u = made.forward(x[None]).astype(np.float64)
    rule, spiking = of_rates(rate), layer(made, rate, 9)
    step = rule(x[None].astype(np.float32), u.astype(np.float32), rule.state(ROWS, COLS))
    given: dict[str, list[NDArray[Any]]] = {"spikes": [], "rates": []}
    for k in range(PULSES):
        for number, way in enumerate(given):
            made.restore({**there, "counters": np.array([0, 0, 2 * k + number], np.int64)})
            before = made.worn.copy()
            if way == "spikes":
                spiking.drawn(x)
            else:
                made.update(step.pre, step.post, step.decay)
            given[way].append((made.worn - before).astype(np.int64).reshape(ROWS, COLS, 2).sum(axis=(0, 2)))
    means = {way: np.mean(all_, axis=0) for way, all_ in given.items()}
    errors = {way: np.std(all_, axis=0) / np.sqrt(PULSES) for way, all_ in given.items()}
    z = (means["spikes"] - means["rates"]) / np.hypot(errors["spikes"], errors["rates"])
    return {
        "card": PCM, "rate": rate, "steps": PULSES, "spikes": means["spikes"].tolist(), "rates": means["rates"].tolist(),
        "z": z.tolist(),
    }  # fmt: skip


def measured() -> Result:
    """Run everything."""
    return {
        "winners": winners(), "trajectories": trajectories(), "poisson": [of_poisson(each) for each in MEMBRANES_S],
        "pcm": on_pcm(), "versions": versions(),
    }  # fmt: skip


def drawn(result: Result) -> Figure:
    """Return the figure: winners, what remains along trajectories against the rate, and against the membrane."""
    figure = new_figure(3.2)
    left, middle, right = figure.subplots(1, 3)
    wins = result["winners"]
    left.plot(np.ravel(wins["softmax"]), np.ravel(wins["frequency"]), ".", color=BLUE)
    left.axline((0, 0), slope=1, color="black", lw=0.8, ls="--")
    left.set(xlabel="Softmax of held potentials", ylabel="Share of draws won", title="Winners")
    rates = np.array([each["rate"] for each in result["trajectories"]])
    away, error, one = (
        np.array([each[name] for each in result["trajectories"]])
        for name in ("mean_difference", "its_error", "spread_of_one")
    )
    middle.errorbar(
        rates, away, 2 * error, fmt="o-", color=BLUE, capsize=3, label="mean of all runs, 2 errors"
    )
    middle.plot(rates, one, "s-", color=RED, label="one run")
    middle.plot(
        rates, away[0] * rates / rates[0], "--", color="black", lw=0.8, label="in proportion to the rate"
    )
    middle.set(
        xscale="log",
        yscale="log",
        xlabel="Learning rate",
        ylabel="Distance from rate SoftHebb",
        title="Trajectories",
    )
    middle.set_xticks(rates, [f"{rate:g}" for rate in rates])
    middle.minorticks_off()
    middle.legend(fontsize=7)
    membranes = 1e3 * np.array([each["membrane_s"] for each in result["poisson"]])
    right.plot(membranes, [100 * each["relative_difference"] for each in result["poisson"]], "o-", color=BLUE)
    right.set(
        xscale="log",
        xlabel="Membrane time constant (ms)",
        ylabel="Mean change is off by (%)",
        title="Poisson input",
        ylim=(0, None),
    )
    return figure


def page(result: Result) -> str:
    """Draw the figure, and return the tables and their reading."""
    wins = result["winners"]
    (RESULTS / "spiking-oracle.svg").write_bytes(to_svg(drawn(result)))
    lines = [
        "![winners, trajectories, Poisson input](spiking-oracle.svg)", "",
        "## Winners", "",
        (f"{wins['draws']:,} draws from held potentials for each of {len(wins['softmax'])} inputs: chi-square "
         f"{min(wins['chi_square']):.1f} to {max(wins['chi_square']):.1f} with {wins['degrees']} degrees of freedom."), "",
        "## Trajectories", "",
        "| rate | samples | learnt | mean spiking weights are off by | error of that | largest z | one run is off by |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {each['rate']:.3f} | {each['samples']} | {each['learnt']:.3f} | {each['mean_difference']:.4f} | "
        f"{each['its_error']:.4f} | {each['largest_z']:.1f} | {each['spread_of_one']:.3f} |"
        for each in result["trajectories"]
    ]
    lines += [
        "",
        "## Poisson input",
        "",
        "| membrane (ms) | change of a draw is off by | spread of the potential |",
        "|---|---|---|",
    ]
    lines += [
        f"| {1e3 * each['membrane_s']:.0f} | {100 * each['relative_difference']:.0f} % | {each['potential_spread']:.3f} |"
        for each in result["poisson"]
    ]
    pcm = result["pcm"]
    lines += [
        "", "## On PCM", "",
        (f"Mean pulses that a step of rate {pcm['rate']:g} gives each column of a {pcm['card']} array, {pcm['steps']:,} times "
         "from the same state:"), "", "| column | spikes | rate | z |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {k + 1} | {a:.3f} | {b:.3f} | {z:+.1f} |"
        for k, (a, b, z) in enumerate(zip(pcm["spikes"], pcm["rates"], pcm["z"], strict=True))
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main("spiking-oracle", __doc__, PLACE, measured, page)
