"""How often the 95 % intervals of `neurosim fit` cover the numbers that made the data.

python -m benchmarks.coverage --datasets 100 --out docs/results/fit-coverage.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurosim import devices
from neurosim.core import registry
from neurosim.devices.fitting import Drift, Estimate, Programming, Pulses, Trace
from neurosim.devices.fitting.aging import fit_drift, fit_programming
from neurosim.devices.law import Law
from neurosim.kernels.jit import set_threads
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


def pulses_of(device: Law, sequence: list[int], count: int, seed: int) -> Pulses:
    """Traces of fresh devices under the same pulses."""
    traces = devices.pulse_response(device, sequence, count, seed).astype(float)
    sign = np.array([0, *sequence], np.int8)
    return Pulses(tuple(Trace(str(k), sign.copy(), traces[:, k].copy()) for k in range(count)), "synthetic")


def _pulsed(device: Law, sequence: list[int], count: int, seed: int) -> Numbers:
    fitted = registry.find("law fitter", device.law)(pulses_of(device, sequence, count, seed))
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
        sequence = ([1] * ramp + [-1] * ramp) * cycles
        found[device.law] = Study(
            device, known(device), partial(_pulsed, device, sequence, count),
            f"{count} devices, {cycles} cycles of {ramp} pulses up and {ramp} down",
        )  # fmt: skip
    sequence = [1] * 20 + [-1] + [1] * 20
    found[pcm.law] = Study(
        pcm, known(pcm), partial(_pulsed, pcm, sequence, 100), "100 devices, 2 x 20 SET pulses"
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


def coverage(name: str, datasets: int, first_seed: int = 0, workers: int = 1) -> dict[str, Any]:
    """Fit so many data sets; for each parameter the share of intervals that hold the known value."""
    study = studies()[name]
    seeds = range(first_seed, first_seed + datasets)
    if workers == 1:
        runs = [study.fit(seed) for seed in seeds]
    else:
        with ProcessPoolExecutor(workers, initializer=set_threads, initargs=(1,)) as pool:
            runs = list(pool.map(study.fit, seeds))
    parameters = {}
    for parameter in dict.fromkeys(key for run in runs for key in run):
        if parameter not in study.truth:
            continue
        truth = study.truth[parameter]
        given = [run[parameter] for run in runs if parameter in run]
        parameters[parameter] = {
            "known": truth,
            "fitted": len(given),
            "covered": int(sum(e.low <= truth <= e.high for e in given)),
            "mean": float(np.mean([e.value for e in given])),
            "half_width": float(np.mean([(e.high - e.low) / 2 for e in given])),
        }
    return {"law": name, "data": study.data, "datasets": datasets, "parameters": parameters}


def main() -> int:
    """Print and write the coverage of every law; exit code 1 where one is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="law; repeat for more")
    parser.add_argument("--out", type=Path, default=Path("out/fit-coverage.json"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results, missed = [], []
    for name in options.only or studies():
        results.append(coverage(name, options.datasets, options.first_seed, workers=2))
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
