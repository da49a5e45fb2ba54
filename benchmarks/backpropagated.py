"""Small nets trained by backpropagation, to be put onto devices."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def train(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int, highest_rate: float) -> None:
    """Train a model in place on images x with labels y by Adam, its rate rising to the highest and falling in one cycle."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, highest_rate, total_steps=epochs * -(-len(x) // batch))
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            adam.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            adam.step()
            rate.step()
