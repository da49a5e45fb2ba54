"""What holds of wires, clock, precision and checkpoints in every kind of study."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from capability_helpers import (
    KINDS,
    OPTIONS,
    cells,
    experiment,
    states,
    timeless,
    together,
    trained,
    weights,
)
from helpers import HFO2

from neurosim import DenseExperiment, ForwardForwardExperiment, IdealArray, Pool, SpikesExperiment
from neurosim.core.cautions import StillWarning
from neurosim.core.errors import CapabilityError, ConfigError
from neurosim.network.forward_forward import SoftmaxHead
from neurosim.network.images import activate
from neurosim.network.local_fields import locations
from neurosim.network.readout import LinearReadout
from neurosim.study import mortal
from neurosim.study.evaluate import evaluate
from neurosim.study.fields import with_setting
from neurosim.study.forward_forward_build import build_stack, holding
from neurosim.study.store import digest
from neurosim.study.swept import sweep

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_resumed_with_all_options_it_ends_in_the_same_bits(kind: str, tmp_path: Path) -> None:
    whole = trained(kind, together(kind))[0]
    killed, resumed = (type(whole)(whole.experiment, whole.arm, 0, whole.data) for _ in range(2))

    def save() -> None:
        if killed.steps == 2:
            killed.save(tmp_path / "c.npz")

    killed.run(save=save)
    resumed.resume(tmp_path / "c.npz")
    assert resumed.steps == 2
    resumed.run()
    assert states([resumed]) == states([killed]) == states([whole])
    assert timeless(resumed.result()) == timeless(whole.result())


def test_a_window_for_each_layer_is_that_of_its_array_or_refused() -> None:
    """In units of the standard deviation of the start weights, 1 / sqrt(inputs)."""
    spec = ForwardForwardExperiment(
        dataset="digits", widths=(6, 5), arm=[{"name": "A", "device": "ideal", "window": [2.0, 7.0]}]
    )
    stack = build_stack(spec, spec.arms()[0], (8, 8, 1), 10, 0)
    reach = [layer.array.w_max for layer in stack.layers]
    np.testing.assert_allclose(reach, [2 / 8, 7 / np.sqrt(6)], rtol=1e-6)
    held = ForwardForwardExperiment(dataset="digits", widths=(6, 5), window=(2, 7), device=["ideal"])
    assert [layer["window"] for layer in holding(held, held.arms()[0], (8, 8, 1))] == pytest.approx([2, 7])
    with pytest.raises(ConfigError, match="2 layers need 2 values of window"):
        ForwardForwardExperiment.parse({"widths": [6, 5], "window": [1, 2, 3]}, "test")
    for kind in (DenseExperiment, SpikesExperiment):
        with pytest.raises(ConfigError, match=r"window = .*valid number"):
            kind.parse({"arm": [{"name": "A", "device": "ideal", "window": [1.0, 2.0]}]}, "test")


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({"mode": "accumulate", "write": {"verify_reads": 2}}, "write.verify_reads .* 'mixed'"),
        (
            {"mode": "online", "write": {"half_select": True, "pulse_sensitivity_V": 0.2}},
            "write.half_select .* not in mode 'online'",
        ),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_mode_does_not_do_is_refused_before_any_work(
    kind: str, arm: dict[str, Any], words: str
) -> None:
    given = arm if kind in ("dense", "deep", "spikes") else {**arm, "momentum": 0.0}
    with pytest.raises(CapabilityError, match=words):
        experiment(kind, given).check()


class TestPrecision:
    """Double precision is lost nowhere on the way, but where the page says so."""

    @pytest.mark.parametrize(
        "pool", [Pool(), Pool("mean", 3, 1, 1), Pool("max", 3, 1, 1)], ids=lambda p: p.kind
    )
    def test_activation_and_pooling(self, pool: Pool) -> None:
        u = np.random.default_rng(0).standard_normal((2, 6, 6, 7))
        wanted = np.maximum(u - u.mean(axis=-1, keepdims=True), 0) ** 1.4
        if pool.kind != "none":
            fill = 0.0 if pool.kind == "mean" else -np.inf
            edged = np.pad(wanted, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill)
            windows = np.lib.stride_tricks.sliding_window_view(edged, (3, 3), axis=(1, 2))
            wanted = windows.mean(axis=(-2, -1)) if pool.kind == "mean" else windows.max(axis=(-2, -1))
        np.testing.assert_allclose(activate(u.copy(), 1.4, pool), wanted, rtol=1e-13, atol=1e-15)

    def test_heads_take_features_of_either_precision(self) -> None:
        draws = np.random.default_rng(0)
        features, labels = draws.random((40, 6)), draws.integers(0, 3, 40)
        found = []
        for some in (features, features.astype(np.float32)):
            head, readout = SoftmaxHead(6, 3), LinearReadout(6, 3)
            head.learn(some, labels)
            readout.fit(some, labels, 1, dropout=0.5)
            found.append((digest(head.snapshot()), readout.weight.tolist(), readout.predict(some).tolist()))
        assert found[0] == found[1]

    def test_the_ideal_copy_of_a_chip_has_that_of_the_chip(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[Any] = []

        def ideal(*given: Any, **named: Any) -> Any:
            made.append(IdealArray(*given, **named))
            return made[-1]

        monkeypatch.setattr(mortal, "IdealArray", ideal)
        chip, _ = trained("mortal", {"precision": "float64"})
        chip.on_ideal()
        assert [array.precision for array in made] == ["float64", "float64"]


class TestWires:
    FOLLOWED: ClassVar = {
        "r_word_ohm": 100.0,
        "r_bit_ohm": 100.0,
        "method": "exact",
        "every": 10**6,
        "moved": 1e9,
    }

    @pytest.mark.parametrize("kind", KINDS)
    def test_are_solved_exactly_before_a_network_is_asked(self, kind: str) -> None:
        for training in trained(kind, {"wires": self.FOLLOWED}):
            arrays: list[Any] = [place for layer in training.layers for place in locations(layer.array)]
            assert {array.wires_report["solutions"] for array in arrays} == {1}, "followed while it learnt"
            result = training.result()
            assert {array.wires_report["solutions"] for array in arrays} == {2}
            assert any(array.wires_report["largest_followed_error"] > 0 for array in arrays)
            said = [entry["wires"] for entry in result.get("layers", [result])]
            assert [one["solutions"] for one in said] == [
                2 * len(locations(layer.array)) for layer in training.layers
            ]
            worst = max(array.wires_report["largest_followed_error"] for array in arrays)
            assert max(one["largest_followed_error"] for one in said) == worst
            assert {one["method"] for one in said} == {"exact"}

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_them_nothing_is_said_of_them(self, kind: str) -> None:
        result = trained(kind, {})[0].result()
        assert all("wires" not in entry for entry in result.get("layers", [result]))

    def test_read_again_at_other_resistances_an_array_keeps_its_neurons(self, tmp_path: Path) -> None:
        """Gains so far apart that few neurons ever win: an array read bare would let others win."""
        spec = experiment("dense", {"neurons": {"gain_spread": 5.0}})
        (again,) = (
            row for row in sweep(spec, tmp_path, ["wires.ohm=5@reading"])["rows"] if row["arm"] == "a"
        )
        other, learnt = (
            with_setting(spec, "wires.ohm", 5.0),
            spec.training(spec.device_arms()[0], 0, spec.data()),
        )
        learnt.run()
        read = other.training(other.device_arms()[0], 0, other.data())
        read.take_over(learnt)
        found = read.result()
        array: Any = read.layer.array
        bare, _ = evaluate(array, read.data, read.fit, read.test, 1, 0)
        assert (again["accuracy"], again["vote"]) == (found["accuracy"], found["vote"])
        assert found["neurons_used"] < bare["neurons_used"]


WITH_A_CLOCK = [kind for option, kind in cells("yes") if option == "clock"]


class TestClock:
    @pytest.mark.parametrize("kind", WITH_A_CLOCK)
    def test_in_ideal_arithmetic_nothing_ages(self, kind: str) -> None:
        found = []
        settings: dict[str, Any] = {"kinds": ("none",)} if kind == "mortal" else {}
        for seconds in (0.0, 1e6):
            exact = {"device": None, **({"learning_rate": None} if kind == "deep" else {})}
            one = experiment(kind, None if kind == "dense" else exact, **settings)
            spec = one.changed(seconds_per_update=seconds)
            training = spec.training(spec.arms()[0], 0, spec.data())
            training.run()
            assert training.arm.device is None
            found.append(states([training]))
        assert found[0] == found[1]

    @pytest.mark.parametrize("kind", WITH_A_CLOCK)
    def test_a_card_that_says_nothing_of_time_stays_and_warns_once(self, kind: str) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            still = trained(kind, {"device": HFO2, "seconds_per_update": 1e6})
        assert [each.category for each in caught].count(StillWarning) == 1
        for own, without in zip(weights(still), weights(trained(kind, {"device": HFO2})), strict=True):
            np.testing.assert_array_equal(own, without)

    @pytest.mark.parametrize("kind", ["deep", "Forward-Forward", "local fields"])
    def test_stands_where_nothing_learns(self, kind: str) -> None:
        (training,) = trained(kind, {"learns": False, "seconds_per_update": 10.0})
        assert {place.now_s for layer in training.layers for place in locations(layer.array)} == {0.0}


@pytest.mark.parametrize("option", ["wires", "tiles", "faults", "reading delay", "parameters", "write"])
@pytest.mark.parametrize("kind", ["deep", "Forward-Forward"])
def test_ideal_arithmetic_is_given_none_of_its_own(kind: str, option: str) -> None:
    name = next(iter(OPTIONS[option]))
    with pytest.raises(ConfigError, match=f"arm 'a' is in ideal arithmetic, which has no {name}"):
        experiment(kind, {"device": None, **OPTIONS[option]})
    beside = experiment(kind, {"device": None}, **OPTIONS[option]).arms()[0]
    assert beside.deciding() == experiment(kind, {"device": None}).arms()[0].deciding()


@pytest.mark.parametrize("kind", ["deep", "Forward-Forward", "local fields", "mortal"])
def test_images_that_make_no_mini_batch_are_refused_and_not_left_unlearnt(kind: str) -> None:
    given = trained(kind, {})[0]
    with pytest.raises(ConfigError, match="images to learn from make no mini-batch; give more, or a smaller"):
        type(given)(given.experiment.changed(batch=100), given.arm, 0, given.data).run()
