"""Rules by name, from a file or a package, as a class or as an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurosim.core import registry
from neurosim.core.errors import ConfigError
from neurosim.core.frozen import Frozen
from neurosim.core.protocols import PhasedRule, Rule

MEMBERS = ("name", "ideal_only", "state", "__call__", "observe_norms")
"""What every rule has (`neurosim.core.protocols.Rule`)."""


def fault(thing: Any) -> str | None:
    """Return what keeps a thing from being a rule, or a class of rules, that an experiment can have; None: nothing."""
    kind = thing if isinstance(thing, type) else type(thing)
    if not issubclass(kind, Frozen):
        return (
            "its settings must be checked and written down: derive its class from neurosim.core.frozen.Frozen, or "
            "from neurosim.rules.local.LocalRule"
        )
    missing = registry.lacks(kind, MEMBERS)
    if not missing:
        return None
    return (
        f"it has no {', no '.join(missing)} (neurosim.core.protocols.Rule; name and ideal_only as ClassVar)"
    )


def load(rule: str | Path | type[Frozen] | Frozen) -> Any:
    """Return the class of a rule, or the rule itself if that was given.

    Parameters
    ----------
    rule : str, Path, class or object
        A registered name, ``"my.py:Bcm"``, ``"package.module:Bcm"``, a class, or a rule with its settings.

    Raises
    ------
    UnknownNameError
        If there is no rule of that name; the message has the nearest match.
    ConfigError
        If a file cannot be run, what it has is no rule, or a rule of one's own has the name of a registered one.
    InputError
        If an object is no rule.
    """
    found = registry.resolve("rule", rule, fault)
    kind = _kind(found)
    registry.refuse_shadow("rule", kind, kind.name)
    return found


def settings_of(rule: str | Path | type[Frozen] | Frozen) -> frozenset[str]:
    """Return the names of a rule's settings; raises as `load`."""
    return frozenset(_kind(load(rule)).model_fields)


def build(
    rule: str | Path | type[Frozen] | Frozen,
    settings: dict[str, Any],
    where: str,
    fitting: dict[str, Any] | None = None,
) -> Rule | PhasedRule:
    """Return a rule with settings.

    Parameters
    ----------
    rule : str, Path, class or object
        As in `load`; what an object was given counts, unless a setting says otherwise.
    settings : dict
        Each must be one of the rule's.
    where : str
        What the settings are called in messages.
    fitting : dict, optional
        Settings of which the rule takes those that it has, where nothing else gives them.

    Raises
    ------
    ConfigError
        If the rule has no such setting, or a value is out of range; else as `load`.
    """
    found = load(rule)
    kind = _kind(found)
    own = {} if found is kind else found.model_dump(exclude_unset=True)
    given = {name: value for name, value in (fitting or {}).items() if name in kind.model_fields}
    made: Rule | PhasedRule = kind.parse({**given, **own, **settings}, where)
    return made


def _kind(rule: Any) -> Any:
    kind: Any = rule if isinstance(rule, type) else type(rule)
    return kind


def text_of(rule: Any) -> str:
    """Return a class or an object as text that tells it from others: where it is from, and its settings."""
    if isinstance(rule, type):
        return f"{rule.__module__}:{rule.__qualname__}"
    if not isinstance(rule, Frozen):
        raise ConfigError(f"rule: {fault(rule)}")
    return f"{text_of(type(rule))} {rule.model_dump_json(exclude_defaults=True)}"
