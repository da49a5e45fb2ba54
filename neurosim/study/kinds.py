"""The kinds of experiments by name."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from neurosim.core.errors import UnknownNameError

if TYPE_CHECKING:
    from neurosim.study.experiment import Experiment

KINDS = {
    "dense": ("neurosim.study.dense_spec", "DenseExperiment"),
    "deep": ("neurosim.study.deep_spec", "DeepExperiment"),
    "forward-forward": ("neurosim.study.forward_forward_spec", "ForwardForwardExperiment"),
    "mortal": ("neurosim.study.mortal_spec", "MortalExperiment"),
    "weights": ("neurosim.study.weights_spec", "WeightsExperiment"),
}


SHORT = {"ff": "forward-forward", "compare": "dense"}
"""Names of commands that are not those of their kinds."""


def kind_of(name: str | None, file: Path | None = None) -> type[Experiment]:
    """Return the class of a kind of experiment.

    Parameters
    ----------
    name : str, optional
        Of the kind or of its command; None: what the file says as ``kind``, or "dense".
    file : Path, optional

    Raises
    ------
    UnknownNameError
        If there is no kind of that name.
    """
    if name is None and file is not None:
        try:
            name = tomllib.loads(file.read_text(encoding="utf-8")).get("kind")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            name = None  # the experiment's own reading says what is wrong
    name = "dense" if name is None else SHORT.get(name, name)
    if name not in KINDS:
        raise UnknownNameError("kind of experiment", name, KINDS)
    module, kind = KINDS[name]
    found: type[Experiment] = getattr(importlib.import_module(module), kind)
    return found


def load_experiment(file: Path | str, kind: str | None = None) -> Experiment:
    """Read an experiment file of any kind; raises `ConfigError` naming the file, the key and what is wrong."""
    return kind_of(kind, Path(file)).from_toml(Path(file))
