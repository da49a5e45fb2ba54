"""The kinds of studies by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from neurosim.core.errors import UnknownNameError

KINDS = {
    "dense": "dense_spec:DenseExperiment",
    "deep": "deep_spec:DeepExperiment",
    "forward-forward": "forward_forward_spec:ForwardForwardExperiment",
    "mortal": "mortal_spec:MortalExperiment",
}
"""Name of each kind and the class of its experiments in this package."""
SHORT = {"ff": "forward-forward", "compare": "dense"}
"""Names of commands that are not those of their kinds."""


def experiment_kind(name: str) -> Any:
    """Return the class of experiments of a kind, by its name or that of its command.

    Raises
    ------
    UnknownNameError
        If there is no such kind.
    """
    name = SHORT.get(name, name)
    if name not in KINDS:
        raise UnknownNameError("kind of study", name, KINDS)
    module, _, kind = KINDS[name].partition(":")
    return getattr(import_module(f"neurosim.study.{module}"), kind)
