"""Millions of devices: programming, drifted reads and pulses, in nanoseconds a device and against plain numpy.

The references do the same physics in numpy on the same number of devices, with numpy's own float32 normals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.timing import Figure, figure, once
from neurosim import devices
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator, key
from neurosim.devices import Law
from neurosim.kernels.cells import ALL, construct_cells, drift_cells, program_cells, pulse_counted
from neurosim.kernels.groups import GROUP, group_pulses, new_group
from neurosim.kernels.jit import jit, share

DEVICES = 3_100_000
BLOCK = 1 << 16
AFTER_S = 1e5
PCM, WRITTEN, SOFT = "pcm-nandakumar-2018", "rram-neurram-wan-2022", "rram-hfo2-om-2022"


@jit
def pulse_in_groups(counts: Any, state: Any, params: Any, event: int, key: Any, pulses: Any) -> float:
    """Give each device its pulses as arrays do, a group at a time; returns the energy in joule."""
    group, energy = new_group(state.conductance), 0.0
    for first in range(0, counts.size, GROUP):
        size = min(GROUP, counts.size - first)
        for k in range(size):
            group.cells[k], group.counts[k] = first + k, counts[first + k]
        pulses(size, group, state, params, 0.0, event, key)
        for k in range(size):
            energy += group.joules[k]
    return energy


class Crowd:
    """Devices of one kind, worked on in blocks that threads share."""

    def __init__(self, law: Law):
        self.law, self.kernels, self.params = law, law.kernels, law.params()
        self.parts = [min(BLOCK, DEVICES - first) for first in range(0, DEVICES, BLOCK)]
        self.states = [law.allocate(size) for size in self.parts]
        self.key = key(0, "bench", law.name)
        self.targets = np.full(BLOCK, 0.5 * law.g_max_uS, np.float32)
        self.out = np.empty(BLOCK, np.float32)
        self.counts = np.ones(BLOCK, np.int32)
        self.either = generator(0, "bench signs").choice(np.array([-1, 1], np.int32), BLOCK)
        self._each(
            lambda state, size: construct_cells(0, size, state, self.params, self.key, self.kernels.construct)
        )

    def _each(self, work: Callable[[Any, int], object]) -> None:
        share(lambda part: work(*part), list(zip(self.states, self.parts, strict=True)))

    def program(self) -> None:
        """Write the middle of the window, by the statistics of closed loop."""
        self._each(lambda state, size: program_cells(
            0, self.targets[:size], state, self.params, 0.0, 1, self.key, self.kernels.program, 1, ALL))  # fmt: skip

    def read(self) -> None:
        """Conductances after a day or so."""
        self._each(lambda state, size: drift_cells(
            np.empty(size, np.float32), state, self.params, AFTER_S, self.kernels.drifted))  # fmt: skip

    def pulse_alone(self) -> None:
        """One pulse up on every device, device by device."""
        self._each(lambda state, size: pulse_counted(
            self.counts[:size], state, self.params, 0.0, 2, self.key, self.kernels.pulse))  # fmt: skip

    def pulse(self) -> None:
        """One pulse up on every device, in groups."""
        self._each(lambda state, size: pulse_in_groups(
            self.counts[:size], state, self.params, 2, self.key, group_pulses(self.kernels)))  # fmt: skip

    def pulse_either_way(self) -> None:
        """One pulse up or down on every device, in groups."""
        self._each(lambda state, size: pulse_in_groups(
            self.either[:size], state, self.params, 2, self.key, group_pulses(self.kernels)))  # fmt: skip


def _normals(rng: np.random.Generator) -> Floats:
    return rng.standard_normal(DEVICES, np.float32)


def _numpy_program(law: Any, rng: np.random.Generator) -> Floats:
    g = np.full(DEVICES, 0.5, np.float32)
    sigma = (
        (law.program_c0 + g * (law.program_c1 + g * law.program_c2)) * law.g_max_uS / law.program_reference_uS
    )
    return np.clip(g * law.g_max_uS + sigma * _normals(rng), law.reset_floor_uS, law.g_max_uS)


def _numpy_pcm_pulse(law: Any, g: Floats, count: Floats, rng: np.random.Generator) -> Floats:
    first = np.exp(-count / law.memory_pulses)
    mean = law.mean_slope * g + law.mean_offset_uS + law.mean_first_uS * first
    sigma = law.sigma_slope * g + law.sigma_offset_uS + law.sigma_first_uS * first
    return np.clip(g + mean + sigma * _normals(rng), law.g_min_uS, law.g_max_uS)


def _numpy_soft_pulse(law: Any, g: Floats, step: Floats, bounds: tuple[Floats, Floats], rng: Any) -> Floats:
    lower, upper = bounds
    origin = np.float32(law.g_origin_uS)
    share = 1 - (g - origin) / (upper - origin) + law.cycle_to_cycle * _normals(rng)
    seen = np.clip(g + step * share, lower, upper)
    return np.maximum(seen + law.write_noise * law.step * law.span_uS * _normals(rng), 0)


def figures() -> Iterator[Figure]:
    """Nanoseconds a device with the ratio to numpy."""
    rng = generator(0, "bench devices")
    pcm: Any = devices.load(PCM)
    drifting = pcm.with_parameters(drift_exponent_sigma=0.01)
    soft: Any = devices.load(SOFT)
    g, exponent = (np.full(DEVICES, value, np.float32) for value in (5.0, 0.04))
    spread = np.float32(40.0) * (1 + np.float32(0.3) * np.abs(_normals(rng)))
    bounds = (np.float32(50.0) - spread, np.float32(50.0) + spread)
    work: list[tuple[str, Law, str, Callable[[], object] | None, float | None]] = [
        ("program, closed-loop statistics", pcm, "program", lambda: _numpy_program(pcm, rng), 8.0),
        ("program, closed-loop statistics", devices.load(WRITTEN), "program", None, 8.0),
        ("program, with a drift table and 1/f noise", devices.load("pcm-joshi-2020"), "program", None, None),
        ("program, with exponents of their own", drifting, "program", None, 8.0),
        (
            "read, drifted, exponents of their own",
            drifting,
            "read",
            lambda: g * np.float32(AFTER_S / 38.6) ** -exponent,
            6.0,
        ),
        ("pulse", soft, "pulse", lambda: _numpy_soft_pulse(soft, g, exponent, bounds, rng), 4.0),
        ("pulse up or down", soft, "pulse_either_way", None, 4.0),
        ("pulse, device by device", soft, "pulse_alone", None, None),
        ("pulse", pcm, "pulse", lambda: _numpy_pcm_pulse(pcm, g, exponent, rng), 5.0),
        ("pulse, device by device", pcm, "pulse_alone", None, None),
    ]
    for name, law, action, reference, bar in work:
        crowd = Crowd(law)
        if action == "read":
            crowd.program()
        seconds = once(getattr(crowd, action))
        details = {} if reference is None else {"contender_s": seconds, "reference_s": once(reference, 3)}
        yield figure(f"{name}, {law.name}", 1e9 * seconds / DEVICES, "ns a device", bar, **details)
