"""How often the 95 % intervals of `neurosim fit` cover the numbers that made the data, and the law is named.

python -m benchmarks.coverage --out results/fit-coverage.json
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurosim import devices, set_threads
from neurosim.core import registry
from neurosim.core.errors import CapabilityError
from neurosim.devices import Law
from neurosim.devices.fitting import Drift, Estimate, Programming, Pulses, Trace
from neurosim.devices.fitting.aging import fit_drift, fit_programming
from neurosim.study.store import versions, write_json

BAR = 0.90
"""Share of data sets in which the interval of each parameter must hold the known value."""
WINDOW = {"g_min_uS": 20.0, "g_max_uS": 90.0}
SPREADS = {
    "step_spread": None, "step_spread_lognormal": 0.3, "state_max_spread": 0.12, "state_min_spread": 0.12,
    "asymmetry_spread": 0.1, "cycle_to_cycle": 0.3, "write_noise": 0.5, "corrupt_share": None, "corrupt_range": None,
}  # fmt: skip
Numbers = dict[str, Estimate]


class Study(NamedTuple):
    """Synthetic data of a device, and what a fit of them gives."""

    device: Law
    truth: dict[str, float]
    fit: Callable[[int], Numbers]
    """From a seed."""
    data: str
    """In words."""
    pulses: Callable[[int], Pulses] | None = None
    """The data themselves, from a seed, where laws compete for them."""


def pulses_of(device: Law, sequence: list[int], count: int, seed: int) -> Pulses:
    """Traces of fresh devices under the same pulses."""
    traces = devices.pulse_response(device, sequence, count, seed).astype(float)
    sign = np.array([0, *sequence], np.int8)
    return Pulses(tuple(Trace(str(k), sign.copy(), traces[:, k].copy()) for k in range(count)), "synthetic")


def _pulsed(law: str, pulses: Callable[[int], Pulses], seed: int) -> Numbers:
    fitted = registry.find("law fitter", law)(pulses(seed))
    numbers: Numbers = dict(fitted.numbers)
    if "step_spread" in numbers:  # a lognormal taken for a normal: the same spread to first order
        numbers["step_spread_lognormal"] = numbers.pop("step_spread")
    return numbers


def _drifting(device: Law, count: int, seed: int) -> Numbers:
    times = np.geomspace(38.6, 1e5, 8)
    seen = devices.programmed(device, [6.0], times, count, seed)[:, 0].astype(float)
    seen *= 1 + 0.01 * np.random.default_rng(seed).standard_normal(seen.shape)
    found = fit_drift(Drift(tuple((str(k), times, seen[:, k]) for k in range(count)), "synthetic"))
    assert found.spread is not None
    return {"drift_exponent": found.exponent, "drift_exponent_sigma": found.spread}


def _programmed(device: Law, count: int, seed: int) -> Numbers:
    targets = np.linspace(0, device.g_max_uS, 11)
    reached = devices.programmed(device, targets, [38.6], count, seed)[0].astype(float)
    data = Programming(np.repeat(targets, count), reached.ravel(), "synthetic")
    found = fit_programming(data, device.g_min_uS, device.g_max_uS)
    return {f"program_c{k}": estimate for k, estimate in enumerate(found.polynomial)}


def studies() -> dict[str, Study]:
    """Every law that can be fitted, on a device whose numbers are known."""
    tuned = {**WINDOW, **SPREADS}
    soft = devices.load("rram-hfo2-om-2022").with_parameters(
        **tuned, state_max=1.1, state_min=-0.9, step=0.06
    )
    constant = devices.load("spec-gokmen-vlasov-2016").with_parameters(
        **tuned, state_max=1, state_min=-1, step=0.06
    )
    linear = devices.load("ecram-li-tang-2018").with_parameters(
        **tuned, state_max=1.1, state_min=-0.9, step=0.06,
        slope_up=0.6, slope_down=0.4, slope_up_spread=None, slope_down_spread=None,
    )  # fmt: skip
    pcm = devices.load("pcm-nandakumar-2018")
    drifting = pcm.with_parameters(drift_exponent=0.05, drift_exponent_sigma=0.01)
    found = {}
    for device, ramp, cycles, count in ((soft, 50, 3, 30), (constant, 80, 2, 30), (linear, 80, 2, 30)):
        pulses = partial(pulses_of, device, ([1] * ramp + [-1] * ramp) * cycles, count)
        found[device.law] = Study(
            device, known(device), partial(_pulsed, device.law, pulses),
            f"{count} devices, {cycles} cycles of {ramp} pulses up and {ramp} down", pulses,
        )  # fmt: skip
    pulses = partial(pulses_of, pcm, [1] * 20 + [-1] + [1] * 20, 100)
    found[pcm.law] = Study(
        pcm, known(pcm), partial(_pulsed, pcm.law, pulses), "100 devices, 2 x 20 SET pulses", pulses
    )
    found["drift"] = Study(
        drifting, known(drifting), partial(_drifting, drifting, 40), "40 devices, 8 times, 1 % read noise"
    )
    scale = pcm.g_max_uS / known(pcm)["program_reference_uS"]
    truth = {f"program_c{k}": known(pcm)[f"program_c{k}"] * scale for k in range(3)}
    found["programming"] = Study(pcm, truth, partial(_programmed, pcm, 30), "11 targets, 30 devices each")
    return found


def known(device: Law) -> dict[str, float]:
    """Return the numbers of a device."""
    return {
        name: float(getattr(device, name)) for name in device.units() if getattr(device, name) is not None
    }


def best_law(pulses: Callable[[int], Pulses], seed: int) -> str:
    """Return the law that the ranking puts first."""
    data, criterion = pulses(seed), {}
    for law in registry.names("law fitter"):
        with contextlib.suppress(CapabilityError):
            criterion[law] = registry.find("law fitter", law)(data).bic
    return min(criterion, key=lambda law: criterion[law])


def _each(work: Callable[[int], Any], seeds: range, workers: int) -> list[Any]:
    if workers == 1:
        return [work(seed) for seed in seeds]
    with ProcessPoolExecutor(workers, initializer=set_threads, initargs=(1,)) as pool:
        return list(pool.map(work, seeds))


def coverage(name: str, datasets: int, first_seed: int = 0, workers: int = 1) -> dict[str, Any]:
    """Fit so many data sets; for each parameter the share of intervals that hold the known value."""
    study = studies()[name]
    runs = _each(study.fit, range(first_seed, first_seed + datasets), workers)
    parameters = {}
    for parameter in dict.fromkeys(key for run in runs for key in run):
        if parameter not in study.truth:
            continue
        truth = study.truth[parameter]
        given = [run[parameter] for run in runs if parameter in run]
        held = [parameter in run and run[parameter].low <= truth <= run[parameter].high for run in runs]
        parameters[parameter] = {
            "known": truth,
            "fitted": len(given),
            "covered": sum(map(bool, held)),
            "covered_by_hundred": [sum(map(bool, held[k : k + 100])) for k in range(0, datasets, 100)],
            "mean": float(np.mean([e.value for e in given])),
            "half_width": float(np.mean([(e.high - e.low) / 2 for e in given])),
        }
    return {"law": name, "data": study.data, "datasets": datasets, "parameters": parameters}


def main() -> int:
    """Print and write the coverage of every law; exit code 1 where one is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=400)
    parser.add_argument("--ranked", type=int, default=25, help="of them, for the ranking of laws")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="law; repeat for more")
    parser.add_argument("--out", type=Path, default=Path("out/fit-coverage.json"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results, missed = [], []
    for name in options.only or studies():
        results.append(coverage(name, options.datasets, options.first_seed, workers=2))
        pulses = studies()[name].pulses
        if pulses is not None and options.ranked:
            first = _each(partial(best_law, pulses), range(options.ranked), 2)
            results[-1]["ranked_first"] = {law: first.count(law) for law in sorted(set(first))}
            results[-1]["ranked"] = options.ranked
            print(f"{name} ranks first: {first.count(name)} of {options.ranked}", flush=True)
        print(f"{name}: {results[-1]['data']}", flush=True)
        for parameter, found in results[-1]["parameters"].items():
            short = found["covered"] < BAR * options.datasets
            missed += [f"{name} {parameter}"] if short else []
            print(f"  {parameter:<24} {found['covered']:>4} of {found['fitted']}   known {found['known']:<9.4g} "
                  f"mean {found['mean']:<9.4g} half width {found['half_width']:.3g}", flush=True)  # fmt: skip
    write_json(
        options.out, {"bar": BAR, "first_seed": options.first_seed, "laws": results, "versions": versions()}
    )
    print("every bar holds" if not missed else f"missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
