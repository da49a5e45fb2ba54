"""What both machines share, held against closed forms: normals, nominal steps, energies, read noise, pair order.

Two machines that agree may be wrong together where one number serves both. Here such numbers are computed once
more, from the numbers of the card by the textbook, and each machine is asked by what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.protocols import Floats
from neurosim.crossbar.array import Crossbar
from neurosim.devices.card import load
from neurosim.devices.response import as_read, fresh
from neurosim.kernels.cells import ALL, program_cells, pulse_cells
from neurosim.kernels.random import normals_of
from neurosim.reference.agreement import Line, as_numpy

SHAPE = (24, 12)
READS = 2000
CHANGE = 0.05
WORDS = 1 << 16
SIGMAS = 5.0


def _line(form: str, on: str, found: Any, expected: Any, bound: float) -> Line:
    """One line: the largest difference, relative to the largest expected magnitude."""
    a, b = np.atleast_1d(found).astype(np.float64), np.atleast_1d(expected).astype(np.float64)
    gap = np.abs(a - b)
    size = max(float(np.abs(b).max()), 1e-300)
    relative = float(gap.max()) / size
    return Line(
        f"closed form: {form}",
        on,
        "float32",
        False,
        float(gap.max()),
        relative,
        0.0,
        bound,
        relative <= bound,
    )


def normals() -> Iterator[Line]:
    """Normals of both machines against the inverse of the normal distribution, over words of all probabilities."""
    import torch
    from scipy.stats import norm

    from neurosim.reference.twin import draws

    words = np.unique(np.geomspace(1, 2**32 - 1, WORDS).astype(np.uint64) | np.uint64(1))
    expected = norm.isf(words.astype(np.float64) / 2**33)
    found = np.empty(words.size, np.float32)
    normals_of(words, found)
    twin = draws.normal(torch.from_numpy(words.astype(np.int64))).numpy()
    for on, values in (("numba", found), ("torch", twin)):
        yield _line("normal of a word", on, np.abs(values), expected, 1e-6)


def of_card(name: str, machine: Callable[..., Any] = Crossbar) -> Iterator[Line]:
    """Hold one card on one machine against its own numbers.

    Parameters
    ----------
    name : str
        Card name or file.
    machine : class
        `Crossbar` or `TorchCrossbar`.
    """
    device: Any = load(name)
    quiet = device.without_noise()
    yield from _reads(device, name, machine)
    if device.law in _ENERGY and not quiet.pulse_unknown:
        yield _energy(quiet, name, machine)
    if not (device.closed_loop or device.law == "binary"):
        yield _step(quiet, name)


def _programmed(machine: Callable[..., Any], device: Any, read: ReadPath) -> tuple[Any, Floats]:
    """An array whose plus devices conduct more than the minus devices, row by row more; and those weights."""
    array = machine(SHAPE, device, seed=3, read=read, write=WritePath(w_max=1.0, refresh=None))
    weights = np.linspace(0.1, 0.6, SHAPE[0])[:, None] * np.linspace(0.5, 1.0, SHAPE[1])
    array.program(weights)
    return array, weights


def _reads(device: Any, name: str, machine: Callable[..., Any]) -> Iterator[Line]:
    """A read is inputs times plus minus minus devices; its noise that of the law, cell by cell, squared and summed."""
    x = np.linspace(0.2, 1.0, SHAPE[0])[None]
    array, _ = _programmed(machine, device, ReadPath(read_noise=None))
    g = as_numpy(array.conductance_uS()).astype(np.float64)
    low, high = device.cell_window_uS
    plain = x @ (g[:, 0::2] - g[:, 1::2]) / (high - low)
    yield _line("read of plus minus minus", name, as_numpy(array.forward(x)), plain, 2e-5)
    change = np.zeros((1, SHAPE[1]))
    change[:, ::2] = max(CHANGE, 5 * device.read_step_uS / (high - low))
    array.update(np.ones((1, SHAPE[0])), change)
    g = as_numpy(array.conductance_uS()).astype(np.float64)
    plain = x @ (g[:, 0::2] - g[:, 1::2]) / (high - low)
    yield _line("read after an update", name, as_numpy(array.forward(x)), plain, 2e-5)
    if not device.has_read_noise:
        return
    noisy, _ = _programmed(machine, device, ReadPath())
    g = as_numpy(noisy.conductance_uS()).astype(np.float64)
    sigma = _sigma(device, g) ** 2
    variance = np.square(x / x.max()) @ (sigma[:, 0::2] + sigma[:, 1::2])
    seen = as_numpy(noisy.forward(np.repeat(x, READS, axis=0))).astype(np.float64) * (high - low) / x.max()
    bound = SIGMAS * np.sqrt(2 / (READS * SHAPE[1]))
    share = float((seen.var(axis=0, ddof=1) / variance).mean())
    yield _line("variance of read noise", name, share, 1.0, bound)


def _sigma(device: Any, g: Any) -> Any:
    sigma = (device.read_noise_relative or 0.0) * g + (device.read_noise_floor_uS or 0.0)
    most = getattr(device, "read_noise_most_uS", None)
    return sigma if most is None else sigma + most * (1 - np.exp(-g / device.read_noise_scale_uS))


def _accumulative(device: Any, before: Any, after: Any, counts: Any) -> float:
    each = device.set_current_A * device.set_voltage_V * device.set_time_s
    return float((counts > 0).sum() * each)


def _anew(device: Any, before: Any, after: Any, counts: Any) -> float:
    each = device.program_pulses * device.write_current_A * device.write_voltage_V * device.write_time_s
    return float(np.count_nonzero(counts) * each)


def _through(device: Any, before: Any, after: Any, counts: Any) -> float:
    if device.gate_energy_J is not None:
        return float(np.abs(counts).sum() * device.gate_energy_J)
    down_V, down_s = (
        device.reset_voltage_V or device.write_voltage_V,
        device.reset_time_s or device.write_time_s,
    )
    up = device.write_voltage_V**2 * device.write_time_s
    each = np.where(counts > 0, up, down_V**2 * down_s)
    return float((np.abs(counts) * each * (before + after) / 2 * 1e-6).sum())


_ENERGY: dict[str, Callable[..., float]] = {
    "pcm-accumulative": _accumulative,
    "programmed": _anew,
    **dict.fromkeys(
        ("soft-bounds", "exp-step", "power-step", "constant-step", "linear-step", "nonlinearity-label",
         "piecewise-step", "measured-steps", "vteam"),
        _through,
    ),
}  # fmt: skip
"""Energy of one pulse to some cells by the law's formula, from their conductances before and after."""


