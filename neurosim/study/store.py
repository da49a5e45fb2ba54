"""Files of a study: written whole or not at all, checked when read, never a pickle."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import neurosim
from neurosim.core.cautions import Caution
from neurosim.core.errors import CheckpointError, OutputError
from neurosim.core.protocols import State
from neurosim.data.on_disk import OnDisk, contents
from neurosim.study.locks import clear_litter, part_of

FILES = RESULTS, SWEPT = ("results.json", "sweep.json")
"""What a study and a sweep write into their folder."""
_DIGEST = "sha256"
_SHARES = {"accuracy", "vote"}
_unchecked: set[Path] = set()
"""Folders of kept results without a checksum that were spoken of."""


class UncheckedWarning(Caution):
    """A kept result has no checksum: it is of an earlier version, and is believed."""


def open_folder(folder: Path) -> Path:
    """Create the output folder if need be, prove that it can be written, and clear what killed processes left there.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
        clear_litter(folder)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"--out {folder}: cannot write there ({reason}); choose another folder") from None
    return folder


def expect_file(path: Path, option: str) -> Path:
    """Prove, before any work, that a file can be written there; nothing is left there. Raises `OutputError`."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{option} {path}: cannot write there ({reason}); choose another place") from None
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place and move it there when complete; raises `OutputError`."""
    temporary = part_of(path)
    try:
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot write ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as a whole file."""
    with whole_file(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, values: Any) -> None:
    """Write JSON as a whole file, or to standard output where it is called "-".

    numpy's numbers and flags are written as Python's, NaN and infinity are refused.
    """
    text = json.dumps(values, indent=1, allow_nan=False, default=_of_numpy) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        write_text(path, text)


def _of_numpy(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


def read_json(path: Path) -> Any:
    """Read JSON back; raises `CheckpointError` if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, reason: object) -> CheckpointError:
    """Return the error for a file that is not what was written."""
    said = " ".join(str(reason).split())
    return CheckpointError(f"{path} is damaged ({said}); delete it: what it held is computed again")


def write_kept(path: Path, values: dict[str, Any]) -> None:
    """Write a finished result that is not to be computed again, with a checksum of it and of the file's name."""
    write_json(path, {**values, _DIGEST: _stamp(path, values)})


def read_kept(path: Path, *needed: str) -> dict[str, Any]:
    """Read `write_kept` back; files of earlier versions have no checksum, which is said once for their folder.

    Parameters
    ----------
    path : Path
    needed : str
        Keys that must be there; those of accuracies with a share.

    Raises
    ------
    CheckpointError
        If the file is damaged: no JSON, something missing, or anything changed since it was written.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise damaged(path, "it holds no result")
    stamp = found.pop(_DIGEST, None)
    if stamp is not None and stamp != _stamp(path, found):
        raise damaged(path, "its checksum differs: it was changed after it was written")
    for name in needed:
        if found.get(name) is None:
            raise damaged(path, f"no '{name}' in it")
        if name in _SHARES and not (type(found[name]) in (int, float) and 0 <= found[name] <= 1):
            raise damaged(path, f"{name} is no share of images")
    if stamp is None and path.parent not in _unchecked:
        _unchecked.add(path.parent)
        warnings.warn(
            f"{path.parent}: kept results without a checksum, of an earlier version of neurosim, are believed; "
            "delete the folder to compute them again",
            UncheckedWarning,
            stacklevel=2,
        )
    return found


def _stamp(path: Path, values: dict[str, Any]) -> str:
    return hashlib.sha256(f"{path.stem} {json.dumps(values, sort_keys=True)}".encode()).hexdigest()


def text_digest(text: str) -> str:
    """Short SHA-256 of a text, for file names."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest(arrays: State) -> str:
    """SHA-256 over the names, types, shapes and bytes of some arrays."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        values: Any = arrays[name]
        values = values if isinstance(values, OnDisk) else np.ascontiguousarray(values)
        found.update(f"{name} {values.dtype.str} {values.shape};".encode())
        for part in contents(values):
            found.update(part)
    return found.hexdigest()


def write_arrays(path: Path, arrays: State) -> None:
    """Write named arrays with their digest as a whole npz file."""
    stamp = np.frombuffer(digest(arrays).encode(), np.uint8)
    with whole_file(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays, **{_DIGEST: stamp})


def read_arrays(path: Path) -> State:
    """Read `write_arrays` back.

    Raises
    ------
    CheckpointError
        If the file is damaged: not an npz, an array missing, or bytes changed.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        stamp = arrays.pop(_DIGEST).tobytes().decode()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to start again") from None
    if stamp != digest(arrays):
        raise CheckpointError(f"{path} is damaged (checksum differs); delete it to start again")
    return arrays


def text_array(text: str) -> np.ndarray:
    """Return text as bytes in an array, for `write_arrays`."""
    return np.frombuffer(text.encode(), np.uint8)


def pack_bits(bits: NDArray[np.bool_]) -> str:
    """Return flags as base64 text, eight to a byte, for JSON."""
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def unpack_bits(text: str, count: int) -> NDArray[np.bool_]:
    """Return the first `count` flags of `pack_bits`."""
    packed = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.unpackbits(packed, count=count).astype(bool)


@cache
def our_source() -> dict[str, str]:
    """Return a digest of neurosim's own source and, in a checkout, the commit that it stands at, changed or not."""
    package = Path(neurosim.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package).as_posix()}\n".encode())
        digest.update(file.read_bytes())
    found = {"source": digest.hexdigest()[:12]}
    if (package.parent / ".git").exists():
        with suppress(OSError, subprocess.SubprocessError):
            commit = _git(package.parent, "rev-parse", "--short=12", "HEAD")
            changed = _git(package.parent, "status", "--porcelain", "--", package.name)
            found["commit"] = f"{commit} with changes" if changed else commit
    return found


def _git(folder: Path, *words: str) -> str:
    asked = ["git", "-C", str(folder), *words]
    return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, our own source among them: beside a result, not part of its name."""
    found = {"neurosim": neurosim.__version__, **our_source(), "python": platform.python_version()}
    for package in ("numpy", "numba", "torch", "scipy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
