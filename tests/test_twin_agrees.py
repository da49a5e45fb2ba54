"""Every device and every rule that is registered agrees with its torch twin; a new one is picked up unasked."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from neurosim import (
    Arm,
    Crossbar,
    DenseExperiment,
    ForwardForwardArm,
    MortalExperiment,
    Neurons,
    ReadPath,
    WritePath,
)
from neurosim.core import registry
from neurosim.core.errors import ConfigError
from neurosim.devices import cards, load
from neurosim.reference import agreement
from neurosim.reference.agreement import (
    OPERATIONS,
    VARIANTS,
    compare_operations,
    compare_rule,
    difference,
    variants,
)
from neurosim.report.validation import training_rows
from neurosim.study import validate as validation
from neurosim.study.validate import judged, train_once, validate

PRECISIONS = ("float32", "float64")
CARDS = sorted(cards())


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Arrays of 40 x 24: a few thousand results, so that a single differing one breaks the bound."""
    monkeypatch.setattr(agreement, "SHAPE", (40, 24))


@pytest.mark.parametrize("law", registry.names("device law"))
def test_every_law_has_a_card_and_a_twin(law):
    assert law in registry.names("law twin")
    assert any(load(name).law == law for name in CARDS)


FIRST = {
    load(name).law: name for name in sorted(CARDS, key=lambda name: load(name).is_surrounded, reverse=True)
}
"""One card of each law, without effects around it if there is one: the others run the same kernels."""
COMMON = ("rram-hfo2-om-2022",)
"""Cards whose single precision every run compares in every operation; some of each law are in test_compiled."""
CASES: list[Any] = [(name, "float32", True) for name in COMMON]
_ALL = [*product(FIRST.values(), ("float32",), (False,)), *product(FIRST.values(), ("float64",), (True,))]
_ALL += [(name, "float32", True) for name in CARDS]
CASES += [pytest.param(*case, marks=pytest.mark.slow) for case in _ALL if case not in CASES]
"""The slow tier compares every card, each law without noise, and each in double precision."""


@pytest.mark.parametrize(("card", "precision", "noise"), CASES)
def test_every_operation_agrees(card, precision, noise):
    lines = list(compare_operations(load(card), precision, noise, seed=5))
    assert len(lines) >= len(OPERATIONS) - 3
    for line in lines:
        assert line.holds, line
        assert line.differing == 0, line


@pytest.mark.parametrize(("rule", "precision"), list(product(registry.names("rule"), PRECISIONS)))
def test_every_rule_agrees(rule, precision):
    for name, variant in variants(registry.find("rule", rule)).items():
        line = compare_rule(variant, precision, name=name)
        assert line.on == name
        assert line.holds, line
        assert line.differing == 0, line


@pytest.mark.parametrize("rule", registry.names("rule"))
def test_every_rule_has_a_twin_and_no_switch_is_left_out(rule):
    assert rule in registry.names("rule twin")
    kind = registry.find("rule", rule)
    switches = {name for name, field in kind.model_fields.items() if field.annotation is bool}
    assert switches <= {name for settings in VARIANTS for name in settings}


TRIED = (FIRST["pcm-accumulative"], FIRST["soft-bounds"])
"""Cards on which every run sees that there is something to compare."""


