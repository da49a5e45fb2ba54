"""neurosim: memristive and phase-change crossbars that learn in place with local rules."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Arm": "neurosim.study.arm",
    "Crossbar": "neurosim.crossbar.array",
    "DeepArm": "neurosim.study.deep_spec",
    "DeepExperiment": "neurosim.study.deep_spec",
    "DenseExperiment": "neurosim.study.dense_spec",
    "Draws": "neurosim.core.hardware",
    "Faults": "neurosim.core.hardware",
    "ForwardForwardArm": "neurosim.study.forward_forward_spec",
    "ForwardForwardExperiment": "neurosim.study.forward_forward_spec",
    "IdealArray": "neurosim.reference.ideal",
    "MortalExperiment": "neurosim.study.mortal_spec",
    "NeurosimError": "neurosim.core.errors",
    "Neurons": "neurosim.network.neurons",
    "Periphery": "neurosim.core.config",
    "Programming": "neurosim.core.config",
    "ReadPath": "neurosim.core.config",
    "Refresh": "neurosim.core.config",
    "SlicedCrossbar": "neurosim.crossbar.sliced",
    "Tiles": "neurosim.core.hardware",
    "WeightsExperiment": "neurosim.study.weights_spec",
    "Wires": "neurosim.core.hardware",
    "WritePath": "neurosim.core.config",
    "compare": "neurosim.study.compare",
    "convert": "neurosim.reference.convert",
    "load_experiment": "neurosim.study.kinds",
    "set_threads": "neurosim.kernels.jit",
    "sweep": "neurosim.study.swept",
    "to_pandas": "neurosim.study.swept",
}
_MODULES = {
    "data": "neurosim.data",
    "devices": "neurosim.devices",
    "network": "neurosim.network",
    "reference": "neurosim.reference",
    "report": "neurosim.report",
    "rules": "neurosim.rules",
    "study": "neurosim.study",
    "wires": "neurosim.crossbar.wires",
}

__all__ = [
    "Arm",
    "Crossbar",
    "DeepArm",
    "DeepExperiment",
    "DenseExperiment",
    "Draws",
    "Faults",
    "ForwardForwardArm",
    "ForwardForwardExperiment",
    "IdealArray",
    "MortalExperiment",
    "Neurons",
    "NeurosimError",
    "Periphery",
    "Programming",
    "ReadPath",
    "Refresh",
    "SlicedCrossbar",
    "Tiles",
    "WeightsExperiment",
    "Wires",
    "WritePath",
    "__version__",
    "compare",
    "convert",
    "data",
    "devices",
    "load_experiment",
    "network",
    "reference",
    "report",
    "rules",
    "set_threads",
    "study",
    "sweep",
    "to_pandas",
    "wires",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'neurosim' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
