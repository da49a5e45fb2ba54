"""Layers one behind the other, each with its own array and rule; nothing runs backwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from neurosim.core.errors import InputError
from neurosim.core.protocols import Floats, State
from neurosim.network.convolution import Convolution


class Stack:
    """Convolutions that feed each other.

    Parameters
    ----------
    layers : sequence of Convolution

    Raises
    ------
    InputError
        If one layer's images do not fit the next.
    """

    def __init__(self, layers: Sequence[Convolution]):
        for number, (before, after) in enumerate(pairwise(layers), 1):
            if before.out_shape != after.image_shape:
                raise InputError(
                    f"layer {number} gives images of {before.out_shape}, layer {number + 1} takes {after.image_shape}"
                )
        self.layers = list(layers)

    def learn(self, images: Floats, layer: int | None = None) -> Floats:
        """Learn from one mini-batch of images (n, height, width, channels).

        Parameters
        ----------
        images : (n, height, width, channels) array
            Of layers with instances (instances, n, height, width, channels), here and below.
        layer : int, optional
            The only layer that learns, greedily, as the paper has it: those before it are read as they are, those
            behind it are left out. None: all learn, each from what the one before answered.

        Returns
        -------
        features : (n, height, width, channels) array
            Of the last layer that learnt.
        """
        if layer is None:
            for each in self.layers:
                images = each.learn(images)
            return images
        return self.layers[layer].learn(self.forward(images, layer))

    def forward(self, images: Floats, depth: int | None = None) -> Floats:
        """Return the images behind the first `depth` layers (None: all), learning nothing."""
        for each in self.layers[:depth]:
            images = each.forward(images)
        return images

    def snapshot(self, *instance: int) -> State:
        """Return everything needed to go on later with the same bits, as named arrays; of one instance, where there are several."""
        return {
            f"{number}.{name}": values
            for number, layer in enumerate(self.layers)
            for name, values in layer.snapshot(*instance).items()
        }

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        for number, layer in enumerate(self.layers):
            prefix = f"{number}."
            layer.restore(
                {name.removeprefix(prefix): v for name, v in saved.items() if name.startswith(prefix)}
            )
