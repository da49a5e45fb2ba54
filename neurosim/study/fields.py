"""Any setting of an experiment by its name: what a sweep's axis may be, and an experiment with one of them changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from neurosim.core.config import Periphery, ReadPath, WritePath
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.frozen import Frozen, merged
from neurosim.core.hardware import Faults, Tiles, Wires
from neurosim.network.neurons import Neurons
from neurosim.study.arm import Arm
from neurosim.study.effects import WAYS, with_effects
from neurosim.study.experiment import Experiment
from neurosim.study.sizes import TIMES, sizes_of, slug, with_size

PARTS: dict[str, type[Frozen]] = {
    "read": ReadPath, "write": WritePath, "wires": Wires, "tiles": Tiles, "faults": Faults, "neurons": Neurons,
    "periphery": Periphery,
}  # fmt: skip
"""Settings of an arm that are models of their own."""
OF_AN_ARM = ("mode", "window", "precision", "backend", "torch_device", "seconds_per_update")
EVERY_ARM = ("precision", "backend", "torch_device")
"""Settings that ideal arithmetic has as well."""
READING = ("read", "wires", "tiles")
"""Parts of an arm that may change between learning and reading: everything that is not the devices' own state."""
AGE = "age_s"
"""Seconds between the end of learning and reading."""
FREE = (
    "settings", "rule_options", "samples", "recurrent", "black_box", "distilled", "neuron", "inhibition", "augment", "fine_tuning",
)  # fmt: skip
"""Tables whose keys only the rule knows, or what is of the kind that the table says."""
NOT_SWEPT = {"arm", "device", "seeds", "first_seed", "layer"}
UNITS = {
    "read.read_noise": "share of G_max", "read.dac_bits": "bits", "read.adc_bits": "bits", AGE: "s",
    "seconds_per_update": "s", "window": "start weights", "wires.ohm": "ohm", "tiles.lines": "lines",
}  # fmt: skip
BOTH_LINES = {
    "wires.ohm": ("wires", ("r_word_ohm", "r_bit_ohm")),
    "tiles.lines": ("tiles", ("word_lines", "bit_lines")),
}
"""Names for two settings that are mostly changed together."""


def known_fields(experiment: Experiment) -> dict[str, str]:
    """Return every setting that can be an axis, by its full name, with its unit ("" where it has none)."""
    own = {*type(experiment).model_fields} - {*Experiment.model_fields} - NOT_SWEPT
    names = [name for part, kind in PARTS.items() for name in _numbered(kind, part)]
    names += [*BOTH_LINES, *OF_AN_ARM, AGE, *WAYS]
    names += [f"experiment.{name}" for name in sorted({*own, "train_images", "test_images", "hold_out"})]
    names += [f"arm.{name}" for name in sorted(_own_fields(experiment))]
    found = dict.fromkeys(names, "")
    for arm in experiment.device_arms():
        found |= {f"parameters.{name}": unit for name, unit in type(arm.law()).units().items()}
        found |= {f"{TIMES}.{slug(name)}": "times as given" for name in sizes_of(arm)}
    return {name: UNITS.get(name, unit) for name, unit in found.items()}


def _own_fields(experiment: Experiment) -> set[str]:
    """Settings that only arms of this kind of experiment have."""
    return {*experiment.arm_kind.model_fields} - {*Arm.model_fields} - NOT_SWEPT


def _numbered(kind: type[BaseModel], place: str) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        models = [each for each in {field.annotation, *get_args(field.annotation)}
                  if isinstance(each, type) and issubclass(each, BaseModel)]  # fmt: skip
        yield f"{place}.{name}"
        for model in models:
            yield from _numbered(model, f"{place}.{name}")


def full_name(experiment: Experiment, name: str) -> str:
    """Return the full name of a setting: "read_noise" is "read.read_noise".

    Raises
    ------
    UnknownNameError
        If there is no such setting.
    ConfigError
        If several have that name; the message lists them.
    """
    known = known_fields(experiment)
    if name in known or (name.split(".")[-2:-1] and _free(experiment, name)):
        return name
    ending = [full for full in known if full.partition(".")[2] == name and not full.startswith(TIMES)]
    if len(ending) > 1:
        shared = [full for full in ending if not full.startswith("experiment.")]
        if len(shared) != 1:
            raise ConfigError(f"'{name}' is several settings: write {' or '.join(ending)}")
        ending = shared
    if ending:
        return ending[0]
    short = [full.partition(".")[2] or full for full in known]
    raise UnknownNameError("setting", name, [*known, *short])


def _free(experiment: Experiment, name: str) -> bool:
    """Whether a name is that of a setting of the rule, which only the rule checks."""
    place, _, rest = name.partition(".")
    owner, _, rest = rest.partition(".") if place in ("arm", "experiment") else (place, "", rest)
    fields = {*_own_fields(experiment), *type(experiment).model_fields}
    return owner in FREE and owner in fields and bool(rest)