def _energy(device: Any, name: str, machine: Callable[..., Any]) -> Line:
    """One pulse up a pair: the joules of the ledger against I V t, V^2 G t or charge times voltage of the card."""
    array, _ = _programmed(machine, device, ReadPath(read_noise=None))
    before = as_numpy(array.conductance_uS()).astype(np.float64)
    low, high = device.cell_window_uS
    pushed = 2 if device.polarity == "bipolar" else 1
    step = pushed * device.read_step_uS / (high - low)
    array.update(np.ones((1, SHAPE[0])), np.full((1, SHAPE[1]), step * (1 + 1e-5)))
    after = as_numpy(array.conductance_uS()).astype(np.float64)
    counts = np.zeros(before.shape, np.int64)
    counts[:, 0::2] = 1
    counts[:, 1::2] = -1 if pushed == 2 else 0
    expected = _ENERGY[device.law](device, before, after, counts)
    return _line("energy of one pulse a pair", name, array.ledger.write_J, expected, 2e-3)


def _step(device: Any, name: str) -> Line:
    """What a controller counts on against what a pulse does: at rest, or where a SET-only device is in mid window."""
    state, params, keys = fresh(device, 1, 0)
    gradual = device.steps_down
    start = device.g_rest_uS if gradual else device.g_min_uS + 0.3 * (device.g_max_uS - device.g_min_uS)
    moved = []
    for sign in (1, -1) if gradual else (1,):
        program_cells(
            0,
            np.array([start], np.float32),
            state,
            params,
            0.0,
            1,
            keys["program"],
            device.kernels.program,
            1,
            ALL,
        )
        before = float(as_read(device, state, params)[0])
        pulse_cells(sign, state, params, 0.0, 2, keys["pulse"], device.kernels.pulse)
        moved.append(abs(float(as_read(device, state, params)[0]) - before))
    return _line("nominal step", name, device.nominal_step_uS, np.mean(moved), 0.05 if gradual else 0.5)
