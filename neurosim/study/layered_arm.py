"""Arms of networks, whose layers may differ: in device, reading, writing, wires, settings of the rule ..."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from neurosim import rules
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.core.frozen import merged
from neurosim.study.arm import OF_DEVICES, Arm, Arrays, Changes
from neurosim.study.code import own_code

OF_ARRAYS = frozenset({"device", "mode", *OF_DEVICES})
"""Settings of a layer that make its array another one."""


class LayeredArm(Arm):
    """An arm whose layers may each have settings that are not the arm's."""

    of_layers: ClassVar[frozenset[str]] = OF_ARRAYS | {"window", "neurons", "settings"}
    """Settings that a layer may have of its own."""

    layer: tuple[Changes, ...] = ()
    """What each layer has of its own, the first layer's table first; an empty table changes nothing."""

    @model_validator(mode="after")
    def _layers_make_sense(self) -> Self:
        for number, own in enumerate(self.layer):
            for name in own:
                if name not in self.of_layers:
                    where = f" of arm {self.name}, layer {number + 1}"
                    raise UnknownNameError("setting", name, sorted(self.of_layers), where)
            if "reading_delay_s" in own.get("read", {}):
                raise ValueError("read.reading_delay_s is one number of an experiment, not of a layer")
            if own.get("device", self) is None or (self.device is None and "device" in own):
                raise ValueError(
                    f"arm '{self.name}', layer {number + 1}: all layers of an arm are on devices, or none is; give the "
                    "arm a device (of the card 'ideal' if need be) and that layer another one"
                )
            self.at(number)
        return self

    def at(self, number: int) -> Self:
        """Return the arm as one of its layers has it, the first of them number 0; raises `ConfigError`.

        A layer on another device has the parameters of the experiment and its own, not those of the arm.
        """
        if not self.layer:
            return self
        own = self.layer[number]
        whole = self.model_dump(exclude_unset=True, exclude={"layer"})
        if "device" in own:
            whole.pop("parameters", None)
        return type(self).parse(merged(whole, own), f"arm {self.name}, layer {number + 1}")

    def for_layers(self, layers: int) -> None:
        """Refuse tables that are not as many as there are layers."""
        if self.layer and len(self.layer) != layers:
            raise ConfigError(
                f"arm {self.name}: {layers} layers need {layers} tables [[arm.layer]], here are {len(self.layer)}; an "
                "empty one changes nothing"
            )

    def settled(self, shared: Arrays) -> Any:
        """Return the same arm with every setting of its arrays filled in, those of layers on other devices as well."""
        filled = super().settled(shared)
        if filled.device is None or not any("device" in own for own in self.layer):
            return filled
        return filled.changed(layer=tuple(_on_its_device(own, shared) for own in self.layer))

    def parts(self) -> dict[str, Arm]:
        """Return the arm by its name, and layers that have other arrays by theirs."""
        other = {number: self.at(number) for number, own in enumerate(self.layer) if OF_ARRAYS & own.keys()}
        found: dict[str, Arm] = {} if self.layer and len(other) == len(self.layer) else {self.name: self}
        return {**found, **{f"{self.name}, layer {number + 1}": arm for number, arm in other.items()}}

    def deciding(self) -> dict[str, Any]:
        """Return everything that decides the bits of a settled arm's runs, layer by layer where layers differ."""
        found = super().deciding()
        del found["layer"]
        if any(self.layer):
            found["layer"] = [self.at(number)._alone() for number in range(len(self.layer))]
        return found

    def _alone(self) -> dict[str, Any]:
        """What decides the bits of one layer, code of its own among it."""
        law = None if self.device is None else self.law()
        rule = getattr(self, "rule", None)
        code = own_code(law, *([] if rule is None else [rules.load(rule)]))
        return {**self.deciding(), "code": code}


def _on_its_device(own: dict[str, Any], shared: Arrays) -> dict[str, Any]:
    """Settings of a layer, with those parameters of the experiment that its device has."""
    if "device" not in own:
        return own
    known = Arm(device=own["device"]).known(shared.parameters)
    return {**own, "parameters": {**known, **own.get("parameters", {})}}
