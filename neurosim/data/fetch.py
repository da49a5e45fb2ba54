"""Download of the original files from their public hosts, for users who are online."""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from neurosim.core.errors import DataError, InputError, UnknownNameError
from neurosim.data import cifar, idx
from neurosim.data.archive import sha256
from neurosim.data.catalogue import CATALOGUE
from neurosim.data.locate import VARIABLE, cache_folder

TIMEOUT_s = 60.0

log = logging.getLogger(__name__)


class Remote(NamedTuple):
    """A file on a public host and the SHA-256 it must have."""

    url: str
    sha256: str


def _idx_files(host: str, *checksums: str) -> tuple[Remote, ...]:
    files = (file for pair in idx.FILES.values() for file in pair)
    return tuple(Remote(f"{host}/{file}.gz", sum_) for file, sum_ in zip(files, checksums, strict=True))


REMOTES: dict[str, tuple[Remote, ...]] = {
    "digits": (),
    "mnist": _idx_files(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist": _idx_files(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    "cifar10": (
        Remote(
            f"https://www.cs.toronto.edu/~kriz/{cifar.CIFAR10.archive}",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    "cifar100": (
        Remote(
            f"https://www.cs.toronto.edu/~kriz/{cifar.CIFAR100.archive}",
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
    ),
}


def download(name: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """Fetch the original files of a data set and put them where `load` finds them.

    Nothing is put in place before every file has arrived with the right checksum; files that are already
    there with the right checksum are not fetched again.

    Parameters
    ----------
    name : str
        "mnist", "fashion-mnist", "cifar10" or "cifar100".
    folder : path, optional
        Folder in which a sub-folder of that name is made; the user's cache folder if None.  `load` finds
        files in another folder when the environment variable NEUROSIM_DATA names it.

    Returns
    -------
    Path
        The sub-folder that holds the files.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    InputError
        If the data set needs no download (digits come with scikit-learn), or is not offered for one.
    DataError
        If a file cannot be fetched or written, or has the wrong checksum.
    """
    if name not in REMOTES and name in CATALOGUE:
        raise InputError(
            f"name: '{name}' is not downloaded here; {' or '.join(CATALOGUE[name].remedies)}, "
            f"and set {VARIABLE} to the folder above"
        )
    if name not in REMOTES:
        raise UnknownNameError("data set", name, REMOTES)
    if not REMOTES[name]:
        raise InputError(
            f"name: '{name}' comes with scikit-learn; neurosim.data.load('{name}') needs no download"
        )
    base = cache_folder() if folder is None else Path(folder).expanduser()
    target = base / name
    wanted = {target / PurePosixPath(remote.url).name: remote for remote in REMOTES[name]}
    missing = {
        path: remote
        for path, remote in wanted.items()
        if not (path.is_file() and sha256(path) == remote.sha256)
    }
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=base) as arriving:
            for path, remote in missing.items():
                _fetch(remote, Path(arriving, path.name), name)
            target.mkdir(exist_ok=True)
            for path in missing:
                os.replace(Path(arriving, path.name), path)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"data set '{name}': cannot write to {base} ({error}); give another folder") from None
    return target


def _fetch(remote: Remote, path: Path, name: str) -> None:
    log.info("fetching %s", remote.url)
    try:
        with urllib.request.urlopen(remote.url, timeout=TIMEOUT_s) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"data set '{name}': cannot download {remote.url} ({getattr(error, 'reason', error)}); "
            f"without a network, set {VARIABLE} to a folder that holds the files"
        ) from None
    found = sha256(path)
    if found != remote.sha256:
        raise DataError(
            f"data set '{name}': {remote.url} arrived with SHA-256 {found}, expected {remote.sha256}; "
            "nothing was kept, try again later"
        )
