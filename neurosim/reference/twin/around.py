"""Torch twin of `neurosim.devices.around`: the same effects around the twin of any law."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosim.core.protocols import Device, Precision
from neurosim.reference.twin.law import Draw, State, TwinLaw

SOUND, STUCK_LOW, STUCK_HIGH, WORN_OUT = range(4)
_AROUND = 1 << 20
_BOLTZMANN_EV_PER_K = torch.tensor(8.617333e-05, dtype=torch.float32).item()


class AroundTwin(TwinLaw):
    """The twin of a law within the effects around it; state tensors of effects that are off are missing."""

    def __init__(self, law: TwinLaw, device: Device, precision: Precision, on: torch.device):
        given = device.params(precision)
        self._set(device, precision, {name: getattr(given, name) for name in given._fields[1:]}, on)
        self.law = law
        fields = device.allocate(2, precision)
        self.ages = fields.telegraph.size > 1
        self.wears = fields.lifetime.size > 1
        self.settles = fields.relaxing.size > 1

    def _split(self, state: State) -> tuple[State, State]:
        """The law's own state, and that of the effects around it."""
        around = {
            "fault",
            "pulses",
            "lifetime",
            "written_at_s",
            "relaxing",
            "flickering",
            "telegraph",
            "switching_s",
        }
        own = {name: values for name, values in state.items() if name not in around}
        return own, {name: values for name, values in state.items() if name in around}

    def construct(self, draw: Draw) -> State:
        """Draw the law's devices, then which of them are stuck, fluctuate, and how long they live."""
        p = self.params
        own = self.law.construct(draw)
        chance = self.uniform(draw(_AROUND + 3)[0])
        low, high = chance < p.p_stuck_gmin, chance < p.p_stuck_gmin + p.p_stuck_gmax
        fault = torch.where(low, STUCK_LOW, torch.where(high, STUCK_HIGH, SOUND)).to(torch.uint8)
        around = {"fault": fault, **self._written(own["conductance"], 0.0, draw)}
        if self.wears:
            spread = p.endurance_spread * self.normal(draw(_AROUND + 1)[0])
            around["lifetime"] = p.endurance_pulses * torch.exp(spread)
            around["pulses"] = torch.zeros_like(fault, dtype=torch.int32)
        if self.ages:
            a, b, c, d = draw(_AROUND + 2)
            amplitude = p.telegraph_amplitude * torch.exp(p.telegraph_spread * self.normal(b))
            signed = torch.where(self.uniform(c) < 0.5, amplitude, -amplitude)
            affected = self.uniform(a) < p.telegraph_share
            ratio = p.telegraph_slowest_s / p.telegraph_fastest_s
            around["telegraph"] = torch.where(affected, signed, 0.0).to(self.dtype)
            slow = p.telegraph_fastest_s * ratio ** self.uniform(d)
            around["switching_s"] = torch.where(affected, slow, 0.0).to(self.dtype)
        held = torch.where(low, p.g_min_uS, torch.where(high, p.g_max_uS, own["conductance"]))
        return {**own, **around, "conductance": held.to(self.dtype)}

    def _written(self, like: Tensor, now_s: float, draw: Draw) -> State:
        if not self.settles:
            return {}
        a, b, _, _ = draw(_AROUND)
        return {
            "relaxing": self.normal(a),
            "flickering": self.normal(b),
            "written_at_s": torch.full_like(like, now_s, dtype=torch.float64),
        }

    def _kept(
        self, state: State, own: State, energy: Tensor, struck: Tensor | None, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """Leave faulty cells where they are; note the write on sound ones; count and wear by `struck`."""
        sound = state["fault"] == SOUND
        around = self._split(state)[1]
        touched = sound if struck is None else sound & (struck > 0)
        for name, values in self._written(own["conductance"], now_s, draw).items():
            around[name] = torch.where(touched, values, around[name])
        if self.wears and struck is not None:
            pulses = around["pulses"] + torch.where(sound, struck, 0)
            worn = sound & (struck > 0) & (pulses.double() > around["lifetime"].double())
            around["pulses"] = pulses
            around["fault"] = torch.where(worn, WORN_OUT, state["fault"]).to(torch.uint8)
        conductance = torch.where(sound, own["conductance"], state["conductance"])
        return {**own, **around, "conductance": conductance}, energy

    def program(self, state: State, target_uS: Tensor, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """As the law, unless the cell is faulty."""
        own, energy = self.law.program(self._split(state)[0], target_uS, now_s, draw)
        return self._kept(state, own, energy, None, now_s, draw)

    def pulse(
        self, state: State, counts: Tensor, most: int, now_s: float, draw: Draw
    ) -> tuple[State, Tensor]:
        """As the law, unless the cell is faulty; pulses wear it out."""
        own, energy = self.law.pulse(self._split(state)[0], counts, most, now_s, draw)
        return self._kept(state, own, energy, counts.abs(), now_s, draw)

    def reset(self, state: State, now_s: float, draw: Draw) -> tuple[State, Tensor]:
        """As the law, unless the cell is faulty; one pulse of wear."""
        own, energy = self.law.reset(self._split(state)[0], now_s, draw)
        one = torch.ones_like(state["fault"], dtype=torch.int32)
        return self._kept(state, own, energy, one, now_s, draw)

    def drifted(self, state: State, now_s: float) -> Tensor:
        """Drift, relaxation, 1/f noise, temperature, telegraph noise, faults."""
        g = self.law.drifted(self._split(state)[0], now_s)
        return self._steady(self._settled(g, state, now_s), state)

    def stored(self, state: State) -> Tensor:
        """Temperature, telegraph noise and faults on the conductance as stored."""
        return self._steady(state["conductance"], state)

    def _settled(self, g: Tensor, state: State, now_s: float) -> Tensor:
        if not self.settles:
            return g
        p = self.params
        since = torch.clamp(now_s - state["written_at_s"], min=0.0).float().to(self.dtype)
        folds = torch.log(since / p.relaxation_start_s)
        start = p.relaxation_sigma_uS
        now = start + p.relaxation_sigma_slope_uS * folds
        spread = torch.sqrt(now * now - start * start) * state["relaxing"]
        relaxed = torch.clamp(g + p.relaxation_mean_uS * folds + spread, min=0.0)
        g = torch.where(since > p.relaxation_start_s, relaxed, g)
        if self.on["flicker"]:
            level = torch.minimum(p.flicker * (g / p.g_max_uS) ** -p.flicker_power, p.flicker_most)
            grown = torch.log((since + p.flicker_read_s) / (2.0 * p.flicker_read_s))
            noise = level * torch.sqrt(torch.clamp(grown, min=0.0)) * state["flickering"]
            g = torch.where(g > 0, torch.clamp(g * (1 + noise), min=0.0), g)
        return g

    def _steady(self, g: Tensor, state: State) -> Tensor:
        p = self.params
        if self.device.is_heated:  # type: ignore[attr-defined]
            share = torch.clamp(g / p.g_max_uS, 0.0, 1.0)
            barrier = p.activation_low_eV * (1 - share) + p.activation_high_eV * share
            inverse = 1 / p.temperature_K - 1 / p.reference_K
            g = g * torch.exp(-barrier / _BOLTZMANN_EV_PER_K * inverse)
        if self.ages:
            g = g * (1 + 0.5 * state["telegraph"])
        stuck = (state["fault"] == STUCK_LOW) | (state["fault"] == STUCK_HIGH)
        return torch.where(stuck, state["conductance"], g)

    def age(self, state: State, seconds: float, draw: Draw) -> State:
        """Let telegraph noise switch: an odd number of switches has probability (1 - exp(-2 t/tau)) / 2."""
        if not self.ages:
            return state
        past = torch.tensor(-2.0 * seconds, dtype=torch.float32).to(self.dtype)
        odd = 0.5 * (1 - torch.exp(past.to(state["fault"].device) / state["switching_s"]))
        flips = (state["telegraph"] != 0) & (self.uniform(draw(0)[0]) < odd)
        return {**state, "telegraph": torch.where(flips, -state["telegraph"], state["telegraph"])}
