"""What a layer on devices puts into a `state_dict`, and how it takes it back: tensors alone, and its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import Device
from neurosim.reference.doors import refuse_another_place
from neurosim.reference.twin.crossbar import TorchCrossbar

CONFIGURATION = "configuration"
ARRAY = "array."
REFERENCE = "reference_inputs", "reference_magnitude"
FIRST = "law", "name"
SAID = 4
"""Differences that a refusal names; further ones are counted."""


def settings(of: Any) -> dict[str, Any]:
    """Return the settings of a device or a path that differ from their defaults, as JSON takes them."""
    if isinstance(of, BaseModel):
        return of.model_dump(mode="json", exclude_defaults=True)
    params = of.params("float64")._asdict()
    return {"name": of.name, **{name: np.asarray(value).tolist() for name, value in params.items()}}


def described(array: TorchCrossbar, device: Device, w_max_given: bool) -> dict[str, Any]:
    """Return the configuration of an array: what a checkpoint must share with it.

    `w_max` is part of it where the user set it; where the weights did, it goes with the devices.
    """
    write = settings(array.write)
    if not w_max_given:
        write.pop("w_max", None)
    return {
        "shape": list(array.shape),
        "device": {"law": device.law, **settings(device)},
        "read": settings(array.read),
        "write": write,
        "periphery": settings(array.periphery),
        "precision": array.precision,
    }


def packed(configuration: Mapping[str, Any], w_max: float) -> Tensor:
    """Return a configuration as bytes: a state dict of tensors alone passes `weights_only` and safetensors."""
    text = json.dumps({"configuration": configuration, "w_max": w_max}, sort_keys=True)
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def unpacked(name: str, held: Tensor) -> tuple[dict[str, Any], float]:
    """Return configuration and `w_max`; raises `CheckpointError` if the bytes are damaged."""
    try:
        found = json.loads(bytes(held.cpu().numpy()))
        return dict(found["configuration"]), float(found["w_max"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"layer '{name}': the configuration in the checkpoint is damaged") from None


def differences(mine: Any, saved: Any, at: str = "") -> list[str]:
    """Name every setting that differs, with both values."""
    if isinstance(mine, dict) and isinstance(saved, dict):
        return [
            line
            for key in sorted(set(mine) | set(saved), key=lambda key: (key not in FIRST, key))
            for line in differences(mine.get(key), saved.get(key), f"{at}.{key}" if at else key)
        ]
    if mine == saved:
        return []
    here, there = ("the default" if value is None else repr(value) for value in (mine, saved))
    return [f"{at} is {here} here and {there} in the checkpoint"]


def refuse_shapes(name: str, held: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `CheckpointError` if a tensor is missing or has another shape."""
    for key, shape in shapes.items():
        found = tuple(held[key].shape) if key in held else "nothing"
        if found != tuple(shape):
            raise CheckpointError(
                f"layer '{name}': expected {key} {tuple(shape)} in the checkpoint, found {found}"
            )


def of_array(array: TorchCrossbar) -> dict[str, Tensor]:
    """Return everything that the array holds, each tensor with an axis of instances in front."""
    snapshots = [array.snapshot(k) for k in range(array.count)]
    return {
        f"{ARRAY}{name}": torch.from_numpy(np.stack([snapshot[name] for snapshot in snapshots]))
        for name in snapshots[0]
    }


def refuse_another(name: str, mine: Mapping[str, Any], held: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` unless the tensors of a layer come from one of the same configuration."""
    if CONFIGURATION not in held:
        raise CheckpointError(
            f"layer '{name}': the state dict holds {', '.join(sorted(held))} and no devices; load trained "
            "weights into the model before convert"
        )
    saved, _ = unpacked(name, held[CONFIGURATION])
    found = differences(json.loads(json.dumps(mine)), saved)
    if found:
        more = f"; and {len(found) - SAID} more" if len(found) > SAID else ""
        raise CheckpointError(
            f"layer '{name}': the checkpoint is of other devices: {'; '.join(found[:SAID])}{more}. Convert with "
            "the same card, settings and seeds"
        )


def restored(name: str, array: TorchCrossbar, held: Mapping[str, Tensor]) -> TorchCrossbar:
    """Return a new array in the state of a checkpoint; the old one stays as it is.

    Raises
    ------
    CheckpointError
        If a tensor is missing, or of another shape or precision.
    """
    _, w_max = unpacked(name, held[CONFIGURATION])
    fresh = array.anew(w_max=w_max)
    own = {ARRAY + key: values.shape for key, values in fresh.snapshot(0).items()}
    odd = sorted(set(own).symmetric_difference(key for key in held if key.startswith(ARRAY)))
    if odd:
        raise CheckpointError(f"layer '{name}': missing or unknown in the checkpoint: {', '.join(odd)}")
    if held[ARRAY + "accumulator"].numel():
        own[ARRAY + "accumulator"] = array.shape
    refuse_shapes(name, held, {key: (array.count, *shape) for key, shape in own.items()})
    try:
        parts = {key.removeprefix(ARRAY): held[key].detach().cpu().numpy() for key in own}
        for k in range(array.count):
            fresh.restore({key: values[k] for key, values in parts.items()}, k)
    except (CheckpointError, TypeError, IndexError) as error:
        raise CheckpointError(f"layer '{name}': {error}") from None
    return fresh


class HoldsDevices(nn.Module):
    """A module whose state is an array of devices; base of `neurosim.reference.layer.CrossbarLayer`."""

    name: str
    seeds: list[int]
    w_max_given: bool
    array: TorchCrossbar
    bias: Tensor | None
    gain: Tensor
    _reference: tuple[Tensor, Tensor] | None

    def _options(self) -> dict[str, Any]:
        """What else than the array decides the answers."""
        return {}

    def configuration(self) -> dict[str, Any]:
        """What a state dict must share with this layer to be loaded into it."""
        return {
            "layer": type(self).__name__,
            "name": self.name,
            "seeds": self.seeds,
            "bias": self.bias is not None,
            **self._options(),
            **described(self.array, self.array.device, self.w_max_given),
        }

    def refuse_another(self, state_dict: dict[str, Any], prefix: str) -> dict[str, Tensor]:
        """Return what a state dict holds of this layer; raises `CheckpointError` if that is of another chip."""
        held = {
            name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)
        }
        if held:
            refuse_another(self.name, self.configuration(), held)
        return held

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        kept = of_array(self.array)
        kept[CONFIGURATION] = packed(self.configuration(), self.array.write.w_max or 1.0)
        if self._reference is not None:
            kept |= dict(zip(REFERENCE, self._reference, strict=True))
        destination.update({prefix + name: value for name, value in kept.items()})

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        held = self.refuse_another(state_dict, prefix)
        if not held:
            missing_keys.append(prefix + CONFIGURATION)
            return
        own = [name for name in ("gain", "bias") if getattr(self, name) is not None]
        reference = [held[name].to(self.array.on) for name in REFERENCE if name in held]
        refuse_shapes(self.name, held, {name: getattr(self, name).shape for name in own})
        array = restored(self.name, self.array, held)
        for name in own:
            getattr(self, name).copy_(held[name])
        self.array, self._reference = array, (reference[0], reference[1]) if reference else None
        known = {CONFIGURATION, *REFERENCE, *own}
        unexpected_keys.extend(
            prefix + name for name in held if name not in known and not name.startswith(ARRAY)
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> HoldsDevices:
        """`half()`, `double()` and `to(dtype)` leave devices in single precision; other places are refused."""
        refuse_another_place(self.name, self.gain, fn)
        return self
