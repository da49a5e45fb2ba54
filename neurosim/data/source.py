"""Data sets from files: a folder of images, an npz archive or a table, with what is said of how to take it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

from neurosim.core.errors import DataError
from neurosim.data.archive import read_all
from neurosim.data.dataset import Dataset
from neurosim.data.own_arrays import Found, Reading, data_set_of

TABLES = (".csv", ".tsv")
FORMS = "a folder with a folder of images for each class, an .npz archive or a .csv table"


class Source(Reading):
    """A folder, an archive or a table, and how it is taken: ``{ path = "mine.npz", size = 32 }`` in an experiment."""

    path: str
    label: str | int | None = None
    """Column of a table that holds the labels: its name, or its number from 0. None: the one called label, class or y,
    else the last."""

    def __str__(self) -> str:
        return self.path

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Read ``"mine.npz?size=32&seed=1"``; values are written as in TOML, text without quotes; raises `ConfigError`."""
        path, _, options = text.partition("?")
        given = {name: _value(value) for name, value in parse_qsl(options, keep_blank_values=True)}
        return cls.parse({"path": path, **given}, f"data set {text}")

    def load(self) -> Dataset:
        """Return the data set; raises `DataError` naming what is missing, damaged or not clear."""
        found = self._read(self.path)
        if isinstance(self.test, str):
            if found.test is not None:
                raise DataError(f"{self.path}: it has a test set of its own; leave out test")
            other = self._read(self.test)
            if other.test is not None or other.shape != found.shape:
                raise DataError(
                    f"{self.test}: expected samples and labels like those of {self.path}, nothing else"
                )
            found.test = other.train
            found.notes += [
                f"test set from {Path(self.test).name}",
                *(note for note in other.notes if note not in found.notes),
            ]
        how = Reading(**self.model_dump(include=set(Reading.model_fields) - self._taken, exclude_unset=True))
        return data_set_of(found, how, Path(self.path).resolve().name)

    @property
    def _taken(self) -> set[str]:
        """What has been followed once the files are read."""
        return {"test"} if isinstance(self.test, str) else set()

    def _read(self, text: str) -> Found:
        path = Path(text).expanduser()
        if self.label is not None and path.suffix.lower() not in TABLES:
            raise DataError(f"{text}: label names a column of a table; leave it out")
        if path.is_dir():
            from neurosim.data.folders_of_images import read_classes

            return read_classes(path, self.shape)
        if not path.is_file():
            raise DataError(f"data set {text}: no such file or folder ({path.absolute()}); give {FORMS}")
        if path.suffix.lower() in TABLES:
            from neurosim.data.tables import read_table

            return read_table(path, self.label)
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
        raise DataError(f"data set {text}: give {FORMS}")


def is_path(text: str) -> bool:
    """Return whether a text names a file or folder rather than a data set."""
    path = text.partition("?")[0]
    return (
        Path(path).suffix.lower() in (*TABLES, ".npz")
        or os.sep in path
        or "/" in path
        or Path(path).expanduser().exists()
    )


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _read_npz(path: Path) -> Found:
    held = read_all(path)
    named = {name.lower(): name for name in held}
    for x, y, *tested in (("x_train", "y_train", "x_test", "y_test"), ("x", "y")):
        wanted = [x, y, *tested]
        if x in named:
            missing = [name for name in wanted if name not in named]
            if missing:
                raise DataError(
                    f"{path}: lacks {', '.join(missing)} beside {named[x]}; found {', '.join(held)}"
                )
            arrays = [held[named[name]] for name in wanted]
            unused = [name for name in held if name.lower() not in wanted]
            notes = [f"not used: {', '.join(unused)}"] if unused else []
            return Found((arrays[0], arrays[1]), (arrays[2], arrays[3]) if tested else None, notes)
    raise DataError(
        f"{path}: expected arrays x_train, y_train, x_test and y_test, or x and y; found {', '.join(held) or 'nothing'}"
    )
