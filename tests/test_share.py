"""Work that threads share: results in order, errors that are raised, work within work."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from neurosim import set_threads
from neurosim.core.errors import InputError
from neurosim.kernels.jit import share, threads


@pytest.fixture(autouse=True, params=[1, 2, 3])
def count(request: pytest.FixtureRequest) -> Iterator[None]:
    before = threads()
    set_threads(request.param)
    yield
    set_threads(before)


@pytest.mark.parametrize("failing", range(4))
def test_an_error_in_any_thread_is_raised_after_all_have_ended(failing: int):
    ended = []

    def work(k: int) -> int:
        time.sleep(0.01)
        if k == failing:
            raise InputError(f"item {k}")
        ended.append(k)
        return k

    with pytest.raises(InputError, match=f"item {failing}"):
        share(work, range(4))
    now = len(ended)
    time.sleep(0.05)
    assert len(ended) == now


def test_results_come_in_the_order_of_the_items():
    assert share(lambda k: 10 * k, range(7)) == [0, 10, 20, 30, 40, 50, 60]
    assert share(lambda k: k, []) == []


def test_work_may_share_work():
    found = share(lambda k: share(lambda j: 10 * k + j, range(3)), range(3))
    assert found == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]
