"""Image data sets: found in local folders, checked, and split the same way everywhere."""

from __future__ import annotations

from neurosim.core.errors import UnknownNameError
from neurosim.data import cifar, digits
from neurosim.data.catalogue import CATALOGUE, Published
from neurosim.data.dataset import Dataset, Labelled, Parts, permutation
from neurosim.data.fetch import download
from neurosim.data.locate import folders, not_found

__all__ = ["Dataset", "Labelled", "download", "load", "names", "permutation"]


def names() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return tuple(CATALOGUE)


def load(name: str) -> Dataset:
    """Return a data set by name.

    Files are looked for in each folder of the environment variable NEUROSIM_DATA, then in the user's cache
    folder ($XDG_CACHE_HOME/neurosim or ~/.cache/neurosim), then, for Fashion-MNIST, in the folder of
    Debian's package dataset-fashion-mnist; each folder itself and its sub-folder named after the data set.

    Parameters
    ----------
    name : str
        "digits" (bundled with scikit-learn, 8 x 8, 1,500 training and 297 test images), "mnist",
        "fashion-mnist" (npz archive or idx files, plain or gzipped), "cifar10" (the original binary
        version, else a container of JPEG files, else an npz archive of some of those decoded), "stl10" (the
        authors' binary files, with the images without labels if they are there), "imagenette" or "imagenet"
        (folders train and val with a folder of JPEG files for each class; the short side is scaled to 160 pixels
        and the middle taken).  Images of the last three stay on disk and are read mini-batch by mini-batch.

    Returns
    -------
    Dataset
        With one sixth of the training set held out for validation, always the same images.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    DataError
        If no file is found, or one is damaged; the message names files, folders and the remedy.
    """
    if name not in CATALOGUE:
        raise UnknownNameError("data set", name, CATALOGUE)
    known = CATALOGUE[name]
    parts, note = _find(name, known) if known.tiers else (Parts(*digits.read_bundled()), known.title)
    found = len(parts.train.labels), len(parts.test.labels)
    if parts.classes != known.classes:
        note += f", {parts.classes} of {known.classes} classes"
    if found != (known.train, known.test):
        note += f", {found[0]} of {known.train} training and {found[1]} of {known.test} test images"
    unlabelled = 0 if parts.unlabelled is None else len(parts.unlabelled)
    if unlabelled != known.unlabelled:
        note += f", {unlabelled} of {known.unlabelled} images without labels"
    return Dataset.from_arrays(
        name,
        note,
        known.image_shape,
        parts.classes,
        known.full_scale,
        parts.train,
        parts.test,
        parts.unlabelled,
    )


def _find(name: str, known: Published) -> tuple[Parts, str]:
    for tier in known.tiers:
        for folder in folders(name):
            for form in tier:
                found = form.read(folder)
                if found is not None:
                    return Parts(*found), form.note
    if name == "cifar10":
        cifar.refuse_pickles()
    raise not_found(name, [form.files for tier in known.tiers for form in tier], known.remedies)
