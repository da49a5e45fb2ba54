"""What the tests of trained torch layers on devices share: a small trained network, and chips that it stands on."""

from __future__ import annotations

from typing import Any

import torch
from helpers import PCM
from torch import nn

import neurosim as ns
from neurosim import convert
from neurosim.reference.convert import CrossbarModel

RRAM = "rram-hfo2-om-2022"
QUIET = ns.ReadPath(read_noise=None)
EIGHT_BITS = ns.ReadPath(dac_bits=8, adc_bits=8)


def network(inputs: int = 20) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()


class Block(nn.Module):
    """Depthwise, pointwise, and what came to it added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm1, self.act = nn.BatchNorm2d(width), nn.ReLU()
        self.pointwise, self.norm2 = nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm2(self.pointwise(self.act(self.norm1(self.depthwise(x))))))


class Residual(nn.Module):
    """Images (1, 8, 8): a stem, a block with a skip connection, a convolution in groups along what is left, a head."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem, self.norm, self.act = (
            nn.Conv2d(1, width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.block = Block(width)
        self.along = nn.Conv1d(width, width, 3, groups=2)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(self.act(self.norm(self.stem(x))))
        return self.head(self.along(y.flatten(2)).mean(dim=2))


def residual() -> Residual:
    """With statistics as if it had been trained."""
    model = Residual().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for held in (module.weight, module.running_var):
                nn.init.uniform_(held, 0.5, 1.5)
            for held in (module.bias, module.running_mean):
                nn.init.uniform_(held, -0.5, 0.5)
    return model


def aged(seed: Any = 0, read: ns.ReadPath = EIGHT_BITS) -> CrossbarModel:
    """A chip with everything in it that a checkpoint must carry."""
    model = convert(network(), PCM, seed, read)
    model.calibrate(torch.rand(30, 20))
    model.advance(3e7)
    model.compensate()
    model.model[2].running_mean += 0.1
    return model


def other_model(
    seed: Any = 0, read: ns.ReadPath = EIGHT_BITS, card: Any = PCM, **options: Any
) -> CrossbarModel:
    """A model of the same form with other trained weights."""
    torch.manual_seed(1)
    return convert(network(), card, seed, read, **options)
