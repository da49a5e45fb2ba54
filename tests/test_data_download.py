"""Downloads: files where load finds them, checked, and nothing left behind by a failure."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from data_helpers import IDX_FILES, arrays, assert_holds, write_idx

from neurosim import data
from neurosim.core.errors import DataError, InputError
from neurosim.data import fetch

pytestmark = pytest.mark.usefixtures("folder")


# download


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder that plays the public host of MNIST, with the checksums of what it holds."""
    host = tmp_path / "host"
    write_idx(host, arrays(), gz=True)
    remotes = tuple(
        fetch.Remote(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(host.iterdir())
    )
    monkeypatch.setitem(fetch.REMOTES, "mnist", remotes)
    return host


def files_below(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def test_download_puts_files_where_load_finds_them(host, tmp_path):
    place = data.download("mnist")
    assert place == tmp_path / "cache" / "neurosim" / "mnist"
    assert_holds(data.load("mnist"), arrays())
    assert len(files_below(tmp_path / "cache")) == 4


def test_download_into_a_folder_and_only_what_is_missing(host, folder):
    place = data.download("mnist", folder)
    assert place == folder / "mnist"
    images, labels = (place / f"{file}.gz" for file in IDX_FILES[:2])
    untouched = images.stat().st_mtime_ns
    labels.write_bytes(b"damaged")
    data.download("mnist", str(folder))
    assert_holds(data.load("mnist"), arrays())
    assert images.stat().st_mtime_ns == untouched


def test_bad_checksum_leaves_nothing(host, folder):
    last = max(host.iterdir())
    last.write_bytes(last.read_bytes() + b"tampered")
    with pytest.raises(DataError, match=f"{last.name} arrived with SHA-256"):
        data.download("mnist", folder)
    assert files_below(folder) == []
    assert list(folder.iterdir()) == []


def test_unreachable_host_is_one_line_and_leaves_nothing(host, folder):
    max(host.iterdir()).unlink()
    with pytest.raises(DataError, match=r"cannot download file://.*set NEUROSIM_DATA") as caught:
        data.download("mnist", folder)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_download_refuses_what_it_cannot_do(host, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot write"):
        data.download("mnist", tmp_path / "file")
    with pytest.raises(InputError, match="scikit-learn"):
        data.download("digits")


def test_every_remote_has_a_sha256():
    for remotes in fetch.REMOTES.values():
        for remote in remotes:
            assert len(bytes.fromhex(remote.sha256)) == 32
