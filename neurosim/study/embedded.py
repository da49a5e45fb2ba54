"""Images as points of a plane: a UMAP of what each depth answers, and how many neighbours are of the same class."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from neurosim.core.errors import CapabilityError
from neurosim.core.protocols import Floats, State
from neurosim.study.evaluate import Answers

NEIGHBOURS = 15
"""Of an image, from which a UMAP is made, and of which those of its class are counted."""
PIXELS = 0
"""The depth that stands for the images themselves."""


def refuse_without_umap() -> None:
    """Raise `CapabilityError` where umap-learn is not installed, which nothing else needs."""
    if importlib.util.find_spec("umap") is None:
        raise CapabilityError(
            "embedded: umap-learn is not installed, which draws images as points: pip install 'neurosim-crossbar[embed]', or leave "
            "embedded out"
        )


def embedded(answers: dict[int, Floats], labels: Answers, seed: int) -> State:
    """Return points in a plane, and what share of each image's neighbours is of its class.

    Parameters
    ----------
    answers : dict of (n, features) arrays
        What each depth answers to n images; 0 stands for the images themselves.
    labels : (n,) array
    seed : int
        Of UMAP: the same seed draws the same picture on one machine.

    Returns
    -------
    found : dict of arrays
        ``embedded.K``, (n, 2), and ``same_class.K``, of one number, of each depth K; ``embedded.labels``, (n,). Neighbours are
        those by Euclidean distance of the answers, not of the picture.

    Raises
    ------
    CapabilityError
        If umap-learn is not installed.

    References
    ----------
    McInnes, Healy and Melville, UMAP, arXiv 1802.03426 (2018); shown of SoftHebb in Journe et al., arXiv 2209.11883, figure 5.
    """
    refuse_without_umap()
    from umap import UMAP

    found: State = {"embedded.labels": np.asarray(labels, np.int64)}
    for depth, each in answers.items():
        features = np.asarray(each, np.float32).reshape(len(each), -1)
        found[f"same_class.{depth}"] = np.array([same_class(features, labels)])
        points: Any = UMAP(n_neighbors=NEIGHBOURS, random_state=seed, n_jobs=1).fit_transform(features)
        found[f"embedded.{depth}"] = np.asarray(points, np.float32)
    return found


def same_class(features: Floats, labels: Answers) -> float:
    """Return the share of the nearest neighbours of images, by their features (n, features), that are of the same class."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(features).kneighbors(return_distance=False)
    return float((labels[near] == labels[:, None]).mean())
