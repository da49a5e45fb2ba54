"""What the tests of trained torch layers on devices share: a small trained network, and chips that it stands on."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import neurosim as ns
from neurosim import convert
from neurosim.reference.convert import CrossbarModel

PCM = "pcm-nandakumar-2018"
RRAM = "rram-hfo2-om-2022"
QUIET = ns.ReadPath(read_noise=None)
EIGHT_BITS = ns.ReadPath(dac_bits=8, adc_bits=8)


def network(inputs: int = 20) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()


def aged(seed: Any = 0, read: ns.ReadPath = EIGHT_BITS) -> CrossbarModel:
    """A chip with everything in it that a checkpoint must carry."""
    model = convert(network(), PCM, seed, read)
    model.calibrate(torch.rand(30, 20))
    model.advance(3e7)
    model.compensate()
    model.model[2].running_mean += 0.1
    return model


def fresh(seed: Any = 0, read: ns.ReadPath = EIGHT_BITS, card: Any = PCM, **options: Any) -> CrossbarModel:
    """A model of the same form with other trained weights."""
    torch.manual_seed(1)
    return convert(network(), card, seed, read, **options)
