"""Small trained models whose numbers are made without any optimiser, so that they are the same on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import neurosim.data

MAP = """
[[layer]]
kind = "conv2d"
weight = "k"

[[layer]]
kind = "relu"

[[layer]]
kind = "avgpool2d"
size = 2

[[layer]]
kind = "flatten"

[[layer]]
kind = "linear"
weight = "w"
bias = "b"
"""


def perceptron(folder: Path) -> dict[str, str]:
    """Write random features of digits and the nearest centre of a class; return ``weights``."""
    data = neurosim.data.load("digits")
    first = np.random.default_rng(0).integers(-8, 9, (32, 64)) / 64
    hidden = np.maximum(data.inputs(data.training(hold_out=False).images).astype(float) @ first.T, 0)
    return _saved(folder / "mlp.safetensors", {"0.weight": first}, hidden, ("2.weight", "2.bias"))


def convolution(folder: Path) -> dict[str, str]:
    """Write random kernels and the nearest centre of a class; return ``weights`` and ``layers``."""
    data = neurosim.data.load("digits")
    kernel = np.random.default_rng(1).integers(-8, 9, (4, 1, 3, 3)) / 8
    images = torch.from_numpy(data.inputs(data.training(hold_out=False).images)).reshape(-1, 1, 8, 8)
    maps = torch.relu(torch.nn.functional.conv2d(images.double(), torch.tensor(kernel)))
    hidden = torch.nn.functional.avg_pool2d(maps, 2).flatten(1).numpy()
    layers = folder / "conv.toml"
    layers.write_text(MAP)
    saved = _saved(folder / "conv.safetensors", {"k": kernel}, hidden, ("w", "b"))
    return {**saved, "layers": str(layers)}


def _saved(path: Path, first: dict[str, Any], hidden: Any, names: tuple[str, str]) -> dict[str, str]:
    labels = neurosim.data.load("digits").training(hold_out=False).labels
    centres = np.stack([hidden[labels == k].mean(axis=0) for k in range(10)])
    weight = np.round(64 * (centres - centres.mean(axis=0))) / 64
    bias = -np.round(64 * np.square(centres).sum(axis=1) / 2) / 64
    last = dict(zip(names, (weight, bias - bias.mean()), strict=True))
    tensors = {name: torch.tensor(values, dtype=torch.float32) for name, values in {**first, **last}.items()}
    save_file(tensors, path)
    return {"weights": str(path)}


MODELS = {"perceptron": perceptron, "convolution": convolution}
