"""Arrays take their settings as models or as dicts of fields, and refuse all else at once, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import HFO2, PCM, bits
from torch import nn

import neurosim as ns
from neurosim import Dense, IdealArray, TorchCrossbar, TorchDense, convert
from neurosim.core.errors import ConfigError, InputError
from neurosim.reference.twin.arithmetic import TorchIdeal
from neurosim.rules import Oja

MODELS: dict[str, Any] = {
    "read": ns.ReadPath(adc_bits=6), "write": ns.WritePath(w_max=2.0), "periphery": ns.Periphery(mac_pJ=0.1),
    "wires": ns.Wires(r_word_ohm=2.0), "tiles": ns.Tiles(word_lines=2), "faults": ns.Faults(dead_columns=0.3),
    "draws": ns.Draws(devices=5),
}  # fmt: skip
MACHINES = (ns.Crossbar, TorchCrossbar, ns.SlicedCrossbar)


def test_dicts_are_the_models_that_they_name() -> None:
    dicts = {name: model.model_dump(exclude_unset=True) for name, model in MODELS.items()}
    one, other = ns.Crossbar((4, 6), HFO2, **MODELS), ns.Crossbar((4, 6), HFO2, **dicts)
    for array in (one, other):
        array.program(np.full((4, 6), 0.5))
        array.update(np.ones((1, 4)), np.full((1, 6), 0.1))
    assert bits(one) == bits(other)
    for name, model in MODELS.items():
        assert getattr(other, name) == model
    few = {name: dicts[name] for name in ("read", "write", "periphery")}
    assert TorchCrossbar((4, 6), HFO2, **few).write == MODELS["write"]
    assert ns.SlicedCrossbar((4, 6), HFO2, **few).slices[0].read == MODELS["read"]
    assert convert(nn.Linear(4, 3), PCM, read=few["read"], write=few["write"]).layers["model"].w_max_given


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"read": {"adc_bit": 8}}, r"read: .*adc_bit.*did you mean 'adc_bits'"),
        ({"read": {"adc_bits": 99}}, "read: .*adc_bits"),
        ({"read": 8}, r"read: expected ReadPath\(\.\.\.\) or a dict of its settings, got int"),
        ({"write": ns.ReadPath()}, r"write: expected WritePath\(\.\.\.\) or a dict"),
        ({"periphery": "none"}, "periphery: expected Periphery"),
    ],
)
def test_other_settings_fail_where_they_are_given(machine: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        machine((3, 2), PCM, **given)


@pytest.mark.parametrize("name", ["wires", "tiles", "faults", "draws"])
def test_hardware_too(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected .* or a dict"):
        ns.Crossbar((3, 2), PCM, **{name: True})
    with pytest.raises(ConfigError, match=f"{name}: .*nothing"):
        ns.Crossbar((3, 2), PCM, **{name: {"nothing": 1}})


@pytest.mark.parametrize("precision", ["float16", "double", np.float16, int, list, None, 32])
def test_two_precisions_and_no_other(precision: Any) -> None:
    builders = [IdealArray, TorchIdeal, *(lambda shape, m=m, **o: m(shape, PCM, **o) for m in MACHINES)]
    for build in builders:
        with pytest.raises(InputError, match=r"precision = .*: must be one of float32, float64"):
            build((3, 2), precision=precision)


def test_numpys_types_of_these_names_are_they() -> None:
    for given in (np.float64, np.dtype("float64")):
        for machine in (*MACHINES, lambda shape, device, **o: IdealArray(shape, **o)):
            array = machine((3, 2), PCM, precision=given)
            assert getattr(array, "slices", [array])[0].precision == "float64"


def test_ideal_arithmetic_in_torch_takes_real_numbers_only() -> None:
    array = TorchIdeal((3, 2))
    good, pre = np.ones((4, 2)), np.ones((4, 3))
    for bad in (1j * pre, torch.ones(4, 3, dtype=torch.complex64)):
        with pytest.raises(InputError, match="x: expected real numbers"):
            array.forward(bad)
        with pytest.raises(InputError, match="pre: expected real numbers"):
            array.update(bad, good)
        with pytest.raises(InputError, match="x: expected real numbers"):
            TorchDense(array, Oja()).learn(bad)
    for bad in (1j * good, "ab"):
        with pytest.raises(InputError, match="post: expected"):
            array.update(pre, bad)
    with pytest.raises(InputError, match="weights: expected real"):
        array.program(1j * np.ones((3, 2)))
    assert not array.weights().any()
    array.update(pre, good)
    other = Dense(IdealArray((3, 2)), Oja())
    other.array.update(pre, good)
    np.testing.assert_allclose(array.weights(), other.array.weights())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bits": 2.0}, "bits = 2.0: expected a whole number"),
        ({"slices": True}, "slices = True: expected a whole number"),
        ({"bits": 0}, "bits = 0: must be at least 1"),
        ({"slices": -1}, "slices = -1: must be at least 1"),
        ({"bits": 9, "slices": 6}, "at most 52 bits"),
    ],
)
def test_bits_and_slices_are_whole_numbers(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ns.SlicedCrossbar((3, 2), PCM, **given)


def test_slices_of_the_most_bits_hold_the_weight() -> None:
    array = ns.SlicedCrossbar((3, 2), "ideal", bits=np.int64(4), slices=13, write={"w_max": 1.0})
    array.program(np.full((3, 2), 0.7))
    np.testing.assert_allclose(array.weights(), 0.7, rtol=1e-5)
