"""Torch twin of `neurosim.devices.around` and `seen`: the same effects around the twin of any law."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurosim.core.protocols import Device, Precision
from neurosim.devices.around import AroundState
from neurosim.reference.twin import draws
from neurosim.reference.twin.law import Draw, State, TwinLaw, noted

SOUND, STUCK_LOW, STUCK_HIGH, WORN_OUT, STUCK_BETWEEN, STUCK_MEASURED = range(6)
_AROUND = 1 << 20
_BOLTZMANN_EV_PER_K = torch.tensor(8.617333e-05, dtype=torch.float32).item()
_OWN = {"conductance", "law"}
_INVERSIONS = 8
_FOLDS_PER_NODE = math.log(10.0) / 2
_PATHS, _PATH_KEY = 1 << 21, (0x666C6963, 0x6B65722F)


class AroundTwin(TwinLaw):
    """The twin of a law within the effects around it; state tensors of effects that are off are missing."""

    def __init__(self, law: TwinLaw, device: Device, precision: Precision, on: torch.device):
        given = device.params(precision)
        self._set(device, precision, {name: getattr(given, name) for name in given._fields[1:]}, on)
        self.law = law
        fields = device.allocate(2, precision)
        self.has = {
            name for name in AroundState._fields if name not in _OWN and getattr(fields, name).size > 0
        }
        self.fades = bool({"volatile_uS", "gating"} & self.has)
        self.gated = device.params("float64").optical_gate < 1
        self.heated = device.params("float64").temperature_K != device.params("float64").reference_K

    def _split(self, state: State) -> tuple[State, State]:
        """The law's own state, and that of the effects around it."""
        own = {name: values for name, values in state.items() if name not in self.has}
        return own, {name: values for name, values in state.items() if name in self.has}

    def construct(self, draw: Draw) -> State:
        """Draw the law's devices, then which of them are stuck, fluctuate, and how long they live."""
        p = self.params
        own = self.law.construct(draw)
        a, b, c, d = draw(_AROUND + 3)
        chance = self.uniform(a)
        low, high = p.p_stuck_gmin, p.p_stuck_gmin + p.p_stuck_gmax
        fault = torch.where(chance < high + p.p_stuck_between + p.p_stuck_measured, STUCK_MEASURED, SOUND)
        fault = torch.where(chance < high + p.p_stuck_between, STUCK_BETWEEN, fault)
        fault = torch.where(chance < high, STUCK_HIGH, fault)
        fault = torch.where(chance < low, STUCK_LOW, fault)
        g = own["conductance"]
        around = {"fault": fault.to(torch.uint8), **self._written(g, g, 0.0, draw)}
        if "lifetime" in self.has:
            spread = p.endurance_spread * self.normal(draw(_AROUND + 1)[0])
            around["lifetime"] = p.endurance_pulses * torch.exp(spread)
            around["pulses"] = torch.zeros_like(fault, dtype=torch.int32)
        if "gain" in self.has:
            around["gain"] = torch.exp(p.added_step_spread * self.normal(b))
        if "scale" in self.has:
            around["scale"] = torch.exp(p.added_conductance_spread * self.normal(c))
        for name in {"volatile_uS", "gating"} & self.has:
            around[name] = torch.zeros_like(own["conductance"])
        if "telegraph" in self.has:
            around |= self._telegraph(draw)
        place, measured = self.uniform(d), p.stuck_measured_uS
        between = p.g_min_uS + place * (p.g_max_uS - p.g_min_uS)
        held = torch.where(fault == STUCK_BETWEEN, between, own["conductance"])
        if measured.numel() > 0:
            which = torch.clamp((place * measured.numel()).long(), max=measured.numel() - 1)
            held = torch.where(fault == STUCK_MEASURED, measured[which], held)
        held = torch.where(fault == STUCK_LOW, p.g_min_uS, torch.where(fault == STUCK_HIGH, p.g_max_uS, held))
        return {**own, **around, "conductance": held.to(self.dtype)}

    def _telegraph(self, draw: Draw) -> State:
        p = self.params
        a, b, c, d = draw(_AROUND + 2)
        amplitude = p.telegraph_amplitude * torch.exp(p.telegraph_spread * self.normal(b))
        signed = torch.where(self.uniform(c) < 0.5, amplitude, -amplitude)
        affected = self.uniform(a) < p.telegraph_share
        slow = p.telegraph_fastest_s * (p.telegraph_slowest_s / p.telegraph_fastest_s) ** self.uniform(d)
        return {
            "telegraph": torch.where(affected, signed, 0.0).to(self.dtype),
            "switching_s": torch.where(affected, slow, 0.0).to(self.dtype),
        }

    def _written(self, reference: Tensor, conductance: Tensor, now_s: float, draw: Draw) -> State:
        """What a write draws: drift exponents by the target, or what open-loop pulses reached; 1/f noise by what was reached."""
        p = self.params
        fresh: State = {}
        a, b, c, d = draw(_AROUND)
        if "written_at_s" in self.has:
            fresh["written_at_s"] = noted(now_s, conductance)
        if "relaxing" in self.has:
            fresh["relaxing"] = self.normal(a)
        if "flicker_level" in self.has:
            fresh["flicker_level"] = self._level(conductance)
            fresh["flicker_path"] = (((a >> 1) << 32) | b).expand(conductance.shape)
        if "falling" in self.has:
            share = reference / p.g_max_uS
            exponent = _table(share, p.drift_table_share, p.drift_table_exponent)
            if p.drift_table_sigma.numel() > 0:
                spread = _table(share, p.drift_table_share, p.drift_table_sigma)
                exponent = exponent + spread * self.normal(c)
                exponent = torch.abs(exponent) if self.on["drift_one_way"] else exponent
            fresh["falling"] = exponent
        if "offset_uS" in self.has:
            fresh["offset_uS"] = p.added_write_noise * p.nominal_step_uS * self.normal(d)
        return fresh

    def _level(self, conductance: Tensor) -> Tensor:
        """Relative 1/f noise of conductances just written, at one e-fold of time."""
        p = self.params
        share = torch.clamp(conductance, min=0) / p.g_max_uS
        if p.flicker_table.numel() > 0:
            return _table(share, p.flicker_table_share, p.flicker_table)
        level = torch.minimum(p.flicker * share**-p.flicker_power, p.flicker_most)
        return torch.where(share > 0, level, p.flicker_most)

    def _to_be_written(self, target: Tensor) -> Tensor:
        """What to write so that a read after the delay finds the target, by mean drift and relaxation."""
        p, given = self.params, self.device.params("float64")
        wanted = target
        if "relaxing" in self.has and given.delay_s != given.relaxation_start_s:
            wanted = wanted - p.relaxation_mean_uS * torch.log(p.delay_s / p.relaxation_start_s)
        if "falling" in self.has and given.delay_s != given.drift_table_start_s:
            folds, aim = p.delay_s / p.drift_table_start_s, wanted
            for _ in range(_INVERSIONS):
                nu = _table(wanted / p.g_max_uS, p.drift_table_share, p.drift_table_exponent)
                wanted = aim * folds**nu
        return wanted

    def _kept(
        self,
        state: State,
        own: State,
        energy: Tensor,
        struck: Tensor | None,
        now_s: float,
        draw: Draw,
        reference: Tensor | None = None,
    ) -> tuple[State, Tensor]:
        """Leave faulty cells where they are; note the write on sound ones; count and wear by `struck`.

        One that wears out stays where a read finds it then.
        """
        sound = state["fault"] == SOUND
        around = self._split(state)[1]
        touched = sound if struck is None else sound & (struck > 0)
        g = own["conductance"]
        for name, values in self._written(g if reference is None else reference, g, now_s, draw).items():
            around[name] = torch.where(touched, values, around[name])
        worn: Tensor | None = None
        if "lifetime" in self.has and struck is not None:
            pulses = around["pulses"] + torch.where(sound, struck, 0)
            worn = sound & (struck > 0) & (pulses.double() > around["lifetime"].double())
            around["pulses"] = pulses
            around["fault"] = torch.where(worn, WORN_OUT, state["fault"]).to(torch.uint8)
        conductance = torch.where(sound, own["conductance"], state["conductance"])
        kept = {**own, **around, "conductance": conductance}
        if worn is not None:
            found = self.drifted({**kept, "fault": state["fault"]}, now_s)
            kept["conductance"] = torch.where(worn, found, conductance)
        return kept, energy

    def _forgotten(self, state: State) -> State:
        """Drop what fades, of sound cells."""
        sound = state["fault"] == SOUND
        dropped = {
            name: torch.where(sound, 0.0, state[name]) for name in {"volatile_uS", "gating"} & self.has
        }
        return {**state, **{name: values.to(self.dtype) for name, values in dropped.items()}}

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """As the law, unless the cell is faulty."""
        wanted = self._to_be_written(target_uS / state["scale"] if "scale" in self.has else target_uS)
        own, energy = self.law.program(self._split(state)[0], wanted, now_s, draw)
        return self._kept(self._forgotten(state), own, energy, None, now_s, draw, wanted)

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """As the law, unless the cell is faulty; its own gain and noise; what fades; pulses wear it out."""
        p = self.params
        if self.gated:
            counts = torch.where(self.uniform(draw(_AROUND + 4)[0]) < p.optical_gate, counts, 0)
        own, around = self._split(state)
        aim: Tensor | None = None
        if self.device.closed_loop:
            found = self._settled(self.law.drifted(own, now_s), state, now_s)
            start = self._to_be_written(found)
            aim = self._to_be_written(found + counts.float().to(self.dtype) * p.read_step_uS)
            own, energy = self.law.rewritten(own, aim, counts, now_s, draw)
        else:
            own = self._lost(own, state, counts, now_s)
            start = self.law.persistent(own)
            own, energy = self.law.pulse(own, counts, most, now_s, draw)
        moved = self.law.persistent(own) - start
        gradual = (counts != 0) if self.device.polarity == "bipolar" else (counts > 0)
        extra = torch.zeros_like(moved)
        if "gain" in self.has:
            extra = extra + torch.where(gradual, (state["gain"] - 1) * moved, 0.0)
        if self.on["added_cycle_to_cycle"]:
            noise = (
                p.added_cycle_to_cycle * p.nominal_step_uS * torch.sqrt(counts.abs().float().to(self.dtype))
            )
            extra = extra + torch.where(gradual, noise * self.normal(draw(_AROUND + 4)[2]), 0.0)
        struck = (counts != 0) & (state["fault"] == SOUND)
        left = self._left(state, now_s) if self.fades else None
        if left is not None and "volatile_uS" in self.has:
            fading = p.volatile_share * (moved + extra)
            around["volatile_uS"] = torch.where(
                struck, state["volatile_uS"] * left + fading, state["volatile_uS"]
            )
            extra = extra - fading
        if left is not None and "gating" in self.has:
            step = p.gate_step * counts.float().to(self.dtype)
            if self.on["gate_noise"]:
                step = step * (1 + p.gate_noise * self.normal(draw(_AROUND + 4)[1]))
            bound = p.gate_most
            m = torch.minimum(torch.maximum(state["gating"] * left + step, -bound), bound)
            around["gating"] = torch.where(struck, m, state["gating"])
        own = self.law.shift(own, torch.where(struck, extra, 0.0).to(self.dtype))
        return self._kept({**state, **around}, own, energy, counts.abs(), now_s, draw, aim)

    def _lost(self, own: State, state: State, counts: Tensor, now_s: float) -> State:
        """Take from the persistent conductance of sound cells that have a count what retention has lost."""
        if not self.on["retention_s"]:
            return own
        held = self.law.persistent(own)
        lost = self._retained(held, state, now_s) - held
        return self.law.shift(
            own, torch.where((state["fault"] == SOUND) & (counts != 0), lost, 0.0).to(self.dtype)
        )

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """As the law, unless the cell is faulty; one pulse of wear."""
        own, energy = self.law.reset(self._split(state)[0], now_s, draw)
        one = torch.ones_like(state["fault"], dtype=torch.int32)
        return self._kept(self._forgotten(state), own, energy, one, now_s, draw)

    def drifted(self, state: State, now_s: float) -> Tensor:
        """What time has done, then what a read sees of it."""
        g = self.law.drifted(self._split(state)[0], now_s)
        left = self._left(state, now_s) if self.fades else torch.ones_like(g)
        return self._steady(self._settled(g, state, now_s), state, left)

    def stored(self, state: State) -> Tensor:
        """What a read sees of the state's own conductance."""
        return self._steady(state["conductance"], state, torch.ones_like(state["conductance"]))

    def _since(self, state: State, now_s: float) -> Tensor:
        return torch.clamp(now_s - state["written_at_s"], min=0.0).float().to(self.dtype)

    def _age(self, state: State, now_s: float) -> Tensor:
        """Age at which drift, relaxation and 1/f noise see a cell."""
        return torch.maximum(self._since(state, now_s), self.params.delay_s)

    def _left(self, state: State, now_s: float) -> Tensor:
        """Share that is left of what fades."""
        return torch.exp(-self._since(state, now_s) / self.params.fading_s)

    def _retained(self, g: Tensor, state: State, now_s: float) -> Tensor:
        p = self.params
        inverse = 1 / p.temperature_K - 1 / p.reference_K
        lasts = p.retention_s * torch.exp(p.retention_activation_eV / _BOLTZMANN_EV_PER_K * inverse)
        kept: Tensor = p.g_rest_uS + (g - p.g_rest_uS) * torch.exp(-self._since(state, now_s) / lasts)
        return kept

    def _settled(self, g: Tensor, state: State, now_s: float) -> Tensor:
        p = self.params
        if "falling" in self.has:
            g = g * (self._age(state, now_s) / p.drift_table_start_s) ** -state["falling"]
        if self.on["retention_s"]:
            g = self._retained(g, state, now_s)
        if "relaxing" in self.has:
            folds = torch.log(self._age(state, now_s) / p.relaxation_start_s)
            sigma = torch.clamp(p.relaxation_sigma_uS + p.relaxation_sigma_slope_uS * folds, min=0.0)
            g = torch.clamp(g + p.relaxation_mean_uS * folds + sigma * state["relaxing"], min=0.0)
        if "flicker_level" in self.has:
            read_s = p.flicker_read_s.double()
            grown = torch.log((self._age(state, now_s).double() + read_s) / (2.0 * read_s))
            noise = torch.sqrt(torch.clamp(grown, min=0.0)) * self._path(state["flicker_path"], grown)
            seen = torch.clamp(g * (1 + state["flicker_level"] * noise.float().to(self.dtype)), min=0.0)
            g = torch.where(grown > 0, seen, g)
        return g

    def _path(self, word: Tensor, folds: Tensor) -> Tensor:
        """Normals on the paths of 1/f noise, so many e-folds of time from their start."""
        place = torch.clamp(folds, min=0.0) / _FOLDS_PER_NODE
        node = torch.floor(place)
        angle = math.pi / 4 * (place - node)
        c, s = torch.cos(angle), torch.sin(angle)
        weights = ((c - s) / math.sqrt(2), c, (c + s) / math.sqrt(2), s)
        cell, first = torch.zeros_like(word), node.long()
        block = [
            torch.stack(draws.words(cell, word, _PATHS + first // 4 + k, _PATH_KEY), dim=-1) for k in (0, 1)
        ]
        drawn = torch.cat(block, dim=-1)
        mixed = torch.zeros_like(folds)
        for k, weight in enumerate(weights):
            chosen = drawn.gather(-1, (first % 4 + k).unsqueeze(-1)).squeeze(-1)
            mixed = mixed + weight * draws.normal(chosen).double()
        return mixed / math.sqrt(2)

    def _steady(self, g: Tensor, state: State, left: Tensor) -> Tensor:
        p = self.params
        if "offset_uS" in self.has:
            g = torch.clamp(g + state["offset_uS"], min=0.0)
        if "scale" in self.has:
            g = g * state["scale"]
        if "volatile_uS" in self.has:
            g = torch.clamp(g + left * state["volatile_uS"], min=0.0)
        if "gating" in self.has:
            g = g * (1 + left * state["gating"])
        if self.heated:
            share = torch.clamp(g / p.g_max_uS, 0.0, 1.0)
            barrier = p.activation_low_eV * (1 - share) + p.activation_high_eV * share
            inverse = 1 / p.temperature_K - 1 / p.reference_K
            g = g * torch.exp(-barrier / _BOLTZMANN_EV_PER_K * inverse)
        if "telegraph" in self.has:
            g = g * torch.clamp(1 + 0.5 * state["telegraph"], min=0.0)
        return torch.where(state["fault"] == SOUND, g, state["conductance"])

    def read_sigma(self, conductance_uS: Tensor) -> Tensor:
        """Return the standard deviation of read noise, uS, which is that of the law."""
        return self.law.read_sigma(conductance_uS)

    def age(self, state: State, seconds: Tensor, draw: Draw) -> State:
        """Let telegraph noise switch: an odd number of switches has probability (1 - exp(-2 t/tau)) / 2."""
        if "telegraph" not in self.has:
            return state
        past = (-2.0 * seconds).float().to(self.dtype)
        odd = 0.5 * (1 - torch.exp(past / state["switching_s"]))
        flips = (state["telegraph"] != 0) & (self.uniform(draw(0)[0]) < odd)
        return {**state, "telegraph": torch.where(flips, -state["telegraph"], state["telegraph"])}


def _table(share: Tensor, at: Tensor, values: Tensor) -> Tensor:
    """Interpolate linearly between the nodes of a table, constant beyond its ends."""
    clipped = torch.minimum(torch.maximum(share, at[0]), at[-1]).contiguous()
    k = torch.clamp(torch.searchsorted(at, clipped), 1, at.numel() - 1)
    low, high = at[k - 1], at[k]
    inner = values[k - 1] + (values[k] - values[k - 1]) * ((clipped - low) / (high - low))
    return torch.where(share <= at[0], values[0], torch.where(share >= at[-1], values[-1], inner))
