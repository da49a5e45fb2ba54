"""What drives a neuron of a deep layer most: an image found by projected gradient ascent, and patches of real images.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.reference.ideal_copy import IdealCopy

STEPS, RATE = 200, 0.1
"""Of the ascent: steps, and how far each goes, in radii of the sphere."""
CHUNK = 250


class Window(NamedTuple):
    """The pixels that a neuron at the middle of a layer's answers sees, cut off at the edges of the image."""

    top: int
    left: int
    height: int
    width: int

    def of(self, images: Any) -> Any:
        """Cut them out of images (n, height, width, channels)."""
        return images[:, self.top : self.top + self.height, self.left : self.left + self.width]


def seen_by(layers: list[Any], depth: int, row: int | None = None, column: int | None = None) -> Window:
    """Return what the neuron at one position of a depth sees of the images; without a position, the one in the middle."""
    places = []
    for axis, given in ((0, row), (1, column)):
        place = layers[depth - 1].size[axis] // 2 if given is None else given
        first = last = place
        for number in range(depth - 1, -1, -1):
            layer = layers[number]
            size = layer.image_shape[axis]
            kernel = size if layer.kernel is None else layer.kernel
            first, last = first - layer.pad, last - layer.pad + kernel - 1
            first, last = max(first, 0), min(last, size - 1)
            if number:
                pool, limit = layers[number - 1].pool, layers[number - 1].size[axis]
                kind = pool.kind != "none"
                stride, reach, pad = (pool.stride, pool.kernel, pool.pad) if kind else (1, 1, 0)
                first, last = first * stride - pad, last * stride - pad + reach - 1
                first, last = max(first, 0), min(last, limit - 1)
        places.append((first, last - first + 1))
    (top, height), (left, width) = places
    return Window(top, left, height, width)


def preferred(net: IdealCopy, depth: int, neurons: int, seed: int = 0) -> Floats:
    """Return the image that drives each of the first neurons of a depth most, of all with the same contrast.

    Gradient ascent of the current at the middle of the layer from random images; after each step the image, normalised as
    the first layer does, goes back to a sphere on which its pixels have a root mean square of one within what the neuron sees.

    Parameters
    ----------
    net : IdealCopy
    depth : int
        The first layer is 1.
    neurons : int
    seed : int
        Of the images from which it starts.

    Returns
    -------
    images : (neurons, height, width, channels) array
        Of what the neuron sees, as the first layer has it after normalisation: zero is the mean of each channel.

    References
    ----------
    Journé et al. 2023, arXiv 2209.11883, section B.8.
    """
    shape, window = net.layers[0].image_shape, seen_by(net.layers, depth)
    count = min(neurons, net.layers[depth - 1].array.shape[1])
    seen = torch.zeros(1, *shape)
    window.of(seen)[...] = 1
    radius = float(seen.sum().sqrt())
    drawn = generator(seed, "preferred", f"depth {depth}").standard_normal((count, *shape), np.float32)
    images, places = _on_sphere(torch.from_numpy(drawn) * seen, radius), torch.arange(count)
    middle = [side // 2 for side in net.layers[depth - 1].size]
    for step in range(STEPS):
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            currents = net.currents(images / net.gains[0] + net.means[0], depth)
            driven = currents[places, middle[0], middle[1], places].sum()
        (slope,) = torch.autograd.grad(driven, images)
        rate = RATE * radius * (1 - step / STEPS)
        images = _on_sphere(images.detach() + rate * _on_sphere(slope * seen, 1.0), radius)
    found: Floats = window.of(images.detach()).numpy().copy()
    return found


def _on_sphere(images: Tensor, radius: float) -> Tensor:
    size: Tensor = images.flatten(1).norm(dim=1).clamp(min=1e-12).reshape(-1, 1, 1, 1)
    return images * (radius / size)


class Best(NamedTuple):
    """Patches of images that drive a neuron most."""

    patches: Floats
    """(neurons, most, height, width, channels); zero where an edge of the image cuts what the neuron sees."""
    currents: Floats
    """(neurons, most)"""
    images: NDArray[np.int64]
    """(neurons, most) numbers of the images."""


def best_patches(net: IdealCopy, depth: int, neurons: int, images: Floats, most: int = 5) -> Best:
    """Return, for each of the first neurons of a depth, the patches that drive it most, each of another image.

    Parameters
    ----------
    net : IdealCopy
    depth, neurons : int
    images : (n, height, width, channels) array
    most : int

    Returns
    -------
    best : Best
    """
    count = min(neurons, net.layers[depth - 1].array.shape[1])
    rows, columns = net.layers[depth - 1].size
    driven, where = [], []
    with torch.no_grad():
        for k in range(0, len(images), CHUNK):
            currents = net.currents(torch.from_numpy(images[k : k + CHUNK]), depth)[..., :count]
            largest, place = currents.flatten(1, 2).max(dim=1)
            driven.append(largest)
            where.append(place)
    chosen = torch.cat(driven).topk(min(most, len(images)), dim=0)
    places = torch.cat(where).gather(0, chosen.indices).T.numpy()
    whole = seen_by(net.layers, depth)
    shape = (count, places.shape[1], whole.height, whole.width, images.shape[3])
    patches = np.zeros(shape, np.float32)
    numbers = chosen.indices.T.numpy()
    for neuron, place in np.ndindex(numbers.shape):
        row, column = divmod(int(places[neuron, place]), columns)
        patch = seen_by(net.layers, depth, row, column).of(images[numbers[neuron, place]][None])[0]
        high, wide = min(patch.shape[0], whole.height), min(patch.shape[1], whole.width)
        top, left = (
            whole.height - high if row < rows // 2 else 0,
            whole.width - wide if column < columns // 2 else 0,
        )
        patches[neuron, place, top : top + high, left : left + wide] = patch[:high, :wide]
    return Best(patches, chosen.values.T.numpy(), numbers)
