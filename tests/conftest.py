"""Fixtures that several test files share."""

from __future__ import annotations

import pytest

from neurosim.data import locate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder in NEUROSIM_DATA; nothing of the user or the machine is in reach."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("NEUROSIM_DATA", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(locate, "DEBIAN_FOLDER", tmp_path / "no-debian")
    return folder
