"""CSV files of synthetic devices, and whether intervals hold the known numbers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim import devices
from neurosim.devices.fitting import Estimate, Pulses, Trace, fit

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
    slopes: tuple[float, float] = (0.6, 0.4),
) -> Pulses:
    """Traces of laws of small steps, drawn with numpy alone; a window of 20 to 90 uS, the spreads of `QUIET`, write noise of half a step."""
    draws = np.random.default_rng(seed)
    top = 1.0 if law == "constant-step" else 1.1
    span = (90.0 - 20.0) / 2
    above, below = (abs(end * (1 + 0.12 * draws.standard_normal(count))) for end in (top, 2 - top))
    gain, tilt = np.exp(0.3 * draws.standard_normal(count)), 0.1 * draws.standard_normal(count)
    up, down = step * abs(gain + tilt), step * abs(gain - tilt)
    sign = np.array([0, *([1] * ramp + [-1] * ramp) * cycles], np.int8)
    state, seen = np.zeros(count), np.empty((sign.size, count))
    for row, way in enumerate(sign):
        if way:
            xi, size = draws.standard_normal(count), up if way > 0 else down
            share = {
                "constant-step": 1 + cycle_to_cycle * xi,
                "soft-bounds": 1 - (state / above if way > 0 else -state / below) + cycle_to_cycle * xi,
                "linear-step": (1 - (slopes[0] * state / top if way > 0 else -slopes[1] * state / (2 - top)))
                * (1 + cycle_to_cycle * xi),
            }[law]
            state = np.clip(state + way * size * share, -below, above)
        seen[row] = state + 0.5 * step * draws.standard_normal(count)
    conductance = np.maximum(90.0 - top * span + span * seen, 1e-3)
    return Pulses(
        tuple(Trace(str(k), sign.copy(), conductance[:, k].copy()) for k in range(count)), "drawn in numpy"
    )


def write_traces(file: Path, pulses: Pulses) -> Path:
    """Write traces of one sequence of pulses in the long form."""
    traces = np.stack([trace.conductance_uS for trace in pulses.traces], axis=1)
    return write_pulses(file, traces, [int(sign) for sign in pulses.traces[0].sign[1:]])
