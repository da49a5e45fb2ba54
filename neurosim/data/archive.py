"""Reading npz archives without pickles, and writing files so that nobody sees half of one."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.core.errors import DataError

Arrays = dict[str, NDArray[Any]]
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error)

log = logging.getLogger(__name__)


def read_npz(path: Path, keys: tuple[str, ...]) -> Arrays:
    """Return the arrays `keys` of an npz archive.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged, holds pickled objects or lacks a key.
    """
    arrays, found = _read(path, keys)
    missing = [key for key in keys if key not in found]
    if missing:
        raise DataError(
            f"{path}: lacks {', '.join(missing)}; expected {', '.join(keys)} "
            f"(x images, y labels), found {', '.join(found) or 'nothing'}"
        )
    return arrays


def read_all(path: Path) -> Arrays:
    """Return all arrays of an npz archive; raises as `read_npz`."""
    return _read(path, None)[0]


def _read(path: Path, keys: tuple[str, ...] | None) -> tuple[Arrays, list[str]]:
    """Return some arrays, or all, and the names of all."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no zip directory")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                found = list(archive.files)
                return {key: archive[key] for key in keys or found if key in found}, found
    except (OSError, EOFError, MemoryError, RuntimeError, ValueError, *ZIP_ERRORS) as error:
        raise DataError(f"{path}: damaged or not an npz archive ({error}); fetch it again") from None


def cached(path: Path, keys: tuple[str, ...], make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays kept in `path`, or make them and keep them there if the folder can be written."""
    if path.is_file():
        try:
            return read_npz(path, keys)
        except DataError as error:
            log.warning("%s; making it again", error)
    arrays = make()
    try:
        with replacing(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        log.info("not kept in %s: %s", path, error)
    return arrays


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that takes its place at the end, or vanishes after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = Path(folder, path.name)
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits; `DataError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
