"""What commands say while somebody waits."""

from __future__ import annotations

import numba
import pytest

from neurosim.cli.progress import COMPILING, progress


def test_compiling_is_said_once_and_only_where_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    twice = numba.njit(lambda x: 2 * x)
    with progress() as report:
        report("fits", 0, 1, 1)
    assert COMPILING not in capsys.readouterr().err
    with progress():
        assert (twice(1), twice(1.0)) == (2, 2.0)
    assert capsys.readouterr().err.splitlines() == [COMPILING]
    twice(1j)
    assert not capsys.readouterr().err
