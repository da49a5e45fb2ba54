"""A spiking layer as a script of brian2 alone: what `brian_network` builds, written out for who has no neurosim."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np

from neurosim.core.errors import CapabilityError
from neurosim.kernels.spikes import CIRCUIT, HARD, IZHIKEVICH, SOFT, Trains
from neurosim.spiking.brian_equations import Group, Synapses, equations_of, noisy
from neurosim.spiking.brian_network import farthest, steps_of
from neurosim.spiking.layer import SpikingLayer

BEGINNING = '''"""A layer of spiking neurons in brian2; weights and spikes of its inputs are in the .npz file of the same name.

Needs brian2 and numpy. Writes step and number of each neuron's spike, and the weights at the end, into OUT beside it.
"""

from __future__ import annotations

from pathlib import Path

import brian2 as b2
import numpy as np

b2.prefs.codegen.target = "numpy"  # "cython" is faster in long runs, and needs a C++ compiler
given = np.load(Path(__file__).with_suffix(".npz"))
b2.defaultclock.dt = {dt_s!r} * b2.second
numbers = {{
{numbers}
}}

inputs = b2.SpikeGeneratorGroup({rows}, given["line"], given["step"] * b2.defaultclock.dt)
'''
HARDEST = """
{farthest}

@b2.network_operation(when="before_thresholds")
def decide() -> None:
    over = np.asarray(neurons.v - neurons.raised - numbers["threshold_at"])
    neurons.wins = farthest(np.where(neurons.not_refractory[:], over, -1.0))


objects.append(decide)
"""
END = """
spikes = b2.SpikeMonitor(neurons)
b2.Network(inputs, neurons, synapses, *objects, spikes).run({steps} * b2.defaultclock.dt)
np.savez(
    Path(__file__).with_name("{out}"),
    step=np.rint(spikes.t / b2.defaultclock.dt).astype(int),
    neuron=spikes.i[:],
    weights=synapses.w[:].reshape({rows}, {cols}),
)
print(f"{{spikes.num_spikes}} spikes of {cols} neurons in {steps} steps")
"""


def export_script(
    layer: SpikingLayer, trains: Trains, path: str | Path, learn: bool = True, plastic: bool = True
) -> str:
    """Write a script that does in brian2 alone what `layer.present` would do now, and beside it its numbers as .npz.

    Parameters
    ----------
    layer : SpikingLayer
        Stays as it is.
    trains : Trains
        Spikes of the inputs.
    path : str or path
        Of the script, ``name.py``; ``name.npz`` lies beside it, and the script writes ``name-out.npz``.
    learn, plastic : bool
        As of `SpikingLayer.present`: devices are no equations, so with ``plastic=False`` their weights are written as they
        are now.

    Returns
    -------
    text : str
        Of the script.

    Raises
    ------
    CapabilityError
        If the rule or the array is no equation, or winners are drawn.
    """
    path = Path(path).with_suffix(".py")
    c, (rows, cols) = layer.constants, layer.array.shape
    if c.inhibition == SOFT:
        raise CapabilityError(
            "soft inhibition draws its winners by random numbers of its own: it is not exported"
        )
    lines, m = layer.array.spike_lines(), layer.resting()
    text = equations_of(layer, learn, plastic and learn)
    synapses = text.synapses
    mV = "" if c.form == IZHIKEVICH else " * b2.mV"
    state = {"v": m.v, "raised": m.raised, "bias": m.bias}
    kept = {**state, "w": lines.current / lines.scale, "line": trains.line, "step": steps_of(trains)}
    parts = [
        _group("neurons", cols, text.neurons),
        *(f'neurons.{name} = given["{name}"]{mV}' for name in state),
    ]
    if c.form == IZHIKEVICH:
        kept["u"] = m.recovery
        parts.append('neurons.u = given["u"]')
    if lines.variance.size:
        synapses = noisy(synapses)
        kept["noise"] = np.sqrt(lines.variance) / lines.scale
    parts += [_synapses("synapses", "inputs", "neurons", synapses), 'synapses.w = given["w"].ravel()']
    if lines.variance.size:
        parts.append('synapses.noise = given["noise"].ravel()')
    parts.append("objects = []")
    source = "neurons"
    if c.inhibition == CIRCUIT and text.others and text.excite:
        source = "others"
        parts += [
            _group("others", cols, text.others),
            'others.v = numbers["other_rest"]',
            _synapses("excite", "neurons", "others", text.excite),
            "objects += [others, excite]",
        ]
    if text.inhibit:
        parts += [
            _synapses("inhibit", source, "neurons", text.inhibit),
            "inhibit.pre.order = 1  # after what inputs give",
            "objects.append(inhibit)",
        ]
    if c.inhibition == HARD:
        parts.append(HARDEST.format(farthest="\n" + inspect.getsource(farthest)))
    numbers = "\n".join(
        f"    {json.dumps(name)}: {float(value)!r}{'' if unit == '1' else f' * b2.{unit}'},"
        for name, (value, unit) in text.numbers.items()
    )
    steps, out = len(trains.first) - 1, f"{path.stem}-out.npz"
    beginning = BEGINNING.replace("OUT", out).format(dt_s=layer.dt_s, numbers=numbers, rows=rows)
    end = END.format(steps=steps, rows=rows, cols=cols, out=out)
    script = "\n".join([beginning, *parts, end])
    np.savez(path.with_suffix(".npz"), **kept)
    path.write_text(script, encoding="utf-8")
    return script


def _group(name: str, size: int, text: Group) -> str:
    """Return the lines that make a group of neurons."""
    refractory = json.dumps(text.refractory) if text.refractory else False
    made = (
        f"{name} = b2.NeuronGroup(\n    {size},\n    {_long(text.model)},\n    threshold={json.dumps(text.threshold)},\n"
        f"    reset={_long(text.reset)},\n    refractory={refractory},\n    method={json.dumps(text.method)},\n"
        "    namespace=numbers,\n)"
    )
    return made + (f'\n{name}.run_regularly({_long(text.at_start)}, when="start")' if text.at_start else "")


def _synapses(name: str, source: str, target: str, text: Synapses) -> str:
    """Return the lines that make synapses and connect them."""
    after = f"    on_post={_long(text.on_post)},\n" if text.on_post else ""
    condition = f"condition={json.dumps(text.condition)}" if text.condition else ""
    return (
        f"{name} = b2.Synapses(\n    {source},\n    {target},\n    {_long(text.model)},\n    on_pre={_long(text.on_pre)},\n"
        f"{after}    namespace=numbers,\n)\n{name}.connect({condition})"
    )


def _long(text: str) -> str:
    """Return text as it stands in a script: on lines of its own where it has several."""
    return f'"""\n{text}\n"""' if "\n" in text else json.dumps(text)