@pytest.mark.parametrize(
    "card", [pytest.param(name, marks=() if name in TRIED else pytest.mark.slow) for name in FIRST.values()]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_do_something_worth_comparing(card, name):
    device, operation = load(card), OPERATIONS[name]
    if not operation.needs(device) or name in ("construct", "forward", "column norms", "calibrate"):
        return
    array = Crossbar(agreement.SHAPE, device, read=ReadPath(adc_bits=8), write=WritePath(**operation.write))
    given = agreement.task(device, 0, "float32")
    array.program(agreement.start_weights(0), w_max=array.w_max)
    before, pulses = array.conductance_uS(), array.ledger.pulses
    operation.do(array, given)
    if name == "a moment, forward":
        assert device.volatile_share or device.gate_step or np.array_equal(array.conductance_uS(), before)
        return
    if name == "drift, forward":
        assert not device.drifts or (array.conductance_uS() != before).mean() > 0.3
        return
    assert (array.conductance_uS() != before).mean() > 0.005
    if name != "program":
        assert array.ledger.pulses > pulses
    if name.startswith("refresh"):
        assert array.ledger.refreshed_pairs > 5
    if name == "decay, readback":
        assert array.ledger.rows_read_back == agreement.SHAPE[0]


def test_a_difference_is_found():
    one = {"state x": np.array([1.0, 2.0, 3.0, 1e-9])}
    other = {"state x": np.array([1.0, 2.0 + 1e-4, 3.0, 2e-9])}
    line = difference("op", "device", "float32", True, one, other)
    assert not line.holds
    assert line.differing == 0.25
    assert line.absolute == pytest.approx(1e-4)
    assert line.relative == pytest.approx(1e-4 / 2.0001, rel=1e-6)


def test_a_wrong_twin_is_found(monkeypatch):
    from neurosim.reference.twin.pcm import PcmTwin

    right = PcmTwin.pulse

    def wrong(self, state, counts, most, now_s, draw):
        changed, energy = right(self, state, counts, most, now_s, draw)
        return {**changed, "conductance": changed["conductance"] * (1 + 3e-5 * (counts > 0))}, energy

    monkeypatch.setattr(PcmTwin, "pulse", wrong)
    found = {
        line.operation: line.holds
        for line in compare_operations(load("pcm-nandakumar-2018"), "float32", True)
    }
    assert not found["update, accumulate"]
    assert not found["update, online"]
    assert found["forward"]
    assert found["program"]


TINY = DenseExperiment(
    dataset="digits", train_images=300, neurons=30, curve_points=0, readout_epochs=2,
    arm=(Arm(name="PCM", device="pcm-nandakumar-2018", mode="mixed"),),
)  # fmt: skip


@pytest.mark.slow
def test_a_training_on_both_backends_agrees_and_a_killed_validation_goes_on(tmp_path):
    both = [TINY, validation.short_network()]
    results = validate(PRECISIONS, ("ideal",), both, out=tmp_path)
    assert results["holds"]
    assert [line["precision"] for line in results["training"]] == [*PRECISIONS, *PRECISIONS]
    assert [each["widths"] for each in results["others"]] == [[40, 30]]
    layer, network = results["training"][:2], results["training"][2:]
    for line in (*layer, *network):
        assert line["pulses"]["numba"] == line["pulses"]["torch"] > 1000
    for line in layer:
        assert line["scores"] == ["accuracy", "vote"]
        assert line["accuracy"]["classified_differently"] == 0
    for score in ("goodness", "softmax"):
        assert network[1][score]["classified_differently"] == 0
        assert network[1][score]["numba"] == network[1][score]["torch"] > 0.15
    assert [row[3] for row in training_rows(results)[1]] == 2 * ["readout", "vote"] + 2 * [
        "goodness",
        "softmax",
    ]
    assert len(results["divergence"]) == 1, "of one layer alone"
    points = results["divergence"][0]["points"]
    assert [point["updates"] for point in points] == [1, 2, 5]
    assert points[0]["differing"] <= 1e-5
    kept = sorted(path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir())
    again = validate(PRECISIONS, ("ideal",), both, out=tmp_path)
    assert again["training"] == results["training"]
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()) == kept


def test_what_one_machine_trains_is_refused_before_any_work():
    chips = MortalExperiment(dataset="digits", widths=(10,), kinds=("devices",),
                             arm=(ForwardForwardArm(device="pcm-nandakumar-2018"),))  # fmt: skip
    with pytest.raises(ConfigError, match="validate: a study of kind 'mortal' trains several chips a seed"):
        validate(("float64",), ("ideal",), chips)


@pytest.mark.parametrize("neurons", [None, Neurons(power_spread=0.02, gain_spread=0.02, saturation=9.0)])
def test_both_backends_classify_by_the_same_answers(neurons):
    arm = TINY.arm[0].changed(neurons=neurons)
    spec = TINY.with_arms([arm])
    spec.changed(backend="torch").check()
    runs = [train_once(spec.changed(backend=name), arm, 1, None) for name in ("numba", "torch")]
    assert runs[0]["answers"] == runs[1]["answers"]
    assert runs[0]["accuracy"] == runs[1]["accuracy"] > 0.2


@pytest.mark.slow
def test_validate_ends_with_one_when_a_bound_fails(monkeypatch, capsys):
    import sys

    from neurosim import cli
    from neurosim.study import validate as study

    monkeypatch.setattr(study, "short_training", lambda: TINY)
    monkeypatch.setattr(agreement, "BOUNDS", {"float32": 0.0, "float64": 0.0})
    arguments = ["neurosim", "validate", "--device", "rram-hfo2-om-2022", "--dtype", "float32"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert "DISAGREE" in capsys.readouterr().out


def line(seed: int, precision: str, numba: float, torch: float) -> dict:
    scores = {score: {"numba": numba, "torch": torch} for score in ("accuracy", "vote")}
    return {"arm": "a", "seed": seed, "precision": precision, "test_size": 10_000, **scores}


@pytest.mark.parametrize(
    ("precision", "pairs", "holds"),
    [
        ("float64", [(0.95, 0.95), (0.94, 0.9404)], True),
        ("float64", [(0.95, 0.95), (0.94, 0.941)], False),
        ("float32", [(0.95, 0.953)], True),
        ("float32", [(0.95, 0.96)], False),
        ("float32", [(0.95, 0.94), (0.93, 0.945), (0.94, 0.938)], True),
        ("float32", [(0.95, 0.94), (0.93, 0.92), (0.94, 0.9301)], False),
        ("float32", [(0.95, 0.9502), (0.93, 0.9302), (0.94, 0.9402)], True),
    ],
)
def test_a_training_is_judged_by_its_seeds(precision, pairs, holds):
    lines = [line(seed, precision, *pair) for seed, pair in enumerate(pairs)]
    assert {one["holds"] for one in judged(lines)} == {holds}
