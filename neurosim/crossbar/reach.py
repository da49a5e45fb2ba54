"""What of a pulse reaches each device: nothing across a broken line, less at the far end of a resistive one."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.config import WritePath
from neurosim.core.errors import ConfigError
from neurosim.core.hardware import Wires
from neurosim.core.protocols import Floats, State
from neurosim.core.seeds import generator
from neurosim.crossbar.cells import PairCells
from neurosim.crossbar.ledger import Ledger
from neurosim.crossbar.lines import line_by_line
from neurosim.crossbar.wired import Array
from neurosim.kernels.groups import group_pulses
from neurosim.kernels.jit import share
from neurosim.kernels.pulsed import give_rows

FAINT = 1e-30
"""Weakest of pulses that arrive at all; zero stands for a device that nothing reaches."""


class Reach:
    """Strength of pulses at every device, and what half of a pulse does to the devices beside it.

    The V/2 scheme: a pulse is half on the word line and half on the bit line, so a device sees
    ``V (word share + bit share) / 2``, the shares line by line (`neurosim.crossbar.lines`). A pulse of less
    amplitude does ``exp(-(V - V_cell) / pulse_sensitivity_V)`` of a full one: of n pulses so many take effect, the
    others cost ``V_cell^2 G t`` (of a device with a gate its energy, by ``V_cell^2``). Half pulses act at ``V / 2`` wherever their line reaches. Refresh and programming
    neither weaken nor disturb.
    """

    def __init__(
        self,
        cells: PairCells,
        write: WritePath,
        wires: Wires | None,
        arrays: list[Array],
        ledger: Ledger,
        seed: int,
        name: str,
    ):
        self.cells, self.write, self.wires, self.arrays, self.ledger = cells, write, wires, arrays, ledger
        self.seed, self.name = seed, name
        if write.half_select and write.pulse_sensitivity_V is None:
            raise ConfigError("write.half_select needs pulse_sensitivity_V: what half the voltage does")
        self.weakens = write.pulse_sensitivity_V is not None and wires is not None and not wires.perfect
        self.refreshed_at = -1
        self.voltage_V = cells.device.pulse_voltage_V or 0.0
        if (write.half_select or self.weakens) and cells.device.pulse_voltage_V is None:
            raise ConfigError(
                f"write.{'half_select' if write.half_select else 'pulse_sensitivity_V'} needs the voltage of a pulse, which "
                f"the card of {cells.device.name} does not give: give write_voltage_V (of PCM set_voltage_V), or "
                "--write-voltage to neurosim fit"
            )
        if self.voltage_V > 0:
            cells.fade = (write.pulse_sensitivity_V or 0.0) / self.voltage_V
        if cells.connected is not None:
            cells.strength = cells.connected.astype(np.float32)

    def before(self, updates: int) -> None:
        """Follow the conductances now and then: the voltages that arrive depend on them."""
        if self.write.half_select:
            self.cells.given = np.zeros((self.cells.shape[0], 2 * self.cells.shape[1]), np.int32)
        if not self.weakens or self.wires is None:
            return
        if self.refreshed_at < 0 or updates - self.refreshed_at >= self.wires.every:
            self.refreshed_at = updates
            self.cells.strength = self._strength(self.wires)

    def _strength(self, wires: Wires) -> Floats:
        own = self.cells.connected_uS()
        ohm = (wires.r_word_ohm, wires.r_bit_ohm, wires.r_driver_ohm, wires.r_sense_ohm)
        ends: Any = {"drive": wires.drive, "sense": wires.sense}
        arrives = np.ones(own.shape, np.float32)
        for array in self.arrays:
            arrives[array] = sum(line_by_line(own[array], *ohm, **ends)) / 2
        lost_V = self.voltage_V * (1 - self.cells.as_shared(arrives))
        effect = np.exp(-lost_V / (self.write.pulse_sensitivity_V or np.inf))
        strength: Floats = np.maximum(effect, FAINT).astype(np.float32)
        if self.cells.connected is not None:
            strength *= self.cells.connected
        return strength

    def after(self, update: int) -> None:
        """Let half of each pulse of the last update act on the devices that share a line with its target."""
        if not self.write.half_select:
            return
        given = self.cells.given
        self.cells.given = np.zeros((0, 0), np.int32)
        if not given.any():
            return
        draws = generator(self.seed, self.name, "half select", update)
        effect = np.exp(-self.voltage_V / 2 / (self.write.pulse_sensitivity_V or np.inf))
        counts = np.zeros(given.shape, np.int32)
        for sign in (1, -1) if self.cells.device.steps_down else (1,):
            own = np.maximum(sign * given, 0)
            halves = np.zeros(given.shape, np.int64)
            for rows, lines in self.arrays:
                part = own[rows, lines]
                halves[rows, lines] = part.sum(axis=1, keepdims=True) + part.sum(axis=0) - 2 * part
            if self.cells.connected is not None:
                halves *= self.cells.connected
            mean = effect * halves
            steps = np.floor(mean + draws.random(given.shape, np.float32)).astype(np.int32)
            counts += sign * steps
            self.ledger.disturbs += int(steps.sum())
            self.ledger.half_uS += float((halves * (self.cells.struck_uS or self.cells.connected_uS())).sum())
        self._give(counts, update)

    def snapshot(self) -> State:
        """Return what is needed to go on with the same bits."""
        return {"strength": self.cells.strength.copy(), "refreshed_at": np.array([self.refreshed_at])}

    def restore(self, saved: State) -> None:
        """Take back a snapshot."""
        self.cells.strength = saved["strength"].astype(np.float32)
        self.refreshed_at = int(saved["refreshed_at"][0])

    def _give(self, counts: np.ndarray, update: int) -> None:
        cells = self.cells
        grid = cells.grid._replace(strength=np.empty((0, 0), np.float32), worn=np.empty((0, 0, 0), np.uint32))

        def give(block: tuple[int, int]) -> None:
            give_rows(
                *block, counts, grid, cells.state, cells.params, cells.now_s, update, cells.keys["disturb"],
                group_pulses(cells.kernels), cells.read, cells.kernels.read_sigma,
            )  # fmt: skip

        share(give, cells.row_blocks())
        if cells.shared:
            cells.copy_shared()
            cells.forget_grid()
