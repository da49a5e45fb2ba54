"""The folders in which data sets are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from neurosim.core.errors import DataError

VARIABLE = "NEUROSIM_DATA"
DEBIAN_FOLDER = Path("/usr/share/datasets")
SUBFOLDERS = {
    "mnist": ("mnist", "MNIST/raw"),
    "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw"),
    "cifar10": ("cifar10",),
    "cifar100": ("cifar100",),
    "stl10": ("stl10_binary", "stl10", "stl10/stl10_binary"),
    "imagenette": ("imagenette2-160", "imagenette2-320", "imagenette2", "imagenette"),
    "imagenet": ("imagenet",),
}


def cache_folder() -> Path:
    """Return the user's cache folder of neurosim; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path(os.path.expanduser("~/.cache"))
    return base / "neurosim"


def folders(name: str) -> list[Path]:
    """Return the folders searched for data set `name`, first choice first.

    They are those of the environment variable NEUROSIM_DATA, then the user's cache folder, then, for
    Fashion-MNIST, the folder of Debian's data set packages.
    """
    entries = os.environ.get(VARIABLE, "").split(os.pathsep)
    given = [Path(entry).expanduser().absolute() for entry in entries if entry]
    debian = [DEBIAN_FOLDER] if name == "fashion-mnist" else []
    return [*given, cache_folder(), *debian]


def places(name: str, folder: Path) -> list[Path]:
    """Return `folder` and its sub-folders named after data set `name`."""
    return [folder, *(folder / subfolder for subfolder in SUBFOLDERS[name])]


def idx_places(name: str, folder: Path) -> list[Path]:
    """Return the places in `folder` whose idx files belong to data set `name`.

    The files of MNIST and Fashion-MNIST have the same names, so a folder that is not named after one of
    them counts as MNIST's.
    """
    named_after = [
        owner for owner, names in SUBFOLDERS.items() if any(folder.match(subfolder) for subfolder in names)
    ]
    owner = named_after[0] if named_after else "mnist"
    return places(name, folder)[0 if owner == name else 1 :]


def named_places(name: str, folder: Path) -> list[Path]:
    """Return the sub-folders of `folder` named after data set `name`, and itself if it is."""
    return places(name, folder)[0 if any(folder.match(own) for own in SUBFOLDERS[name]) else 1 :]


def not_found(name: str, looked_for: Sequence[str], remedies: Sequence[str]) -> DataError:
    """Return the error that says what was looked for, where, and how to get it."""
    searched = [f"{folder}{'' if folder.is_dir() else ' (no such folder)'}" for folder in folders(name)]
    unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE} is not set)"
    ways = " or ".join([f"set {VARIABLE} to a folder that holds it", *remedies])
    return DataError(
        f"data set '{name}' not found: looked for {', or '.join(looked_for)}; in {', '.join(searched)}{unset}; "
        f"to get it, {ways}"
    )
