"""Pulses of a group of bipolar devices in passes over all of them, several devices to a vector.

What a pass needs of the devices is gathered first: side by side, the compiler does eight at once. The law's own function is
the one that single pulses go through, and every device sees the same operations in the same order: to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.kernels.groups import FEW, draw, normals_of_word, rank, still, whole_vectors
from neurosim.kernels.jit import inlined, inlined_as, origin

_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)
_STEP, _SIGN, _SEEN = 8, 9, 10
"""Rows of a group's numbers beyond those of the states."""


@inlined
def within(g: Any, lower: Any, upper: Any) -> Any:
    """A conductance, held within the device's own bounds."""
    return min(max(g, lower), upper)


@inlined
def seen_after(g: Any, xi: Any, params: Any) -> Any:
    """The conductance seen after pulses: the persistent one with write noise."""
    return max(g + params.write_noise * params.step * params.span_uS * xi, _ZERO)


@inlined
def spent_J(before_uS: Any, after_uS: Any, sign: Any, size: Any, params: Any) -> Any:
    """Energy of so many pulses in one direction: by the mean conductance seen before and after, or at the gate."""
    mean_uS = _HALF * (before_uS + after_uS)
    energy_per_uS = params.write_energy_per_uS if sign > _ZERO else params.reset_energy_per_uS
    energy_J = np.float64(energy_per_uS) * np.float64(mean_uS)
    if params.gate_energy_J > _ZERO:
        energy_J = np.float64(params.gate_energy_J)
    return energy_J * size


@inlined
def _aim(size: int, counts: Any, up: Any, down: Any, step: Any, sign: Any) -> None:
    """Direction of each device's pulses, and its step that way."""
    for k in range(size):
        one, other = up[k], down[k]
        step[k] = one if counts[k] > 0 else other
        sign[k] = _ONE if counts[k] > 0 else -_ONE


@inlined
def _show(size: int, g: Any, lower: Any, upper: Any, xi: Any, before: Any, seen: Any, params: Any) -> None:
    """What is seen of each device afterwards: of one that cannot move, what was seen before."""
    for k in range(size):
        after, unmoved = seen_after(g[k], xi[k], params), before[k]
        seen[k] = after if upper[k] > lower[k] else unmoved


@inlined
def _show_still(size: int, g: Any, lower: Any, upper: Any, before: Any, seen: Any) -> None:
    """What is seen of each device afterwards where there is no write noise."""
    for k in range(size):
        after, unmoved = g[k], before[k]
        seen[k] = after if upper[k] > lower[k] else unmoved


@inlined
def _price(size: int, before: Any, seen: Any, sign: Any, counts: Any, joules: Any, params: Any) -> None:
    for k in range(size):
        joules[k] = spent_J(before[k], seen[k], sign[k], abs(counts[k]), params)


@inlined
def _put_back(size: int, group: Any, g: Any, seen: Any, state: Any) -> None:
    for k in range(size):
        cell = group.ranked[k]
        state.persistent[cell] = g[k]
        state.conductance[cell] = seen[k]
        group.joules[group.order[k]] = group.spent_J[k]


def in_passes(pulse: Any, moved: Any, gathered: Callable[..., Any]) -> Callable[..., Any]:
    """Return the kernel that gives a group its pulses, see `DeviceKernels.pulses`.

    `gathered` (size, group, state) returns a state of the ranked devices alone, side by side in the group's numbers.
    """

    def step_all(
        size: int, given: int, counts: Any, g: Any, lower: Any, upper: Any, step: Any, sign: Any, xi: Any, near: Any,
        params: Any,
    ) -> None:  # fmt: skip
        for k in range(size):
            before, low, high = g[k], lower[k], upper[k]
            after = within(moved(k, before, sign[k], step[k], xi[k], near, params), low, high)
            g[k] = after if (abs(counts[k]) > given) & (high > low) else before

    step_all = inlined_as(step_all, f"{origin(moved)}.step_all")

    def pulses(size: int, group: Any, state: Any, params: Any, now_s: float, event: int, key: Any) -> None:
        if size < FEW:
            for k in range(size):
                group.joules[k] = pulse(group.cells[k], group.counts[k], state, params, now_s, event, key)
            return
        most, all_of_them = rank(size, group), whole_vectors(size)
        near, numbers, xi = gathered(size, group, state), group.numbers, group.normals
        step, sign, seen = numbers[_STEP], numbers[_SIGN], numbers[_SEEN]
        g, lower, upper = near.persistent, near.lower, near.upper
        _aim(all_of_them, group.sizes, near.step_up, near.step_down, step, sign)
        spread, noisy = params.cycle_to_cycle > _ZERO, params.write_noise > _ZERO
        if not spread:
            xi[0, :] = _ZERO
        for given in range(most):
            there = whole_vectors(still(given, group))
            if given % 3 == 0 and (spread or noisy):
                draw(there, group.ranked, group, event, given // 3, key)
            if given == 0 and noisy:
                normals_of_word(there, group, 3, 1)
            if spread:
                normals_of_word(there, group, given % 3, 0)
            step_all(there, given, group.sizes, g, lower, upper, step, sign, xi[0], near, params)
        if noisy:
            _show(all_of_them, g, lower, upper, xi[1], near.conductance, seen, params)
        else:
            _show_still(all_of_them, g, lower, upper, near.conductance, seen)
        _price(all_of_them, near.conductance, seen, sign, group.sizes, group.spent_J, params)
        _put_back(size, group, g, seen, state)

    return pulses
