"""Trained weights from a file: names and tensors, nothing else in it is run or built; of pruned layers what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurosim.core.errors import ConfigError, DataError, UnknownNameError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, or a state dict that `torch.save` wrote; nothing else in it is run or built.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"weights {path}: no such file") from None
    except Exception as error:  # noqa: BLE001  damaged files make both libraries raise nearly anything
        reason = str(error).strip().split("\n")[0].partition(". ")[0]
        raise DataError(
            f"weights {path}: damaged, or more than tensors ({reason}); pickled objects are not opened, as they can "
            "run code: save a state dict, torch.save(model.state_dict(), FILE), or a .safetensors file"
        ) from None
    others = [name for name, value in held.items() if not isinstance(value, Tensor)] if _named(held) else None
    if others is None or others:
        found = f"'{others[0]}' is no tensor" if others else f"found {type(held).__name__}"
        raise DataError(f"weights {path}: expected names and tensors, {found}; save model.state_dict() alone")
    return dict(held)


def _named(held: Any) -> bool:
    return isinstance(held, dict) and all(isinstance(name, str) for name in held)


def unpruned(held: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with the effective ones in place of what `torch.nn.utils.prune` keeps (X_orig and X_mask)."""
    found = {}
    for name, value in held.items():
        own = name.removesuffix("_orig")
        mask = held.get(f"{own}_mask")
        if own != name and mask is not None and mask.shape == value.shape:
            found[own] = value * mask
        elif not (name.endswith("_mask") and f"{name.removesuffix('_mask')}_orig" in held):
            found[name] = value
    return found


class Tensors:
    """The tensors of one file, handed out by name and checked."""

    def __init__(self, path: Path):
        self.file, self.held = path.name, unpruned(read_weights(path))
        self.by_name = path.suffix == ".safetensors"
        """Whether the file keeps no order of its own."""
        self.used: set[str] = set()

    def take(self, field: str, key: str, *shape: int | None) -> Tensor:
        """Return a tensor as float32; `field` and the `shape` it must have serve the error message."""
        if key not in self.held:
            raise ConfigError(f"{field}: {UnknownNameError(f'tensor of {self.file}', key, self.held)}")
        found = self.held[key]
        fits = found.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, found.shape, strict=True)
        )
        if not fits or not found.is_floating_point():
            wanted = " x ".join("any" if size is None else str(size) for size in shape)
            raise ConfigError(
                f"{field} = '{key}': expected ({wanted}) real numbers, {self.file} has "
                f"{tuple(found.shape)} of {found.dtype}"
            )
        if not torch.isfinite(found).all():
            raise ConfigError(f"{field} = '{key}': {self.file} holds NaN or infinity there")
        self.used.add(key)
        return found.float()
