"""What commands say while somebody waits."""

from __future__ import annotations

import numba
import pytest

from neurosim.cli.progress import COMPILING, COUNTED, progress
from neurosim.study.workers import workers_pool


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


def compiles() -> float:
    """Let numba compile, in a worker."""
    return float(numba.njit(lambda x: 3 * x)(1.0))


def test_compiling_in_a_worker_is_said_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(), workers_pool(1) as pool:
        assert [pool.submit(compiles).result() for _ in range(2)] == [3, 3]
    assert capsys.readouterr().err.splitlines() == [COMPILING]


def test_blocks_of_a_sweep_are_counted_and_are_no_arm(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        report("blocks", COUNTED, 9, 10)
        report("blocks", COUNTED, 10, 10)
    assert capsys.readouterr().err == "10 of 10 blocks, after 0:00:00\n"
