"""Spiking neurons and what they do to each other: settings in mV and seconds, and their numbers for one time step."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from neurosim.core.errors import CapabilityError
from neurosim.core.frozen import Frozen
from neurosim.kernels import spikes
from neurosim.kernels.spikes import Constants


class LIF(Frozen):
    """Leaky integrate-and-fire, ``membrane dv/dt = rest - v + input``, stepped exactly, with a threshold that adapts.

    A spike through a weight of one adds `gain_mV` to the potential at once; with `synapse_s` to a drive that decays
    exponentially, a current in mV, or in `conductance` form a conductance in multiples of the leak, which pulls towards
    `reversal_mV` (a negative sum towards `low_reversal_mV`). At `threshold_mV` plus what it has adapted by, the neuron spikes,
    goes to `reset_mV` and stays there for `refractory_s`.

    With `adaptation_s` what a threshold has adapted by decays; with `target_Hz` it falls steadily, by `adaptation_mV`
    that often: then a neuron comes to spike so often on average, whatever drives it.
    """

    kind: Literal["lif"] = "lif"
    membrane_s: float = Field(20e-3, gt=0)
    rest_mV: float = -65.0
    reset_mV: float = -65.0
    threshold_mV: float = -52.0
    refractory_s: float = Field(5e-3, ge=0)
    gain_mV: float = Field(1.0, gt=0)
    synapse_s: float | None = Field(None, gt=0)
    conductance: bool = False
    reversal_mV: float = 0.0
    low_reversal_mV: float = -100.0
    adaptation_mV: float = Field(0.05, ge=0)
    adaptation_s: float | None = Field(None, gt=0)
    target_Hz: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.conductance and self.synapse_s is None:
            raise ValueError("conductance = true: a conductance stays open for a while; give synapse_s")
        if self.reset_mV >= self.threshold_mV:
            raise ValueError(
                f"reset_mV = {self.reset_mV:g}: must lie below threshold_mV = {self.threshold_mV:g}"
            )
        if self.adaptation_s is not None and self.target_Hz is not None:
            raise ValueError(
                "adaptation_s and target_Hz both lower the threshold again; leave one of the two out"
            )
        return self

    def constants(self, dt_s: float) -> Constants:
        """Return the numbers of a time step of `dt_s`, with nothing that the neurons do to each other."""
        form = spikes.AT_ONCE
        leak, fade, arrive = math.exp(-dt_s / self.membrane_s), 0.0, 0.0
        if self.synapse_s is not None:
            form = spikes.CONDUCTANCE if self.conductance else spikes.CURRENT
            fade = math.exp(-dt_s / self.synapse_s)
            apart = self.synapse_s - self.membrane_s
            near = abs(apart) < 1e-9 * self.membrane_s
            arrive = dt_s / self.membrane_s * leak if near else self.synapse_s / apart * (fade - leak)
        return _numbers(
            form=form, leak=leak, fade=fade, arrive=arrive, dt_ms=1e3 * dt_s, leak_rate=dt_s / self.membrane_s,
            rest=self.rest_mV, reset=self.reset_mV, threshold=self.threshold_mV, reversal=self.reversal_mV,
            low_reversal=self.low_reversal_mV, gain=self.gain_mV, refractory=held_for(self.refractory_s, dt_s),
            raise_by=self.adaptation_mV, keep=math.exp(-dt_s / self.adaptation_s) if self.adaptation_s else 1.0,
            lower_by=self.adaptation_mV * self.target_Hz * dt_s if self.target_Hz else 0.0,
        )  # fmt: skip


class Izhikevich(Frozen):
    """Izhikevich (2003): ``dv/dt = 0.04 v^2 + 5 v + 140 - u + I``, ``du/dt = a (b v - u)`` in mV and ms; at 30 mV v = c, u += d.

    Stepped as published, v in two halves of a time step: take steps of at most 1 ms. Input adds `gain` to I, which
    decays with `synapse_s`. The defaults are regular spiking.
    """

    kind: Literal["izhikevich"] = "izhikevich"
    a: float = Field(0.02, gt=0)
    b: float = 0.2
    c_mV: float = -65.0
    d: float = 8.0
    gain: float = Field(1.0, gt=0)
    synapse_s: float = Field(5e-3, gt=0)
    adaptation_mV: float = Field(0.0, ge=0)
    adaptation_s: float | None = Field(None, gt=0)
    target_Hz: float | None = Field(None, gt=0)

    @property
    def rest_mV(self) -> float:
        """Potential at which it stays without input, the lower zero of both derivatives."""
        p = 5.0 - self.b
        return (-p - math.sqrt(max(p * p - 4 * 0.04 * 140.0, 0.0))) / 0.08

    def constants(self, dt_s: float) -> Constants:
        """Return the numbers of a time step of `dt_s`, with nothing that the neurons do to each other."""
        return _numbers(
            form=spikes.IZHIKEVICH, fade=math.exp(-dt_s / self.synapse_s), dt_ms=1e3 * dt_s, rest=self.rest_mV,
            reset=self.c_mV, threshold=30.0, gain=self.gain, a=self.a, b=self.b, d=self.d,
            raise_by=self.adaptation_mV, keep=math.exp(-dt_s / self.adaptation_s) if self.adaptation_s else 1.0,
            lower_by=self.adaptation_mV * self.target_Hz * dt_s if self.target_Hz else 0.0,
        )  # fmt: skip


class Hard(Frozen):
    """Winner take all: of those who reach their thresholds in a step the farthest above spikes, all others are reset and held."""

    kind: Literal["hard"] = "hard"
    silence_s: float = Field(10e-3, ge=0)


class Soft(Frozen):
    """A winner is drawn by the softmax of the potentials, at a fixed rate; thresholds and refractory times play no part.

    Nessler et al. (2013). Nobody is reset: potentials are filtered input. What thresholds adapt by is taken from them.
    """

    kind: Literal["soft"] = "soft"
    rate_Hz: float = Field(100.0, gt=0)
    """Of all neurons together."""
    temperature_mV: float = Field(1.0, gt=0)


class Circuit(Frozen):
    """An inhibitory neuron for each: its neuron's spikes bring it to spike, its spikes take `inhibit_mV` from all others."""

    kind: Literal["circuit"] = "circuit"
    excite_mV: float = Field(30.0, gt=0)
    inhibit_mV: float = Field(15.0, gt=0)
    membrane_s: float = Field(10e-3, gt=0)
    rest_mV: float = -60.0
    reset_mV: float = -45.0
    threshold_mV: float = -40.0
    refractory_s: float = Field(2e-3, ge=0)


