"""What an attacker does to images who knows the weights: steps along the gradient of the margin, in torch.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim.core.protocols import Floats
from neurosim.network.readout import Labels

CHUNK = 100
REACH = 2.5
"""Steps of PGD go this many times the way to the edge of their box in all (Madry et al. 2018, arXiv 1706.06083)."""


class Differentiable(Protocol):
    """A network whose scores torch can follow back to the images."""

    def scores(self, images: Tensor) -> Tensor:
        """Return the scores (n, classes) of images (n, height, width, channels)."""
        ...


def _lost(scores: Tensor, wanted: Tensor) -> Tensor:
    """By how much the best wrong class lies above the right one, all images together."""
    right = functional.one_hot(wanted, scores.shape[1]).bool()
    wrong = scores.masked_fill(right, -torch.inf).amax(dim=1)
    return (wrong - scores[right]).sum()


def attacked(
    net: Differentiable,
    images: Floats,
    labels: Labels,
    level: float,
    steps: int = 1,
    start: Floats | None = None,
) -> Floats:
    """Return images whose pixels are changed by at most `level` so that another class than theirs gains.

    What grows is the margin of the best wrong class and not the cross-entropy, whose slope is zero in single precision where a
    network is sure: an attack by it changes nothing there, and the network looks robust (Carlini and Wagner 2017, arXiv 1608.04644).

    Parameters
    ----------
    net : Differentiable
    images : (n, height, width, channels) array
        In [0, 1], as what is returned.
    labels : (n,) array
    level : float
    steps : int
        1 without `start` is the fast gradient sign method; more are projected gradient descent.
    start : array, optional
        Where in the box, from -1 to 1, each pixel starts; None: where it is.

    References
    ----------
    Goodfellow et al. 2015, arXiv 1412.6572; Madry et al. 2018, arXiv 1706.06083.
    """
    size = level if steps == 1 else REACH * level / steps
    found = np.empty_like(images)
    for k in range(0, len(images), CHUNK):
        clean, wanted = torch.from_numpy(images[k : k + CHUNK]), torch.from_numpy(labels[k : k + CHUNK])
        low, high = (clean - level).clamp(min=0), (clean + level).clamp(max=1)
        x = clean if start is None else clean + level * torch.from_numpy(start[k : k + CHUNK])
        x = torch.minimum(torch.maximum(x, low), high)
        for _ in range(steps):
            x = x.detach().requires_grad_()
            with torch.enable_grad():
                lost = _lost(net.scores(x), wanted)
            (slope,) = torch.autograd.grad(lost, x)
            x = torch.minimum(torch.maximum(x.detach() + size * slope.sign(), low), high)
        found[k : k + CHUNK] = x.detach().numpy()
    return found
