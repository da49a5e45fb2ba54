"""Data sets: by name, from files, as arrays or as an object; checked, and split the same way everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from neurosim.core import registry
from neurosim.core.errors import ConfigError, UnknownNameError
from neurosim.data import cifar, digits
from neurosim.data.catalogue import CATALOGUE, Published
from neurosim.data.dataset import Dataset, Labelled, Parts, permutation
from neurosim.data.fetch import download
from neurosim.data.locate import folders, not_found
from neurosim.data.own_arrays import Reading
from neurosim.data.source import Source, is_path
from neurosim.data.taken import ScaleWarning

__all__ = [
    "Dataset",
    "Labelled",
    "Reading",
    "ScaleWarning",
    "Source",
    "download",
    "load",
    "names",
    "permutation",
]


def names() -> tuple[str, ...]:
    """Return the names that `load` knows: those of published data sets, and what packages have registered."""
    return (*CATALOGUE, *registry.names("data set"))


def load(given: str | Path | dict[str, Any] | Source | Dataset) -> Dataset:
    """Return a data set.

    Files of published data sets are looked for in each folder of the environment variable NEUROSIM_DATA, then in the
    user's cache folder ($XDG_CACHE_HOME/neurosim or ~/.cache/neurosim), then, for Fashion-MNIST, in the folder of
    Debian's package dataset-fashion-mnist; each folder itself and its sub-folder named after the data set.

    Parameters
    ----------
    given : str, Path, dict, Source or Dataset
        A name: "digits" (bundled with scikit-learn, 8 x 8, 1,500 training and 297 test images), "mnist",
        "fashion-mnist" (npz archive or idx files, plain or gzipped), "cifar10" (the original binary
        version, else a container of JPEG files, else an npz archive of some of those decoded), "cifar100" (the original
        binary version, its hundred classes), "stl10" (the
        authors' binary files, with the images without labels if they are there), "imagenette" or "imagenet"
        (folders train and val with a folder of JPEG files for each class; the short side is scaled to 160 pixels
        and the middle taken). Images of the last three stay on disk and are read mini-batch by mini-batch.

        A path: a folder with a folder of images for each class, an .npz archive, a .csv or .tsv table; with fields of
        `Source` behind it, ``"flowers?size=32&seed=1"``, or as a dictionary, ``{"path": "flowers", "size": 32}``.

        ``"my.py:thing"`` or ``"package.module:thing"``: a `Dataset` there, or a function that returns one. Or a
        `Dataset` itself.

    Returns
    -------
    Dataset
        With one sixth of the training set held out for validation, always the same images. What was assumed of one's
        own data stands in its note.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    DataError
        If no file is found, one is damaged, or it is not clear how to take it; the message names the remedy.
    ConfigError
        If a field behind a path is unknown or out of range.
    InputError
        If it is none of these.
    """
    if isinstance(given, dict):
        given = Source.parse(given, "data set")
    if isinstance(given, Source):
        return given.load()
    found = registry.resolve("data set", given, _no_data_set, _named)
    data = found if isinstance(found, Dataset) else found()
    if not isinstance(data, Dataset):
        raise ConfigError(f"data set {given}: it returns {type(data).__name__}, no neurosim.data.Dataset")
    by_object = isinstance(given, registry.Given) or not isinstance(given, str | Path)
    if by_object or str(given) in CATALOGUE or "SHA-256" in data.note:
        return data
    return replace(
        data, note=f"{data.note}, SHA-256 {data.digest[:12]}"
    )  # a note says when data have changed


def _no_data_set(thing: Any) -> str | None:
    if isinstance(thing, Dataset) or (callable(thing) and not isinstance(thing, type)):
        return None
    return (
        "expected a name, a path, a neurosim.data.Dataset, or a function without arguments that returns one; of arrays "
        "make one by Dataset.of(x_train, y_train, x_test, y_test)"
    )


def _named(text: str) -> Any:
    if text in CATALOGUE:
        return _published(text)
    if text in registry.names("data set"):
        return registry.find("data set", text)
    if is_path(text):
        return Source.of_text(text).load()
    name = text.partition("?")[0]
    if name in CATALOGUE:
        raise ConfigError(
            f"data set {text}: '{name}' is taken as published; options go behind a path, such as ./{name}"
        )
    raise UnknownNameError("data set", name, names(), ", and no file or folder")


def _published(name: str) -> Dataset:
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
    for version in (cifar.CIFAR10, cifar.CIFAR100):
        if name == version.name:
            cifar.refuse_pickles(version)
    raise not_found(name, [form.files for tier in known.tiers for form in tier], known.remedies)
