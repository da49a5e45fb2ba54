"""The devices of several array instances in torch: state, clock, and what a read sees of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurosim.core import protocols
from neurosim.core.config import WritePath
from neurosim.core.errors import CheckpointError
from neurosim.core.hardware import Draws
from neurosim.core.protocols import Device, Precision
from neurosim.crossbar.window import ROUNDING
from neurosim.kernels.cells import flat
from neurosim.reference.twin.draws import Key, words
from neurosim.reference.twin.law import Draw, State, law_twin

Act = Callable[[State, Draw, Tensor], tuple[State, Tensor]]
"""(state, draws, values of the chosen cells) -> (new state, energy in joule, (..., parts) if of several); see `TwinCells.act`."""


class Grid(NamedTuple):
    """What a read needs of the conductances."""

    difference: Tensor
    """(instances, rows, cols) conductance of the plus minus that of the minus device, uS."""
    variance: Tensor | None
    """(instances, rows, cols) summed variance of the read noise of both devices, uS^2; None where there is none."""
    row_sum: Tensor
    """(instances, rows) float64: summed conductance of the devices on each word line, uS."""


class TwinCells:
    """State tensors of shape (instances, 2 rows cols), cells in the order of `crossbar.cells.PairCells`."""

    def __init__(
        self,
        shape: tuple[int, int],
        device: Device,
        seeds: tuple[int, ...],
        name: str,
        write: WritePath,
        precision: Precision,
        on: torch.device,
        sparse: bool,
        draws: Draws | None = None,
    ):
        rows, cols = shape
        self.shape, self.device, self.seeds, self.name, self.on = shape, device, seeds, name, on
        self.instances, self.cells = len(seeds), 2 * rows * cols
        self.precision, self.dtype = precision, getattr(torch, precision)
        self.law = law_twin(device, precision, on)
        self.reference = write.mapping == "reference"
        self.window_uS = low_uS, high_uS = device.cell_window_uS
        self.middle_uS = (low_uS + high_uS) / 2
        self.span_uS = (high_uS - low_uS) / (2 if self.reference else 1)
        self.one_sided = device.polarity == "set_only" or write.pulses != "card"
        self.direction = -1 if write.pulses == "reset" else 1
        self.write = write
        self.uS_per_weight = torch.full(
            (len(seeds), shape[1]), self.span_uS / (write.w_max or 1.0), dtype=torch.float64, device=on
        )
        """(instances, cols): the gains behind the converters."""
        self.now_s, self.programs, self.ages = 0.0, 0, 0
        self.sparse = sparse
        """Whether only chosen cells are computed: looking which they are makes a GPU wait for the host."""
        self._keys: dict[str, Key] = {}
        self._grid: Grid | None = None
        self.numbers = torch.arange(self.cells, device=on).reshape(1, -1)
        self.state = self._born(draws or Draws())
        self.worn = torch.zeros(self.instances, self.cells, dtype=torch.int32, device=on)
        """Pulses that updates and refreshes have given each device."""

    @property
    def start_uS(self) -> float:
        """Conductance from which pulses of one direction start, as `PairCells` has it."""
        if self.direction < 0:
            return self.window_uS[1]
        return self.device.cell_rest_uS if self.device.polarity == "set_only" else self.window_uS[0]

    def key(self, purpose: str) -> Key:
        """Return the keys of one stream."""
        if purpose not in self._keys:
            self._keys[purpose] = Key(self.seeds, self.on, self.name, purpose)
        return self._keys[purpose]

    def _born(self, draws: Draws) -> dict[str, Tensor]:
        """Return devices as they come; stuck ones by a seed of their own, where they have one."""
        born, stuck = (
            Key(tuple(draws.seed_of(kind, each) for each in self.seeds), self.on, self.name, "construct").spread(1)
            for kind in ("devices", "faults")
        )  # fmt: skip
        state = self.law.construct(lambda draw: words(self.numbers, 0, draw, born))
        if "fault" in state and draws.devices != draws.faults:
            drawn = self.law.construct(lambda draw: words(self.numbers, 0, draw, stuck))
            state["fault"] = drawn["fault"]
            held = drawn["fault"] != 0
            state["conductance"] = torch.where(held, drawn["conductance"], state["conductance"])
        return state

    def _draws(self, purpose: str, event: int) -> Draw:
        spread = self.key(purpose).spread(1)
        return lambda draw: words(self.numbers, event, draw, spread)

    def act(self, purpose: str, event: int, chosen: Tensor, values: Tensor, act: Act) -> Tensor:
        """Change the state of the chosen cells and return the energy (instances,) in joule, (instances, parts) if `act` has them.

        Parameters
        ----------
        purpose, event : str, int
            Stream and event of the draws.
        chosen : (instances, cells) bool tensor
        values : (instances, cells) tensor
            What `act` is told of each cell (a target, a count).
        act : callable
        """
        self._grid = None
        if not self.sparse:
            changed, energy = act(self.state, self._draws(purpose, event), values)
            for name, new in changed.items():
                self.state[name] = torch.where(chosen, new, self.state[name])
            whose = chosen if energy.ndim == chosen.ndim else chosen.unsqueeze(-1)
            return torch.where(whose, energy, 0.0).sum(dim=1)
        index = chosen.reshape(-1).nonzero().squeeze(1)
        if index.numel() == 0:
            return torch.zeros(self.instances, dtype=torch.float64)
        instance, cell = index // self.cells, index % self.cells
        key = self.key(purpose).of(instance)
        before = {name: old.view(-1)[index] for name, old in self.state.items()}
        changed, energy = act(before, lambda draw: words(cell, event, draw, key), values.reshape(-1)[index])
        for name, new in changed.items():
            self.state[name].view(-1)[index] = new
        parts = energy.shape[index.ndim :]
        spent = torch.zeros(self.instances, *parts, dtype=torch.float64)
        return spent.index_add_(0, instance, energy.expand(*index.shape, *parts))

    def pulse(self, purpose: str, event: int, counts: Tensor, limit: int | None) -> Tensor:
        """Give each cell (instances, cells) its pulses; returns the energy (instances, 2) of those up and down.

        Cells are dealt with in groups whose counts differ by less than two, so that few do work for many.
        On a GPU there is one group, up to `limit`, or to the largest count: one number fetched.
        """
        size = counts.abs()

        def give(most: int) -> Act:
            def act(state: dict[str, Tensor], draw: Draw, wanted: Tensor) -> tuple[dict[str, Tensor], Tensor]:
                changed, energy = self.law.pulse(state, wanted, most, self.now_s, draw)
                parts = [torch.where(way * wanted > 0, energy, 0.0) for way in (1, -1)]
                return changed, torch.stack(parts, dim=-1)

            return act

        if not self.sparse:
            most = limit if limit is not None else int(size.max())
            return self.act(purpose, event, size > 0, counts, give(most))
        energy = torch.zeros(self.instances, 2, dtype=torch.float64)
        largest, low = int(size.max()), 1
        while low <= largest:
            group = (size >= low) & (size < 2 * low)
            if group.any():
                energy += self.act(purpose, event, group, counts, give(min(2 * low - 1, largest)))
            low *= 2
        return energy

    def age(self, seconds: Tensor) -> Tensor:
        """Let the devices grow older by so many seconds, after the clock has moved; returns the seconds."""
        self._grid = None
        self.ages = self.ages + 1
        self.state = self.law.age(self.state, seconds, self._draws("age", self.ages))
        return seconds

    def _fit_scale(self, weights: Tensor, w_max: float | None) -> None:
        """Choose the weight of a full difference as `WritePath.scale` says; silent columns keep theirs."""
        write = self.write
        stated = w_max or write.w_max
        if w_max or write.scale == "fixed" or (stated and write.scale == "auto"):
            self.uS_per_weight[...] = self.span_uS / (stated or 1.0)
            return
        size = weights.abs() if write.scale_by == "column" else weights.abs().flatten(1).unsqueeze(2)
        ordered = size.sort(dim=1).values.double()
        share = write.scale_percentile if write.scale == "percentile" else 100.0
        place = (ordered.shape[1] - 1) * share / 100
        below, above = ordered[:, math.floor(place)], ordered[:, math.ceil(place)]
        largest = below + (above - below) * (place - math.floor(place))
        found = self.span_uS / torch.where(largest > 0, largest, torch.inf)
        self.uS_per_weight = torch.where(found > 0, found, self.uS_per_weight)

    def program(self, weights: Tensor, w_max: float | None) -> tuple[Tensor, Tensor, Tensor]:
        """Program pairs to signed weights (instances or 1, rows, cols).

        Returns target differences (uS), energy, and how many weights lay beyond the window.
        """
        device = self.device
        self._fit_scale(weights, w_max)
        used = weights.abs() * (self.uS_per_weight.unsqueeze(1) / self.span_uS)
        clipped = (used > 1 + ROUNDING).sum(dim=(1, 2))
        difference = weights * self.uS_per_weight.unsqueeze(1).to(self.dtype)
        if self.reference:
            targets = (self.middle_uS + difference).clamp(*self.window_uS)
            self.programs += 1
            return targets - self.middle_uS, self._write(targets.unsqueeze(-1), arm=0), clipped
        away, rest_uS = self.direction, self.start_uS if self.one_sided else device.cell_rest_uS
        if self.one_sided:
            plus, minus = (away * torch.clamp(way * difference, min=0) for way in (away, -away))
        else:
            plus, minus = difference / 2, -difference / 2
        targets = torch.stack([rest_uS + plus, rest_uS + minus], dim=-1)
        targets = targets.clamp(*self.window_uS)
        self.programs += 1
        return targets[..., 0] - targets[..., 1], self._write(targets, arm=0), clipped

    def program_references(self) -> Tensor:
        """Program the minus device of every pair to the middle of the window, once; returns the energy."""
        middle = torch.full((1, *self.shape, 1), self.middle_uS, dtype=self.dtype, device=self.on)
        return self._write(middle, arm=1)

    def _write(self, targets: Tensor, arm: int) -> Tensor:
        """Program targets (instances or 1, rows, cols, arms) on the devices from `arm` on; returns the energy."""
        single = targets.shape[-1] == 1
        places = torch.arange(2, device=self.on) == arm if single else torch.ones(2, device=self.on) > 0
        chosen = places.repeat(self.cells // 2).expand(self.instances, -1)
        wanted = targets.expand(*targets.shape[:-1], 2).reshape(-1, self.cells).expand(self.instances, -1)
        return self.act(
            "program", self.programs, chosen, wanted,
            lambda state, draw, target: self.law.program(state, target, self.now_s, draw),
        )  # fmt: skip

    def conductance_uS(self) -> Tensor:
        """Return the conductances (instances, cells) at their age, no younger than the reading delay."""
        if self.device.drifts:
            return self.law.drifted(self.state, self.now_s)
        return self.law.stored(self.state)

    @property
    def grid(self) -> Grid:
        """What a read needs, at the present time."""
        if self._grid is None:
            rows, cols = self.shape
            conductance = self.conductance_uS().reshape(self.instances, rows, cols, 2)
            variance = None
            if self.device.has_read_noise:
                variance = torch.square(self.law.read_sigma(conductance)).sum(dim=-1)
            row_sum = conductance.reshape(self.instances, rows, 2 * cols).sum(dim=2, dtype=torch.float64)
            self._grid = Grid(conductance[..., 0] - conductance[..., 1], variance, row_sum)
        return self._grid

    def snapshot(self, instance: int) -> protocols.State:
        """Return the state of one instance as `PairCells.snapshot` does."""
        saved = {
            f"state.{name}": values[instance].cpu().numpy().copy() for name, values in self.state.items()
        }
        for name, values in flat(self.device.allocate(1, self.precision)).items():
            saved.setdefault(f"state.{name}", values)
        saved["row_sum"] = self.grid.row_sum[instance].cpu().numpy().copy()
        saved["uS_per_weight"] = self.uS_per_weight[instance].cpu().numpy().copy()
        pairs = self.worn[instance].cpu().numpy().astype(np.uint32).reshape(*self.shape, 2)
        saved["worn"] = np.ascontiguousarray(pairs.transpose(2, 0, 1))
        saved["clock"] = np.array([self.now_s, self.programs, self.ages], np.float64)
        return saved

    def restore(self, instance: int, saved: protocols.State) -> None:
        """Take back a snapshot of one instance, of this class or of `PairCells`."""
        for name, values in self.state.items():
            found: Any = saved.get(f"state.{name}")
            if found is None or found.shape != (self.cells,):
                raise CheckpointError(f"checkpoint does not fit this array: state.{name}")
            if torch.from_numpy(np.empty(0, found.dtype)).dtype != values.dtype:
                raise CheckpointError(f"checkpoint has another precision: state.{name} is {found.dtype}")
            values[instance] = torch.from_numpy(np.ascontiguousarray(found)).to(self.on)
        worn = np.ascontiguousarray(saved["worn"].astype(np.int32).transpose(1, 2, 0)).reshape(-1)
        self.worn[instance] = torch.from_numpy(worn).to(self.on)
        self.uS_per_weight[instance] = torch.from_numpy(saved["uS_per_weight"].copy()).to(self.on)
        self.now_s, self.programs, self.ages = float(saved["clock"][0]), *map(int, saved["clock"][1:])
        self._grid = None
