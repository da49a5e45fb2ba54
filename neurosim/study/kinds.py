"""The kinds of experiments by name, and one's own from a file or a package."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from neurosim.core import registry
from neurosim.core.errors import UnknownNameError

if TYPE_CHECKING:
    from neurosim.study.experiment import Experiment

KINDS = {
    "dense": ("neurosim.study.dense_spec", "DenseExperiment"),
    "deep": ("neurosim.study.deep_spec", "DeepExperiment"),
    "forward-forward": ("neurosim.study.forward_forward_spec", "ForwardForwardExperiment"),
    "mortal": ("neurosim.study.mortal_spec", "MortalExperiment"),
    "weights": ("neurosim.study.weights_spec", "WeightsExperiment"),
    "spikes": ("neurosim.study.spikes_spec", "SpikesExperiment"),
}


SHORT = {"ff": "forward-forward", "compare": "dense"}
"""Names of commands that are not those of their kinds."""


def kind_of(name: str | None, file: Path | None = None) -> type[Experiment]:
    """Return the class of a kind of experiment.

    Parameters
    ----------
    name : str, optional
        Of the kind or of its command, ``"my.py:Kind"``, ``"package.module:Kind"``, or a name registered under
        ``neurosim.kinds``; None: what the file says as ``kind``, or "dense". A file of Python that is not in the working folder is
        looked for beside `file`.
    file : Path, optional

    Raises
    ------
    UnknownNameError
        If there is no kind of that name.
    ConfigError
        If a file of Python cannot be run, or what it has is no kind of experiment.
    """
    if name is None and file is not None:
        try:
            name = tomllib.loads(file.read_text(encoding="utf-8")).get("kind")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            name = None  # the experiment's own reading says what is wrong
    name = "dense" if name is None else SHORT.get(name, name)
    code = Path(name.rpartition(":")[0])
    near = file is not None and code.suffix == ".py" and not code.exists() and (file.parent / code).exists()
    beside = file.parent if near and file is not None else None
    found: type[Experiment] = registry.resolve("kind of experiment", name, fault, _named, beside)
    return found


def fault(thing: object) -> str | None:
    """Return what keeps a thing from being a kind of experiment; None if nothing does."""
    from neurosim.study.experiment import Experiment

    if not (isinstance(thing, type) and issubclass(thing, Experiment)):
        return "derive its class from neurosim.study.experiment.Experiment"
    if not hasattr(thing, "kind"):
        return "it has no kind, a ClassVar with its name"
    place = f"{thing.__module__}:{thing.__qualname__}"
    if thing.kind in KINDS and place != ":".join(KINDS[thing.kind]):
        return f"kind = '{thing.kind}' is the name of another one; give yours a name of its own"
    if thing.training is Experiment.training:
        return "it has no training: a method that returns what one arm learns with one seed"
    return None


def _named(name: str) -> type[Experiment]:
    if name not in KINDS:
        registered = registry.names("kind of experiment")
        if name not in registered:
            raise UnknownNameError("kind of experiment", name, [*KINDS, *registered])
        own: type[Experiment] = registry.find("kind of experiment", name)
        return own
    module, kind = KINDS[name]
    found: type[Experiment] = getattr(importlib.import_module(module), kind)
    return found


def load_experiment(file: Path | str, kind: str | None = None) -> Experiment:
    """Read an experiment file of any kind; raises `ConfigError` naming the file, the key and what is wrong."""
    return kind_of(kind, Path(file)).from_toml(Path(file))