def with_setting(experiment: Experiment, name: str, value: Any, aged: bool = False) -> Experiment:
    """Return the experiment with one setting changed, in every arm that can have it; None takes an effect away.

    Parameters
    ----------
    experiment : Experiment
    name : str
        Full name of the setting, or "only" or "without", or "times." and what a device has (`neurosim.study.sizes`).
    value : Any
        Of "only" and "without" the name of an effect (`neurosim.study.effects.with_effects`).
    aged : bool
        Whether it is left alone between learning and reading: then drift is an effect.

    Raises
    ------
    NeurosimError
        If a value is out of range.
    """
    place, _, rest = name.partition(".")
    if name == AGE:
        return experiment.at_one_age()
    if name in WAYS:
        return with_effects(experiment, name, value, aged)
    if place == TIMES:
        _refuse_size_of_layers(experiment, rest)
        return with_size(experiment, rest, value)
    if place == "experiment" or (place in FREE and place in type(experiment).model_fields):
        field, _, inner = (rest if place == "experiment" else name).partition(".")
        _refuse_where_an_arm_has_its_own(experiment, field, inner)
        return experiment.changed(**{field: _with(experiment, field, inner, value) if inner else value})
    if name in OF_AN_ARM and name in EVERY_ARM:
        experiment = experiment.changed(**{name: value})
    always = {arm.name for arm in experiment.with_arms(experiment.listed).implied}
    arms = [_changed(arm, name, value) for arm in experiment.listed if arm.name not in always]
    found: Experiment = type(experiment).parse(
        {**experiment.model_dump(exclude_unset=True, exclude={"arm", "device"}),
         "arm": [arm.model_dump(exclude_unset=True) for arm in arms]},
        f"{name} = {value}",
    )  # fmt: skip
    return found


def _changed(arm: Any, name: str, value: Any) -> Any:
    """The arm with one of its settings changed, where it can have it."""
    place, _, rest = name.partition(".")
    _refuse_where_a_layer_has_its_own(arm, name)
    if arm.device is None and name not in EVERY_ARM and place not in ("arm", "neurons", *FREE):
        return arm
    if place == "read" and rest == "read_noise" and value == 0:
        value = None
    if name in BOTH_LINES:
        part, fields = BOTH_LINES[name]
        return arm.changed(**{part: {**(getattr(arm, part) or {}), **dict.fromkeys(fields, value)}})
    if place == "parameters":
        known = type(arm.law()).model_fields
        return arm.changed(parameters={**arm.parameters, rest: value}) if rest in known else arm
    if place == "arm" or place in FREE:
        field, _, inner = (rest if place == "arm" else name).partition(".")
        return arm.changed(**{field: _with(arm, field, inner, value) if inner else value})
    if not rest:
        return arm.changed(**{name: value})
    change: Any = value
    for key in reversed(rest.split(".")):
        change = {key: change}
    held = getattr(arm, place)
    held = held.model_dump(exclude_unset=True) if isinstance(held, Frozen) else held or {}
    return arm.changed(**{place: merged(held, change)})


def _with(owner: Any, field: str, inner: str, value: Any) -> dict[str, Any]:
    """A table of an experiment or an arm with one key changed; raises `ConfigError` where it has no such table."""
    held = getattr(owner, field)
    if held is None:
        whose = f"arm {owner.name}" if isinstance(owner, Arm) else "the experiment"
        raise ConfigError(
            f"{field}.{inner}: {whose} has no {field} of its own that could be changed; give it one"
        )
    return merged(held.model_dump(exclude_unset=True) if isinstance(held, Frozen) else held, {inner: value})


def _refuse_where_an_arm_has_its_own(experiment: Experiment, field: str, inner: str) -> None:
    """Raise `ConfigError` for what an arm has instead of the experiment's, so that a level would not reach it.

    It has that under the same name, options of the rule in its `settings`, and how samples are made in its `samples`.
    """
    tables = {field: inner, "samples": field, **({"settings": inner} if field == "rule_options" else {})}
    for arm in experiment.listed:
        for table, key in tables.items():
            own = getattr(arm, table, None) if table in arm.model_fields_set else None
            if own is None or own == {} or (isinstance(own, dict) and key and key not in own):
                continue
            named = f"{field}.{inner}" if inner else field
            raise ConfigError(
                f"{named}: arm {arm.name} has its own {table if table == field else f'{table}.{key}'.rstrip('.')}; leave it "
                "out there, so that every level reaches it"
            )


def _refuse_size_of_layers(experiment: Experiment, name: str) -> None:
    """Raise `ConfigError` where a layer of an arm says itself what a factor would have to reach."""
    for arm in experiment.device_arms():
        for size, settings in sizes_of(arm).items() if getattr(arm, "layer", ()) else ():
            for path in settings if slug(size) == name else ():
                _refuse_where_a_layer_has_its_own(arm, path)


def _refuse_where_a_layer_has_its_own(arm: Any, name: str) -> None:
    """Raise `ConfigError` for a setting that a layer of the arm says itself, so that a level would not reach it."""
    field, parts = BOTH_LINES.get(name, (name, ()))
    place, *inner = field.removeprefix("arm.").split(".")
    for number, own in enumerate(getattr(arm, "layer", ()), 1):
        given = own.get(place)
        said = place in own if not isinstance(given, dict) else not {*inner[:1], *parts}.isdisjoint(given)
        if said or (place == "parameters" and "device" in own):
            raise ConfigError(
                f"{name}: layer {number} of arm {arm.name} has its own; leave it out there, so that every level reaches it"
            )