Neuron = LIF | Izhikevich
Inhibition = Hard | Soft | Circuit


def held_for(seconds: float, dt_s: float) -> int:
    """Steps after that of a spike in which a neuron is held: it moves again once `seconds` have passed."""
    return max(0, math.ceil(seconds / dt_s - 1e-9) - 1)


def constants(neuron: Neuron, inhibition: Inhibition | None, dt_s: float) -> Constants:
    """Return the numbers of neurons and what they do to each other, for a time step of `dt_s`."""
    found = neuron.constants(dt_s)
    if isinstance(inhibition, Hard):
        return found._replace(inhibition=spikes.HARD, silence=held_for(inhibition.silence_s, dt_s))
    if isinstance(inhibition, Soft):
        if isinstance(neuron, Izhikevich):
            raise CapabilityError(
                "soft inhibition resets nobody, and without its reset an Izhikevich neuron's potential has no bound: "
                "give neuron 'lif'"
            )
        return found._replace(
            inhibition=spikes.SOFT, chance=inhibition.rate_Hz * dt_s, sharpness=1 / inhibition.temperature_mV
        )
    if isinstance(inhibition, Circuit):
        return found._replace(
            inhibition=spikes.CIRCUIT, excite=inhibition.excite_mV, inhibit=inhibition.inhibit_mV,
            other_leak=math.exp(-dt_s / inhibition.membrane_s), other_rest=inhibition.rest_mV,
            other_reset=inhibition.reset_mV, other_threshold=inhibition.threshold_mV,
            other_refractory=held_for(inhibition.refractory_s, dt_s),
        )  # fmt: skip
    return found


_WHOLE = ("form", "refractory", "inhibition", "silence", "other_refractory")


def _numbers(**given: float) -> Constants:
    """The numbers given, and nothing of all others."""
    found: Any = {name: given.get(name, 0 if name in _WHOLE else 0.0) for name in Constants._fields}
    return Constants(**found)
