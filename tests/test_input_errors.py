"""What is given to arrays and settings is refused in one line that names it and the remedy, or taken as it is."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from pydantic import BaseModel

import neurosim as ns
from neurosim import (
    DenseExperiment,
    Draws,
    Faults,
    Frozen,
    IdealArray,
    Programming,
    Refresh,
    Tiles,
    TorchCrossbar,
    Wires,
    devices,
)
from neurosim.core.checks import extents, matrix, vector, whole
from neurosim.core.errors import ConfigError, InputError, NeurosimError, UnknownNameError
from neurosim.core.seeds import generator, key
from neurosim.devices.ideal import Ideal
from neurosim.kernels import jit
from neurosim.spiking.synapses import DeviceSynapses


def every_model(model: type[Frozen] = Frozen) -> list[type[Frozen]]:
    return [model, *(deep for below in model.__subclasses__() for deep in every_model(below))]


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> str:
    said = str(caught.value)
    assert isinstance(caught.value, NeurosimError)
    assert "\n" not in said
    assert "pydantic" not in said
    assert caught.value.__cause__ is None
    return said


# Settings in Python


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (Tiles, {"rows": 128}, "Tiles: unknown key 'rows'; did you mean 'word_lines'? (known: bit_lines, word_lines)"),
        (Tiles, {"columns": 4}, "Tiles: unknown key 'columns'; did you mean 'bit_lines'?"),
        (Tiles, {"word_lines": 0}, "Tiles: word_lines = 0: Input should be greater than or equal to 1"),
        (Tiles, {"word_lines": np.arange(1000)}, "Tiles: word_lines = array([ 0, 1, 2"),
        (ns.ReadPath, {"adc_bit": 8}, "ReadPath: unknown key 'adc_bit'; did you mean 'adc_bits'?"),
        (ns.ReadPath, {"read_noise": -1.0}, "must be at least 0, 'card' or None"),
        (ns.WritePath, {"refresh": {"evry": 3}}, "WritePath: unknown key 'evry' in 'refresh'; did you mean 'every'?"),
        (ns.WritePath, {"programming": {"mode": "shut"}}, "WritePath: programming.mode = 'shut'"),
        (ns.Periphery, {"supply": 1.0}, "did you mean 'supply_V'?"),
        (Refresh, {"low": 0.9}, "Refresh: low = 0.9: must not exceed high = 0.75"),
        (Programming, {"modes": "open"}, "did you mean 'mode'?"),
        (Wires, {"r_word": 1.0}, "did you mean 'r_word_ohm'?"),
        (Faults, {"spares": 2}, "did you mean 'spare_columns'?"),
        (Faults, {"spare_columns": 2}, "Faults: spare_columns are only used with placement = 'aware'"),
        (Draws, {"device": 1}, "did you mean 'devices'?"),
        (DenseExperiment, {"ruel": "hebb"}, "DenseExperiment: unknown key 'ruel'; did you mean 'rule'?"),
        (Ideal, {}, "Ideal: name: Field required; g_min_uS: Field required; g_max_uS"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_said_as_in_a_file(model, given, said):
    with pytest.raises(ConfigError) as caught:
        model(**given)
    assert said in one_line(caught)
    with pytest.raises(ConfigError) as parsed:
        model.parse(given, "my file")
    assert one_line(parsed) == str(caught.value).replace(f"{model.__name__}: ", "my file: ", 1)


def test_every_model_refuses_an_unknown_key_with_the_known_ones():
    models = every_model()
    assert {Tiles, ns.WritePath, DenseExperiment, Ideal} < set(models)
    for model in models:
        with pytest.raises(ConfigError) as caught:
            model(zzz=1)
        said = one_line(caught)
        assert said.startswith(f"{model.__name__}: ")
        assert f"unknown key 'zzz' (known: {', '.join(sorted(model.model_fields))})" in said


def test_a_law_and_a_rule_made_in_python_say_it_too():
    law = devices.load("ideal")
    given = law.model_dump(exclude_unset=True)
    assert type(law)(**given) == law
    with pytest.raises(ConfigError) as caught:
        type(law)(**given, g_min=1.0)
    assert "did you mean 'g_min_uS'?" in one_line(caught)


def test_settings_are_not_assigned():
    tiles = Tiles(word_lines=4)
    with pytest.raises(
        ConfigError, match=r"Tiles.word_lines: .* make others with .changed\(word_lines=...\)"
    ):
        tiles.word_lines = 8
    with pytest.raises(ConfigError, match="unknown key 'rows'; did you mean 'word_lines'"):
        tiles.rows = 8
    with pytest.raises(ConfigError, match="settings stay as they were made"):
        del tiles.word_lines
    assert tiles.changed(word_lines=8) == Tiles(word_lines=8)
    with pytest.raises(UnknownNameError, match="did you mean 'word_lines'"):
        tiles.changed(rows=8)


def test_settings_are_copied_pickled_and_validated_as_before():
    write = ns.WritePath(refresh={"every": 3}, programming=Programming(mode="open"))
    assert write.refresh == Refresh(every=3)
    for same in (copy.copy(write), copy.deepcopy(write), pickle.loads(pickle.dumps(write))):
        assert same == write
    assert write.model_copy(update={"w_max": 2.0}).w_max == 2
    assert ns.WritePath.model_validate_json(write.model_dump_json()) == write

    class Outer(BaseModel):
        tiles: Tiles

    assert Outer(tiles={"word_lines": 4}).tiles == Tiles(word_lines=4)


# Arrays of numbers


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([[1 + 2j, 0]], "x: expected real numbers, got complex ones; give their .real"),
        (np.array([[1j, 0]], object), "x: expected numbers, got 1j among them"),
        (np.array([[np.complex64(1j), 0]], object), "among them"),
        ([["1", "2"]], "x: expected numbers, got list of <U1"),
        (np.array([["1", 2]], object), "x: expected numbers, got '1' among them"),
        ([[None, 1.0]], "x: expected numbers, got None among them"),
        ([[1.0], [1.0, 2.0]], "x: expected numbers, got list"),
        (np.array([["2020-01-01", "2020-01-02"]], "datetime64[D]"), "x: expected numbers"),
        (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), "x: some elements are masked"),
        (torch.ones(1, 2, requires_grad=True), "x: expected numbers, got Tensor"),
        (None, "x: expected numbers, got None"),
        (3.0, "x: expected shape (any x 2), got ()"),
        ([[10**400, 1]], "x: expected numbers"),
        ([[np.nan, 1]], "x: 1 of 2 elements are NaN or infinite; clean the data"),
        ([[np.inf, 1e300]], "x: 2 of 2 elements are NaN or infinite"),
        (
            [[1e300, 1]],
            "x: 1 of 2 elements are beyond what float32 holds, 1e+300 against 3.4e+38; scale them",
        ),
        (np.array([[Decimal("-1e300"), 1]], object), "x: 1 of 2 elements are beyond what float32 holds"),
    ],
)
def test_what_is_no_finite_real_number_is_refused(value, said):
    with pytest.raises(InputError) as caught:
        matrix("x", value, None, 2)
    assert said in one_line(caught)


@pytest.mark.parametrize(
    "value",
    [
        np.array([[True, False]]),
        [[1, 0]],
        np.array([[1, 0]], np.uint8),
        np.array([[1, 0]], np.float16),
        np.array([[Fraction(1), Decimal(0)]], object),
        np.array([[True, 0.0]], object),
        np.ma.masked_array([[1.0, 0.0]]),
        torch.tensor([[1, 0]]),
    ],
)
def test_whatever_is_a_real_number_is_taken(value):
    found = matrix("x", value, None, 2)
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 0]]


def test_large_numbers_are_welcome_where_they_fit():
    assert matrix("x", [[1e300]], precision="float64")[0, 0] == 1e300
    assert matrix("x", [[3e38, 3e38]]).dtype == np.float32  # their sum is infinite, they are not
    with pytest.raises(InputError, match="NaN or infinite"):
        matrix("x", [[np.inf]], precision="float64")


@pytest.mark.parametrize("name", ["pre", "post", "decay"])
@pytest.mark.parametrize("make", [lambda: ns.Crossbar((2, 2), "ideal"), lambda: IdealArray((2, 2))])
def test_numbers_that_grew_without_bound_point_at_the_learning_rate(make, name):
    given = {"pre": np.ones((1, 2)), "post": np.ones((1, 2)), "decay": np.zeros(2)}
    given[name] = given[name] * np.nan
    with pytest.raises(InputError, match=f"{name}: .* NaN or infinite; .*the learning rate is too high"):
        make().update(**given)


def test_complex_tensors_lose_no_part_in_torch():
    array = TorchCrossbar((2, 2), "ideal")
    for x in (torch.ones(1, 2, dtype=torch.complex64), np.ones((1, 2), complex)):
        with pytest.raises(InputError, match="x: expected real numbers"):
            array.forward(x)
    with pytest.raises(InputError, match="decay: expected numbers"):
        array.update(np.ones((1, 2)), np.ones((1, 2)), ["a", "b"])


# Whole numbers


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_whole_numbers_of_any_kind_are_ints(value):
    assert whole("n", value, 3) == 3
    assert type(whole("n", value)) is int


@pytest.mark.parametrize(
    "value", [1.5, 2.0, "a", "3", True, np.True_, None, [1], np.nan, 1j, torch.tensor(True)]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError, match=r"n = .*: expected a whole number") as caught:
        whole("n", value)
    one_line(caught)


def test_a_whole_number_may_be_too_small():
    with pytest.raises(InputError, match="n = 2: must be at least 3"):
        whole("n", 2, 3)


ARRAYS = [
    lambda shape: ns.Crossbar(shape, "ideal"),
    IdealArray,
    lambda shape: TorchCrossbar(shape, "ideal"),
    lambda shape: DeviceSynapses(shape, devices.load("ideal")),
]


@pytest.mark.parametrize("make", ARRAYS)
@pytest.mark.parametrize(
    "shape", [(2.5, 4), ("3", 4), (2, 3, 4), (2,), (), None, 7, "34", (0, 4), (4, -1), (True, 2), (4, None)]
)
def test_a_shape_is_two_whole_numbers(make, shape):
    with pytest.raises(InputError, match=r"shape = .*: expected \(rows, cols\)") as caught:
        make(shape)
    one_line(caught)


@pytest.mark.parametrize("make", ARRAYS)
def test_shapes_may_come_from_numpy_and_torch(make):
    for shape in (np.ones((4, 2)).shape, np.array([4, 2]), [4, 2], torch.ones(4, 2).shape):
        assert make(shape).shape == (4, 2)
    assert [type(extent) for extent in extents(np.array([4, 2]))] == [int, int]


@pytest.mark.parametrize("seed", [1.5, "a", True, None, 2.0])
def test_a_seed_is_a_whole_number(seed):
    for make in (
        lambda: ns.Crossbar((4, 2), "ideal", seed=seed),
        lambda: TorchCrossbar((4, 2), "ideal", seed=seed),
        lambda: TorchCrossbar((4, 2), "ideal", seed=[0, seed]),
        lambda: key(seed, "stream"),
        lambda: generator(seed),
    ):
        with pytest.raises(InputError, match=r"seed = .*: expected a whole number") as caught:
            make()
        one_line(caught)


def test_seeds_may_come_from_numpy():
    assert (key(np.int32(7), "stream") == key(7, "stream")).all()
    assert ns.Crossbar((4, 2), "ideal", seed=np.int64(7)).seed == 7
    assert TorchCrossbar((4, 2), "ideal", seed=np.arange(3)).instances == 3
    assert TorchCrossbar((4, 2), "ideal", seed=range(3)).instances == 3
    assert TorchCrossbar((4, 2), "ideal", seed=np.int64(3)).instances is None


def test_vectors_follow_the_same_rules():
    assert vector("decay", [True, False]).tolist() == [1, 0]
    with pytest.raises(InputError, match=r"decay: expected shape \(3\), got \(2,\)"):
        vector("decay", [0.0, 0.0], 3)


def test_a_number_of_threads_is_a_whole_number(monkeypatch):
    with pytest.raises(InputError, match=r"count = 1.5: expected a whole number"):
        ns.set_threads(1.5)
    for asked, threads in (("3", 3), ("0", 1)):
        monkeypatch.setenv("NEUROSIM_THREADS", asked)
        assert jit._asked_threads() == threads
    monkeypatch.setenv("NEUROSIM_THREADS", "many")
    with pytest.raises(ConfigError, match="NEUROSIM_THREADS = 'many': expected a whole number"):
        jit._asked_threads()


def test_of_hundreds_of_names_the_nearest_are_told():
    names = [f"read.setting_{k}" for k in range(300)] + ["write.noise", "times.read_noise"]
    said = str(UnknownNameError("setting", "times.write_noise", [*names, "write.noise"]))
    assert "did you mean 'times.read_noise'?" in said
    assert "302 are known, the nearest of which are:" in said
    assert "write.noise" in said
    assert said.count(",") < 12
