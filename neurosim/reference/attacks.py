"""What an attacker does to images who knows the weights: steps along the gradient of the cross-entropy, in torch.

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


def attacked(
    net: Differentiable,
    images: Floats,
    labels: Labels,
    level: float,
    steps: int = 1,
    start: Floats | None = None,
) -> Floats:
    """Return images whose pixels are changed by at most `level` so that the cross-entropy grows.

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
                loss = functional.cross_entropy(net.scores(x), wanted, reduction="sum")
            (slope,) = torch.autograd.grad(loss, x)
            x = torch.minimum(torch.maximum(x.detach() + size * slope.sign(), low), high)
        found[k : k + CHUNK] = x.detach().numpy()
    return found
