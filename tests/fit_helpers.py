"""CSV files of synthetic devices, and whether intervals hold the known numbers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_grid import SLOPES, Design, drawn
from neurosim import devices
from neurosim.devices.fitting import Estimate, Pulses, fit

uncorrected = partial(fit, resamples=0)
"""The fit without its repetition on simulated data, which takes longer than the fit."""
QUIET = {
    "g_min_uS": 20.0, "g_max_uS": 90.0, "step_spread": None, "step_spread_lognormal": 0.3, "state_max_spread": 0.12,
    "state_min_spread": 0.12, "asymmetry_spread": 0.1, "cycle_to_cycle": 0.3, "write_noise": 0.5,
    "corrupt_share": None, "corrupt_range": None,
}  # fmt: skip
RAMPS = ([1] * 40 + [-1] * 40) * 2


def soft(**changes: float | None) -> Any:
    """A soft-bounds device with known numbers."""
    law = devices.load("rram-hfo2-om-2022")
    return law.with_parameters(**{**QUIET, "state_max": 1.1, "state_min": -0.9, "step": 0.06, **changes})


def write_pulses(file: Path, traces_uS: NDArray[Any], sequence: list[int], unit: str = "uS") -> Path:
    """Write traces (pulses + 1, devices) in the long form."""
    scale = {"uS": 1.0, "S": 1e-6}[unit]
    lines = [f"device,pulse,polarity,conductance_{unit}"]
    for cell in range(traces_uS.shape[1]):
        for k, sign in enumerate([0, *sequence]):
            name = {0: "", 1: "SET", -1: "RESET"}[sign]
            lines.append(f"{cell},{k},{name},{traces_uS[k, cell] * scale:.8g}")
    return write(file, lines)


def write_programming(file: Path, targets: NDArray[Any], achieved: NDArray[Any]) -> Path:
    """Write (targets, devices) reached conductances."""
    pairs = [f"{t:.8g},{g:.8g}" for t, row in zip(targets, achieved, strict=True) for g in row]
    return write(file, ["target_uS,achieved_uS", *pairs])


def write_drift(file: Path, times: NDArray[Any], seen: NDArray[Any]) -> Path:
    """Write (times, devices) conductances."""
    rows = [f"{k},{t:.8g},{seen[j, k]:.8g}" for k in range(seen.shape[1]) for j, t in enumerate(times)]
    return write(file, ["device,time_s,conductance_uS", *rows])


def write(file: Path, lines: list[str]) -> Path:
    """Write lines of text."""
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def within(estimate: Estimate, known: float, widths: float = 2.5) -> None:
    """The known number lies within so many half widths of the interval: five standard errors for 2.5."""
    middle, half = (estimate.low + estimate.high) / 2, (estimate.high - estimate.low) / 2
    assert abs(known - middle) <= widths * half, f"{known} not near {estimate}"


def pcm_traces(count: int, seed: int = 0) -> tuple[NDArray[np.float32], list[int]]:
    """PCM under two runs of SET pulses."""
    sequence = [1] * 20 + [-1] + [1] * 20
    return devices.pulse_response("pcm-nandakumar-2018", sequence, count, seed), sequence


def drawn_in_numpy(
    law: str,
    step: float,
    cycle_to_cycle: float,
    ramp: int,
    cycles: int,
    count: int,
    seed: int,
    slopes: tuple[float, float] = SLOPES,
) -> Pulses:
    """Traces of a law of small steps, drawn with numpy alone: the generator of `benchmarks.fit_grid`."""
    design = Design(step, cycle_to_cycle, ramp, cycles, count)
    return drawn(law, design, np.random.default_rng(seed), slopes).pulses


def write_traces(file: Path, pulses: Pulses) -> Path:
    """Write traces of one sequence of pulses in the long form."""
    traces = np.stack([trace.conductance_uS for trace in pulses.traces], axis=1)
    return write_pulses(file, traces, [int(sign) for sign in pulses.traces[0].sign[1:]])
