"""Spike rules by name, from a file or a package."""

from __future__ import annotations

from typing import Any

from neurosim.core import registry
from neurosim.core.errors import UnknownNameError
from neurosim.rules.spikes import SPIKE_RULES, SpikeRule


def fault(thing: Any) -> str | None:
    """Return what keeps a thing from being a spike rule; None if nothing does."""
    kind = thing if isinstance(thing, type) else type(thing)
    if not issubclass(kind, SpikeRule):
        return "derive its class from neurosim.rules.spikes.SpikeRule"
    if kind.__call__ is SpikeRule.__call__ or not hasattr(kind, "name"):
        return "it has no name, or does not say what it learns (name as ClassVar, __call__)"
    return None


def _named(name: str) -> Any:
    if name not in SPIKE_RULES:
        raise UnknownNameError("spike rule", name, SPIKE_RULES)
    return SPIKE_RULES[name]


def load(rule: str) -> Any:
    """Return the class of a spike rule, or the rule itself where a file has one; raises as `build`."""
    return registry.resolve("spike rule", rule, fault, _named)


def build(rule: str, settings: dict[str, Any], where: str) -> SpikeRule:
    """Return a spike rule with settings.

    Parameters
    ----------
    rule : str
        A name in `SPIKE_RULES`, ``"my.py:Mine"`` or ``"package.module:Mine"``.
    settings : dict
    where : str
        What the settings are called in messages.

    Raises
    ------
    UnknownNameError
        If there is no spike rule of that name.
    ConfigError
        If it has no such setting, a value is out of range, or what a file has is no spike rule.
    """
    found = load(rule)
    kind: Any = found if isinstance(found, type) else type(found)
    made: SpikeRule = kind.parse(settings, where)
    return made
