"""Every option with every kind of study, as docs/capabilities.md says it, and what holds for all of them."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from capability_helpers import (
    EIGHT_BITS,
    KINDS,
    OPTIONS,
    TOGETHER,
    by_hand,
    experiment,
    states,
    trained,
    weights,
)
from helpers import HFO2, PCM, ROOT
from safetensors.torch import save_file
from torch import nn

import neurosim as ns
from neurosim.core.cautions import StillWarning
from neurosim.core.errors import ConfigError, NeurosimError
from neurosim.data import load
from neurosim.devices.card import load as card
from neurosim.network.local_fields import locations
from neurosim.network.readout import single_threaded_torch
from neurosim.reference.chain import Chain
from neurosim.reference.convert import convert
from neurosim.study.evaluate import evaluate
from neurosim.study.rewire import rewire
from neurosim.study.run import pool, study
from neurosim.study.transfer import Transfer, transfer

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

PAGE = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
OWN = "own weights"
LINES = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"
]
CELLS = {
    (option, kind): said
    for option, *row in LINES[2:]
    for kind, said in zip(LINES[0][1:], row, strict=True)
}  # fmt: skip
"""What the page says of each option and kind."""
REASONS = {
    (option, kind): (said, reason)
    for kind, option, said, reason in re.findall(
        r"^- ([^,\n]+), ([^:\n]+): (refused|no meaning), because ((?:.|\n  )+)", PAGE, re.MULTILINE
    )
}


def cells(*said: str) -> list[tuple[str, str]]:
    """Options and kinds of which the page says one of these."""
    return [cell for cell, words in CELLS.items() if words in said]


def learning() -> list[tuple[str, str]]:
    """The same of which kinds that learn have something to be driven by hand."""
    return [(option, kind) for option, kind in cells("yes") if kind in KINDS and option != "workers"]


def test_the_table_is_whole_and_every_no_has_its_reason() -> None:
    assert set(CELLS) == {(option, kind) for option in [*OPTIONS, "workers"] for kind in [*KINDS, OWN]}
    assert set(CELLS.values()) == {"yes", "refused", "no meaning"}
    assert {cell: said for cell, (said, _) in REASONS.items()} == {
        cell: said for cell, said in CELLS.items() if said != "yes"
    }


@pytest.fixture(scope="module")
def plain() -> dict[str, list[Any]]:
    """Weights that each kind learns without any of the options."""
    return {kind: weights(trained(kind, {})) for kind in KINDS}


def agree(kind: str, arm: dict[str, Any], plain: dict[str, list[Any]]) -> None:
    """Compare what a study learns with the same arrays driven by hand, to the bit, and with what it learns without."""
    found = trained(kind, arm)
    assert states(found) == states(by_hand(kind, arm))
    assert any(
        not np.array_equal(own, without) for own, without in zip(weights(found), plain[kind], strict=True)
    )
    assert {layer.array.precision for each in found for layer in each.layers} == {
        arm.get("precision", "float32")
    }
    for training in found:
        assert 0 <= training.result()["accuracy"] <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_any_option_a_study_is_what_is_driven_by_hand(kind: str) -> None:
    assert states(trained(kind, {})) == states(by_hand(kind, {}))


@pytest.mark.parametrize(("option", "kind"), learning())
def test_an_option_does_what_the_array_does_by_hand(
    option: str, kind: str, plain: dict[str, list[Any]]
) -> None:
    agree(kind, OPTIONS[option], plain)


@pytest.mark.parametrize("kind", KINDS)
def test_all_options_at_once(kind: str, plain: dict[str, list[Any]]) -> None:
    agree(kind, TOGETHER, plain)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "neurons"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_experiment_says_it_for_all_its_arms(option: str, kind: str) -> None:
    for_all, for_one = experiment(kind, **OPTIONS[option]), experiment(kind, OPTIONS[option])
    assert for_all.arms()[-1].deciding() == for_one.arms()[-1].deciding()
    assert for_one.arms()[-1].deciding() != experiment(kind).arms()[-1].deciding()


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

    def test_read_again_at_other_resistances_an_array_keeps_its_neurons(self) -> None:
        """Gains so far apart that few neurons ever win: an array read bare would let others win."""
        spec = experiment("dense", {"neurons": {"gain_spread": 5.0}})
        (again,) = rewire(spec, [0.0], [64], [0.0], 64)["runs"]
        training = spec.training(spec.device_arms()[0], 0, spec.data())
        training.run()
        array: Any = training.layer.array
        bare, _ = evaluate(array, training.data, training.fit, training.test, 1, 0)
        assert again["neurons_used"] == training.result()["neurons_used"] < bare["neurons_used"]


class TestClock:
    @pytest.mark.parametrize("kind", KINDS)
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

    @pytest.mark.parametrize("kind", KINDS)
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


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with pool(2) as lent:
        yield lent


class TestWorkers:
    @pytest.mark.parametrize("kind", [kind for option, kind in cells("yes") if option == "workers"])
    def test_change_no_number_with_a_folder_or_without(
        self, kind: str, workers: Executor, tmp_path: Path
    ) -> None:
        beside: dict[str, Any] = {
            "deep": {"name": "labels", "backpropagation": {"epochs": 1}},
            "Forward-Forward": {"name": "exact"},
        }
        others = (beside[kind],) if kind in beside else ()
        spec = experiment(kind, TOGETHER, others, seeds=2)
        alone = timeless(study(spec))
        assert timeless(study(spec, executor=workers)) == alone
        assert timeless(study(spec, tmp_path, executor=workers)) == alone
        assert timeless(study(spec, tmp_path, workers=1)) == alone, "as it was kept"
        for kept in (tmp_path / "runs").glob("*.json"):
            kept.unlink()
        assert timeless(study(spec, tmp_path, workers=1)) == alone, "learnt before, asked again"


def timeless(found: Any) -> Any:
    """Results without what a clock on the wall says."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if not key.startswith("seconds")}
    return [timeless(value) for value in found] if isinstance(found, list) else found


