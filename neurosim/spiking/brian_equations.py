"""A spiking layer in the words of brian2: equations, thresholds, resets and synapses as text, and the numbers in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from neurosim.core.errors import CapabilityError
from neurosim.kernels.spikes import AT_ONCE, CIRCUIT, CONDUCTANCE, CURRENT, FREE, HARD, IZHIKEVICH, SOFT
from neurosim.rules.spikes import PairStdp, WindowStdp
from neurosim.spiking.neurons import Circuit, Hard, Izhikevich

if TYPE_CHECKING:
    from neurosim.spiking.layer import SpikingLayer

Numbers = dict[str, tuple[float, str]]
"""Value and unit ("second", "Hz", "mV", or "1") of each name in a text."""

HALF = "v += 0.5 * dt_ms * (0.04 * v * v + 5 * v + 140 - u + drive + bias){moves}"


class Group(NamedTuple):
    """A group of neurons, as `brian2.NeuronGroup` takes it."""

    model: str
    threshold: str
    reset: str
    refractory: str = ""
    """Empty: there is none."""
    method: str = "exact"
    at_start: str = ""
    """Code that runs at the start of each time step."""


class Synapses(NamedTuple):
    """What spikes do, as `brian2.Synapses` takes it."""

    on_pre: str
    model: str = ""
    on_post: str = ""
    condition: str = ""
    """Which pairs are connected; empty: all."""


class Equations(NamedTuple):
    """A layer as text."""

    neurons: Group
    synapses: Synapses
    """From the inputs; `arriving` is what a spike through one of them gives, in weights."""
    numbers: Numbers
    others: Group | None = None
    """Inhibitory neurons of a circuit."""
    excite: Synapses | None = None
    """From neurons to them,"""
    inhibit: Synapses | None = None
    """and from them, or from those who win, to neurons."""


def equations_of(layer: SpikingLayer, adapts: bool = True, plastic: bool = False) -> Equations:
    """Return a layer as text; raises `CapabilityError` where brian2's equations cannot say it.

    Parameters
    ----------
    layer : SpikingLayer
    adapts : bool
        Whether thresholds move.
    plastic : bool
        Whether the rule is part of the equations; False: weights stay, or somebody else moves them.
    """
    c, dt = layer.constants, layer.dt_s
    izhikevich = c.form == IZHIKEVICH
    unit = "1" if izhikevich else "volt"
    milli = "1" if izhikevich else "mV"
    numbers: Numbers = {
        "reset_to": (c.reset, milli),
        "gain": (c.gain, "1" if c.form == CONDUCTANCE else milli),
    }
    model, method, at_start, refractory = _potential(layer, numbers)
    reset = [] if c.inhibition == SOFT else ["v = reset_to"]
    if izhikevich:
        numbers["d"] = c.d, "1"
        reset.append("u += d")
    if adapts and layer.neuron.adaptation_s:
        numbers["adaptation"] = layer.neuron.adaptation_s, "second"
        model.append(f"draised/dt = -raised / adaptation : {unit}")
    else:
        model.append(f"raised : {unit}")
    if adapts and layer.neuron.target_Hz:
        numbers["target"] = layer.neuron.target_Hz, "Hz"
        fall = "raise_by * target * dt"
        at_start.append(f"raised = (raised - {fall}) * int(raised > {fall})")
    if adapts:
        numbers["raise_by"] = c.raise_by, milli
        reset.append("raised += raise_by")
    others, excite, inhibit = None, None, None
    if c.inhibition != SOFT:
        numbers["threshold_at"] = c.threshold, milli
    if c.inhibition in (FREE, CIRCUIT):
        threshold = "v > threshold_at + raised"
    else:
        threshold = "wins"
        model.append("wins : boolean")
    if isinstance(layer.inhibition, Hard):
        model += ["free : integer", "silenced : integer"]
        own = 0.0 if isinstance(layer.neuron, Izhikevich) else layer.neuron.refractory_s
        numbers |= {
            "refractory_steps": (_steps(own, dt), "1"),
            "silence_steps": (_steps(layer.inhibition.silence_s, dt), "1"),
        }
        reset.append("free = t_in_timesteps + refractory_steps")
        refractory = "t_in_timesteps < free or t_in_timesteps < silenced"
        inhibit = Synapses(
            "v_post = reset_to\nsilenced_post = t_in_timesteps + silence_steps\nnot_refractory_post = False",
            condition="i != j",
        )
    if isinstance(layer.inhibition, Circuit):
        numbers |= {"excite_by": (c.excite, "mV"), "inhibit_by": (c.inhibit, milli)}
        others = _other_neurons(layer, layer.inhibition, numbers)
        excite = Synapses("v_post += excite_by", condition="i == j")
        inhibit = Synapses("v_post -= inhibit_by", condition="i != j")
    neurons = Group("\n".join(model), threshold, "\n".join(reset), refractory, method, "\n".join(at_start))
    into = "v_post" if c.form == AT_ONCE else "drive_post"
    synapses = _learning(layer, numbers) if plastic else Synapses("", "w : 1")
    on_pre = "\n".join(filter(None, ["arriving = w", f"{into} += gain * arriving", synapses.on_pre]))
    return Equations(neurons, synapses._replace(on_pre=on_pre), numbers, others, excite, inhibit)


def noisy(synapses: Synapses) -> Synapses:
    """Return synapses whose `arriving` has read noise: `noise` is its standard deviation, in weights."""
    return synapses._replace(
        model=synapses.model + "\nnoise : 1",
        on_pre=synapses.on_pre.replace("arriving = w", "arriving = w + noise * randn()", 1),
    )


def _steps(seconds: float, dt_s: float) -> int:
    """Time steps until so many seconds have passed; brian2 itself would take the last one that has begun."""
    return math.ceil(seconds / dt_s - 1e-9)


def _potential(layer: SpikingLayer, numbers: Numbers) -> tuple[list[str], str, list[str], str]:
    """Return model, method of integration, code at the start of a step, and refractory time."""
    c, neuron, dt = layer.constants, layer.neuron, layer.dt_s
    if isinstance(neuron, Izhikevich):
        numbers |= {
            "dt_ms": (1e3 * dt, "1"),
            "a": (c.a, "1"),
            "b": (c.b, "1"),
            "synapse": (neuron.synapse_s, "second"),
        }
        half = HALF.format(
            moves=" * int(t_in_timesteps >= free and t_in_timesteps >= silenced)"
            if c.inhibition == HARD
            else ""
        )
        steps = [half, half, "u += dt_ms * a * (b * v - u)"]
        model = ["v : 1", "u : 1", "bias : 1", "ddrive/dt = -drive / synapse : 1"]
        return model, "exact", steps, ""
    numbers |= {"rest": (c.rest, "mV"), "membrane": (neuron.membrane_s, "second")}
    refractory = "refractory" if c.inhibition in (FREE, CIRCUIT) else ""
    if refractory:
        numbers["refractory"] = _steps(neuron.refractory_s, dt) * dt, "second"
    stays = "" if c.inhibition == SOFT else " (unless refractory)"
    if c.form == AT_ONCE:
        model = [f"dv/dt = (rest + bias - v) / membrane : volt{stays}", "bias : volt"]
        return model, "exact", [], refractory
    numbers["synapse"] = neuron.synapse_s or 0.0, "second"
    if c.form == CURRENT:
        if abs(numbers["synapse"][0] / neuron.membrane_s - 1) < 1e-6:
            raise CapabilityError(
                "membrane_s and synapse_s are the same: brian2's exact integration divides by their difference; make "
                "one a thousandth longer"
            )
        model = [f"dv/dt = (rest + bias - v + drive) / membrane : volt{stays}", "bias : volt"]
        return [*model, "ddrive/dt = -drive / synapse : volt"], "exact", [], refractory
    numbers |= {"reversal": (c.reversal, "mV"), "low_reversal": (c.low_reversal, "mV")}
    model = [
        f"dv/dt = (rest + bias - v + abs(drive) * (pull - v)) / membrane : volt{stays}",
        "pull = int(drive > 0) * reversal + int(drive <= 0) * low_reversal : volt",
        "ddrive/dt = -drive / synapse : 1",
        "bias : volt",
    ]
    return model, "exponential_euler", [], refractory


def _other_neurons(layer: SpikingLayer, inhibition: Circuit, numbers: Numbers) -> Group:
    """Return the inhibitory neurons of a circuit."""
    c = layer.constants
    numbers |= {
        "other_rest": (c.other_rest, "mV"),
        "other_membrane": (inhibition.membrane_s, "second"),
        "other_threshold": (c.other_threshold, "mV"),
        "other_reset": (c.other_reset, "mV"),
        "other_refractory": (_steps(inhibition.refractory_s, layer.dt_s) * layer.dt_s, "second"),
    }
    return Group(
        "dv/dt = (other_rest - v) / other_membrane : volt (unless refractory)",
        "v > other_threshold",
        "v = other_reset",
        "other_refractory",
    )


def _learning(layer: SpikingLayer, numbers: Numbers) -> Synapses:
    """Return what a rule does to weights in ideal arithmetic, as equations of each synapse alone."""
    rule, array = layer.rule, layer.array
    if not isinstance(rule, WindowStdp | PairStdp) or type(rule) not in (WindowStdp, PairStdp):
        raise _no(f"rule '{rule.name}' is not written as equations of one synapse")
    if not array.ideal or array.momentum:
        raise _no("an array of devices, or one that filters changes, is no equation")
    if rule.rate_updates is not None or layer.update_every is not None:
        raise _no(
            "rates that fall with the number of updates, and changes that are gathered, are no equations"
        )
    numbers |= {"row_trace": (rule.row_trace_s, "second"), "rate": (rule.learning_rate, "1")}
    model = "w : 1\ndpre_trace/dt = -pre_trace / row_trace : 1 (event-driven)"
    if isinstance(rule, WindowStdp):
        numbers |= {"lately": (rule.threshold, "1"), "down": (rule.down, "1")}
        by = "rate * (goal - w)" if rule.forgets else "rate * goal"
        return Synapses(
            "pre_trace += 1", model, f"goal = int(pre_trace > lately) * (1 + down) - down\nw += {by}"
        )
    numbers |= {"col_trace": (rule.col_trace_s, "second"), "depression": (rule.depression, "1")}
    return Synapses(
        "w -= depression * rate * post_trace\npre_trace += 1",
        model + "\ndpost_trace/dt = -post_trace / col_trace : 1 (event-driven)",
        "w += rate * pre_trace\npost_trace += 1",
    )


def _no(why: str) -> CapabilityError:
    return CapabilityError(f"{why}: the rule can be asked from a network operation of `brian_network` alone")
