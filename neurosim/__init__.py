"""neurosim: memristive and phase-change crossbars that learn in place with local rules."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Crossbar": "neurosim.crossbar.array",
    "Draws": "neurosim.core.hardware",
    "Faults": "neurosim.core.hardware",
    "Periphery": "neurosim.core.config",
    "Programming": "neurosim.core.config",
    "ReadPath": "neurosim.core.config",
    "Refresh": "neurosim.core.config",
    "SlicedCrossbar": "neurosim.crossbar.sliced",
    "Tiles": "neurosim.core.hardware",
    "Wires": "neurosim.core.hardware",
    "WritePath": "neurosim.core.config",
    "set_threads": "neurosim.kernels.jit",
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
    "Crossbar",
    "Draws",
    "Faults",
    "Periphery",
    "Programming",
    "ReadPath",
    "Refresh",
    "SlicedCrossbar",
    "Tiles",
    "Wires",
    "WritePath",
    "__version__",
    "data",
    "devices",
    "network",
    "reference",
    "report",
    "rules",
    "set_threads",
    "study",
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