@pytest.mark.parametrize("option", ["wires", "tiles", "faults", "reading delay", "parameters", "write"])
@pytest.mark.parametrize("kind", ["deep", "Forward-Forward"])
def test_ideal_arithmetic_is_given_none_of_its_own(kind: str, option: str) -> None:
    name = next(iter(OPTIONS[option]))
    with pytest.raises(ConfigError, match=f"arm 'a' is in ideal arithmetic, which has no {name}"):
        experiment(kind, {"device": None, **OPTIONS[option]})
    beside = experiment(kind, {"device": None}, **OPTIONS[option]).arms()[0]
    assert beside.deciding() == experiment(kind, {"device": None}).arms()[0].deciding()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of a small perceptron that knows nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    path = tmp_path_factory.mktemp("own") / "w.safetensors"
    save_file(model.state_dict(), path)
    return str(path)


class TestOwnWeights:
    def spec(self, file: str, **given: Any) -> Transfer:
        small = {"test_images": 40, "calibration_images": 20, "instances": 2, "times_s": (3600.0,)}
        return Transfer.parse({"weights": file, "device": (PCM,), **small, **given}, "test")

    def by_hand(self, file: str, option: dict[str, Any]) -> list[dict[str, Any]]:
        """Points of each instance: as programmed, after an hour, and compensated."""
        data = load("digits").subset(test=40)
        typical, test = (
            torch.from_numpy(data.inputs(images)).reshape(-1, 1, 8, 8)
            for images in (data.training(hold_out=False).images[:20], data.x_test)
        )
        device = card(PCM).with_parameters(**option.get("parameters", {}))
        read = ns.ReadPath(**EIGHT_BITS, **option.get("read", {}))
        write = ns.WritePath(**option.get("write", {}))
        with single_threaded_torch():
            model = convert(Chain(Path(file), None, (1, 8, 8), 10).model, device, range(2), read, write)
            model.calibrate(typical)
            labels = torch.from_numpy(data.y_test)

            def right() -> list[float]:
                found: list[float] = (model(test).argmax(-1) == labels).double().mean(-1).tolist()
                return found

            found = [right()]
            program = [ledger.program_J for ledger in model.ledgers]
            model.advance(3600.0)
            found.append(right())
            gains = torch.stack(list(model.compensate().values())).T.tolist()
            found.append(right())
        return [
            {"accuracy": list(each), "gain": gain, "program_J": joule}
            for *each, gain, joule in zip(*found, gains, program, strict=True)
        ]

    def told(self, results: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "accuracy": [point["accuracy"] for point in run["points"]],
                "gain": run["points"][-1]["gain"],
                "program_J": run["energy"]["program_J"],
            }
            for run in results["runs"]
        ]

    @pytest.mark.parametrize("option", [option for option, kind in cells("yes") if kind == OWN])
    def test_an_option_does_what_the_model_does_by_hand(self, file: str, option: str) -> None:
        results = transfer(self.spec(file, **OPTIONS[option]))
        assert self.told(results) == self.by_hand(file, OPTIONS[option])
        assert self.told(results) != self.told(transfer(self.spec(file)))
        assert set(results["config"]) >= set(OPTIONS[option])
        numbers = results["devices"][PCM]["numbers"]
        for name, value in OPTIONS[option].get("parameters", {}).items():
            assert (numbers[name]["value"], numbers[name]["source"]) == (value, "set by the experiment")

    @pytest.mark.parametrize(("option", "kind"), cells("refused", "no meaning"))
    def test_the_others_are_refused_in_the_words_of_the_page(self, file: str, option: str, kind: str) -> None:
        assert kind == OWN, "every kind that learns takes every option"
        if option == "workers":
            assert "workers" not in inspect.signature(transfer).parameters
            return
        with pytest.raises(NeurosimError) as refused:
            transfer(self.spec(file, **OPTIONS[option]))
        for words in re.findall(r'"([^"]+)"', REASONS[option, kind][1]):
            assert words in str(refused.value)
        assert next(iter(OPTIONS[option])) in str(refused.value)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"backend": "numba"}, "backend: own weights are read by the torch backend alone; leave it out"),
            ({"mode": "mixed"}, "mode: nothing learns from weights trained elsewhere; leave it out"),
            ({"window": 2.0}, "window: percentile, or write.w_max, says .* leave it out"),
            ({"write": {"pair": "separate"}}, "write.pair = 'separate': not in the torch backend, .* leave it out"),
            ({"write": {"w_max": 1.0}, "percentile": 99.0}, "percentile = 99.0: write says .* give one of both"),
            ({"parameters": {"p_stuck": 0.1}}, "p_stuck"),
        ],
    )  # fmt: skip
    def test_so_is_what_else_means_nothing_there(self, file: str, given: dict[str, Any], words: str) -> None:
        with pytest.raises(NeurosimError, match=words):
            transfer(self.spec(file, **given))
