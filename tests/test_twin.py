"""The torch crossbar by itself: instances, the path of a GPU, snapshots across machines, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import FINE, HFO2, MODES, PCM, local_update, small_weights

from neurosim import Crossbar, IdealArray, ReadPath, Refresh, TorchCrossbar, TorchDense, WritePath, devices
from neurosim.core.errors import CapabilityError, CheckpointError, InputError, NeurosimError
from neurosim.core.registry import _entries
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.reference.twin.crossbar import on_device
from neurosim.rules import SoftHebb

ROWS, COLS = 20, 10
SEEDS = (1, 2, 7)
REAL = (PCM, HFO2, FINE)
PCM_FIRST = (PCM, *(pytest.param(card, marks=pytest.mark.slow) for card in (HFO2, FINE)))
"""Every run tries the law of phase change; what is shared with it is traced for every law in test_compiled."""
WRITES: tuple[dict[str, Any], ...] = (
    {"decay_mode": "exact"},
    {"decay_mode": "readback"},
    {"mapping": "reference"},
    {"refresh": Refresh(every=2, high=0.3, low=0.01, look="read", rewrite="pulses")},
)
SHARE_THAT_MAY_DIFFER = 5e-3
"""Of 1,200 cells after six updates: sums in another order let a count fall on the other side of a rounding now and then."""
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def settings(**write: Any) -> dict[str, Any]:
    given = {"w_max": 0.5, "refresh": Refresh(every=2, high=0.3, low=0.01), **write}
    return {"read": ReadPath(dac_bits=8, adc_bits=8), "write": WritePath(**given)}


def taught(array: Any, modes: tuple[str, ...] = MODES) -> Any:
    """Program and update a few times."""
    array.program(small_weights(ROWS, COLS, 4, 0.4), w_max=array.w_max)
    for k, mode in enumerate(modes * 2):
        array.update(*local_update(ROWS, COLS, 6, seed=k, scale=0.1), mode)
    return array


@pytest.mark.parametrize("device", REAL)
@pytest.mark.parametrize("limit", [None, 3])
def test_each_instance_is_the_crossbar_of_its_seed(device, limit):
    kept = settings(pulse_limit=limit)
    modes = MODES if limit is None else ("accumulate", "mixed")
    many = taught(TorchCrossbar((ROWS, COLS), device, seed=SEEDS, **kept), modes)
    x = np.random.default_rng(0).random((7, ROWS))
    together = many.forward(x)
    assert together.shape == (3, 7, COLS)
    for k, seed in enumerate(SEEDS):
        one = taught(Crossbar((ROWS, COLS), device, seed=seed, **kept), modes)
        np.testing.assert_allclose(many.conductance_uS()[k], one.conductance_uS(), rtol=1e-5)
        np.testing.assert_allclose(together[k], one.forward(x), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(many.snapshot(k)["ledger"], one.snapshot()["ledger"], rtol=1e-6)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize(
    "draws", [{"devices": 40}, {"faults": 41}, {"devices": 40, "faults": 41}, {"converters": 42}]
)
def test_a_chip_may_be_born_of_other_seeds(draws):
    """Devices and stuck cells by seeds of their own, all noise by those of the instances."""
    card = devices.load(HFO2).changed(p_stuck_between=0.1, p_stuck_gmin=0.05)
    many = taught(TorchCrossbar((ROWS, COLS), card, seed=SEEDS, draws=draws, **settings()))
    for k, seed in enumerate(SEEDS):
        one = taught(Crossbar((ROWS, COLS), card, seed=seed, draws=draws, **settings()))
        np.testing.assert_allclose(many.conductance_uS()[k], one.conductance_uS(), rtol=1e-5)
    plain = taught(TorchCrossbar((ROWS, COLS), card, seed=SEEDS, **settings()))
    same = torch.equal(plain.conductance_uS(), many.conductance_uS())
    assert same == ("converters" in draws)


@pytest.mark.parametrize("device", PCM_FIRST)
@pytest.mark.parametrize("write", WRITES, ids=lambda write: next(iter(write)))
def test_the_path_of_a_gpu_gives_the_same_bits(device, write):
    arrays = [TorchCrossbar((ROWS, COLS), device, seed=SEEDS, **settings(**write)) for _ in "ab"]
    arrays[1]._cells.sparse = False
    for array in arrays:
        taught(array)
    for k in range(len(SEEDS)):
        one, other = (array.snapshot(k) for array in arrays)
        np.testing.assert_allclose(one.pop("ledger"), other.pop("ledger"), rtol=1e-14)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("device", PCM_FIRST)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("write", WRITES[1:], ids=lambda write: next(iter(write)))
def test_no_step_asks_the_device_for_a_number(device, mode, write):
    """On the meta device there are no numbers: whatever would wait for one fails."""
    array = TorchCrossbar(
        (ROWS, COLS),
        device,
        seed=SEEDS,
        torch_device="meta",
        **settings(pulse_limit=4, pulse_train_slots=4, **write),
    )
    array.program(torch.rand(ROWS, COLS, device="meta"), w_max=array.w_max)
    layer = TorchDense(array, SoftHebb(), mode, norm_every=1)
    for _ in range(2):
        assert layer.learn(torch.rand(3, ROWS, device="meta")).shape == (3, 3, COLS)
    if mode != "online":
        unlimited = TorchCrossbar((ROWS, COLS), device, seed=SEEDS, torch_device="meta", **settings())
        with pytest.raises(Exception, match="meta"):
            taught(unlimited, (mode,))


@needs_gpu
@pytest.mark.parametrize("device", REAL)
def test_a_gpu_agrees_with_the_cpu(device):
    arrays = [
        taught(TorchCrossbar((ROWS, COLS), device, seed=SEEDS, torch_device=on, **settings()))
        for on in ("cpu", "cuda")
    ]
    cpu, gpu = (array.conductance_uS().cpu() for array in arrays)
    alike = torch.isclose(cpu, gpu, rtol=1e-5, atol=0).double().mean()
    assert alike > 1 - SHARE_THAT_MAY_DIFFER


@pytest.mark.parametrize("device", REAL)
def test_a_snapshot_goes_from_either_machine_to_the_other(device):
    here = taught(Crossbar((ROWS, COLS), device, seed=3, **settings()))
    there = TorchCrossbar((ROWS, COLS), device, seed=3, **settings())
    there.restore(here.snapshot())
    back = Crossbar((ROWS, COLS), device, seed=3, **settings())
    back.restore(there.snapshot())
    for name, values in here.snapshot().items():
        np.testing.assert_allclose(back.snapshot()[name], values, rtol=1e-12, err_msg=name)
    x = np.eye(ROWS)
    np.testing.assert_array_equal(here.forward(x), back.forward(x))


def test_a_snapshot_that_does_not_fit_is_refused():
    array = TorchCrossbar((ROWS, COLS), HFO2, **settings())
    with pytest.raises(CheckpointError, match="state"):
        array.restore(Crossbar((ROWS, COLS + 1), HFO2).snapshot())
    with pytest.raises(CheckpointError, match="precision"):
        array.restore(Crossbar((ROWS, COLS), HFO2, precision="float64").snapshot())
    with pytest.raises(CheckpointError, match="fit"):
        array.restore({})


def test_drift_follows_the_clock():
    arrays = [taught(kind((ROWS, COLS), PCM, seed=2, **settings())) for kind in (Crossbar, TorchCrossbar)]
    for seconds in (1.0, 3600.0, 1e7):
        for array in arrays:
            array.advance(seconds)
        one, other = arrays[0].conductance_uS(), arrays[1].conductance_uS().numpy()
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert arrays[0].now_s == arrays[1].now_s
    still = TorchCrossbar((ROWS, COLS), PCM, read=ReadPath(drift=False))
    still.advance(1e6)
    assert still.now_s == 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_ideal_arithmetic_is_the_same_in_torch(precision):
    arrays = IdealArray((ROWS, COLS), precision), TorchIdeal((ROWS, COLS), precision)
    x = np.random.default_rng(1).random((5, ROWS))
    for array in arrays:
        array.program(small_weights(ROWS, COLS), w_max=array.w_max)
        array.update(*local_update(ROWS, COLS, 5, seed=2))
    tolerance = 1e-5 if precision == "float32" else 1e-13
    np.testing.assert_allclose(
        arrays[0].forward(x), arrays[1].forward(x.astype(precision)), rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(arrays[0].column_norms(), arrays[1].column_norms(), rtol=tolerance)
    arrays[1].restore(arrays[0].snapshot())
    np.testing.assert_array_equal(arrays[0].weights(), arrays[1].weights())


def bad_calls() -> dict[str, Any]:
    fine = np.ones((3, ROWS))
    return {
        "wrong rows": lambda array: array.forward(np.ones((3, ROWS + 1))),
        "NaN": lambda array: array.forward(np.full((3, ROWS), np.nan)),
        "wrong instances": lambda array: array.forward(np.ones((5, 3, ROWS))),
        "wrong weights": lambda array: array.program(np.ones((ROWS + 1, COLS))),
        "samples differ": lambda array: array.update(fine, np.ones((2, COLS))),
        "wrong decay": lambda array: array.update(fine, np.ones((3, COLS)), np.ones(COLS + 1)),
        "unknown mode": lambda array: array.update(fine, np.ones((3, COLS)), mode="magic"),
        "time backwards": lambda array: array.advance(-1.0),
    }


@pytest.mark.parametrize("what", bad_calls())
def test_bad_input_is_refused_and_changes_nothing(what):
    array = taught(TorchCrossbar((ROWS, COLS), HFO2, seed=SEEDS, **settings()))
    before = array.conductance_uS().clone()
    with pytest.raises(InputError):
        bad_calls()[what](array)
    assert torch.equal(array.conductance_uS(), before)


def test_bad_settings_are_refused_with_a_remedy():
    for kept in ({"precision": "float16"}, {"seed": ()}, {"torch_device": "abacus"}):
        with pytest.raises(InputError):
            TorchCrossbar((ROWS, COLS), HFO2, **kept)
    with pytest.raises(InputError):
        TorchCrossbar((0, COLS), HFO2)
    with pytest.raises(CapabilityError, match="readback"):
        TorchCrossbar((ROWS, COLS), PCM, write=WritePath(decay_mode="device"))
    if not torch.cuda.is_available():
        with pytest.raises(CapabilityError, match="no GPU"):
            on_device("cuda")


def test_a_law_without_a_twin_is_named_with_what_to_do(monkeypatch):
    monkeypatch.delitem(_entries("law twin"), devices.load(PCM).law)
    with pytest.raises(CapabilityError, match=r"neurosim\.law_twins"):
        TorchCrossbar((ROWS, COLS), PCM)
    monkeypatch.delitem(_entries("rule twin"), "softhebb")
    with pytest.raises(NeurosimError, match=r"neurosim\.rule_twins"):
        TorchDense(TorchIdeal((ROWS, COLS)), SoftHebb())


@pytest.mark.parametrize("name", [PCM, HFO2, FINE])
def test_without_noise_all_devices_are_alike(name):
    traces = devices.pulse_response(devices.load(name).without_noise(), [1, 1, 1], 50)
    assert np.ptp(traces, axis=1).max() == 0
    assert (np.diff(traces[:, 0]) > 0).all()
    noisy = devices.pulse_response(name, [1, 1, 1], 50)
    assert np.ptp(noisy[1:], axis=1).min() > 0


@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_both_machines_halve_columns_beyond_the_limit_of_an_update(mode):
    weights = np.random.default_rng(0).uniform(-0.4, 0.4, (ROWS, COLS)) * np.tile([1, 0.3], COLS // 2)
    found = []
    for kind in (Crossbar, TorchCrossbar):
        array = kind((ROWS, COLS), HFO2, seed=1, write={"w_max": 0.4, "decay_mode": "gain", "pulse_limit": 1})
        array.program(weights, w_max=0.4)
        array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.zeros(COLS), mode)
        array.column_norms()
        assert np.asarray(array.worn).max() > 1
        found.append(array)
    np.testing.assert_allclose(found[1].conductance_uS(), found[0].conductance_uS(), rtol=1e-5)
    gains = [array.snapshot()["uS_per_weight"] for array in found]
    np.testing.assert_allclose(*gains)
    assert gains[0].min() == gains[0].max() / 2


def test_both_machines_remember_growth_that_depression_pulses_cannot_give():
    found = []
    for kind in (Crossbar, TorchCrossbar):
        array = kind((ROWS, COLS), FINE, seed=1, write={"decay_mode": "device"})
        array.program(small_weights(ROWS, COLS, 4, 0.4), w_max=1.0)
        for decay in (-0.3, 0.1, 0.15, -2.0, 0.7, 0.5):
            array.update(np.zeros((1, ROWS)), np.zeros((1, COLS)), np.full(COLS, decay))
        found.append(array)
    np.testing.assert_allclose(found[1].conductance_uS(), found[0].conductance_uS(), rtol=1e-5)
    assert found[0].ledger.pulses == found[1].ledger.pulses > 0
    np.testing.assert_allclose(*(array.snapshot()["pending_decay"] for array in found), atol=1e-5)
