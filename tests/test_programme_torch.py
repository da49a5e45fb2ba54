"""The torch machine writes down the same pulse programme as numba for the same updates, and numba gives it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import HFO2, PCM
from pandas.testing import assert_frame_equal
from test_programme import learn

import neurosim as ns
from neurosim.core.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.StillWarning")

ROWS, COLS = 9, 5
CASES: dict[str, dict[str, Any]] = {
    "RRAM": {"device": HFO2}, "PCM": {"device": PCM}, "reference": {"device": PCM, "mapping": "reference"},
    "refreshed": {"device": PCM, "refresh": {"every": 2, "high": 0.2, "low": 0.1}},
    "depression": {"device": "rram-hfo2-gong-2018", "decay_mode": "device"}, "limited": {"device": HFO2, "pulse_limit": 2, "pulse_train_slots": 2},
}  # fmt: skip


def made(kind: Any, device: str, seed: Any = 4, **write: Any) -> Any:
    array = kind((ROWS, COLS), device, seed=seed, write={"w_max": 1.0, **write})
    array.program(np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, COLS)), w_max=1.0)
    return array


@pytest.mark.parametrize("mode", ["accumulate", "mixed", "online"])
@pytest.mark.parametrize("case", CASES)
def test_both_machines_write_down_the_same_rows_and_numba_gives_them_again(case: str, mode: str) -> None:
    numba, torch = (made(kind, **CASES[case]) for kind in (ns.Crossbar, ns.TorchCrossbar))
    with numba.record() as expected, torch.record() as found:
        learn(numba, mode)
        learn(torch, mode)
    assert len(found) > 20
    assert_frame_equal(found.to_pandas(), expected.to_pandas())
    again = made(ns.Crossbar, **CASES[case])
    again.replay(found)
    np.testing.assert_array_equal(again.conductance_uS(), numba.conductance_uS())


def test_an_instance_of_several_is_written_down_and_nothing_is_after_the_context() -> None:
    several, alone = made(ns.TorchCrossbar, HFO2, seed=(7, 4)), made(ns.TorchCrossbar, HFO2)
    with several.record(1) as found, alone.record() as expected:
        learn(several, "mixed")
        learn(alone, "mixed")
    assert_frame_equal(found.to_pandas(), expected.to_pandas())
    lines = len(found)
    learn(several, "mixed")
    assert len(found) == lines
    with pytest.raises(InputError, match="instance = 2"), several.record(2):
        pass
