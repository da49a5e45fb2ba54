"""Races: every kernel against its reference in one run, as a ratio."""

from benchmarks import backends, deep, devices, fits, forward_forward, kernels, wires
from benchmarks.timing import line
from neurosim.kernels.jit import threads

print(f"{threads()} threads")
for module in (kernels, devices, backends, fits, wires, deep, forward_forward):
    for figure in module.figures():
        print(line(figure), flush=True)
