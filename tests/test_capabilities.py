"""Every option with every kind of study, as docs/capabilities.md says it, and what holds for all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from capability_helpers import (
    CELLS,
    EIGHT_BITS,
    KINDS,
    OPTIONS,
    OWN,
    REASONS,
    by_hand,
    cells,
    experiment,
    states,
    timeless,
    together,
    trained,
    weights,
)
from helpers import PCM
from safetensors.torch import save_file
from torch import nn

import neurosim as ns
from neurosim import WeightsExperiment, convert
from neurosim.core.errors import NeurosimError
from neurosim.data import load
from neurosim.devices import load as card
from neurosim.network.readout import single_threaded_torch
from neurosim.reference.chain import Chain
from neurosim.report.html import write_report
from neurosim.report.page import KINDS as PAGES
from neurosim.report.page import write_page
from neurosim.study.effects import causes_on, with_effects
from neurosim.study.run import study
from neurosim.study.store import write_json
from neurosim.study.workers import workers_pool

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")


COMES_OF_IT = ("workers", "ablation", "torch", "sweep", "statistics", "counts", "report")
"""Rows of the table that are no settings of arrays, or have no arrays of ours to be driven by hand."""


def by_hand_too() -> list[tuple[str, str]]:
    """The cells with something to be driven by hand."""
    return [(option, kind) for option, kind in cells("yes") if option not in COMES_OF_IT]


def having(row: str) -> list[str]:
    """The kinds of which the page says yes in a row."""
    return [kind for option, kind in cells("yes") if option == row]


def test_the_table_is_whole_and_every_no_has_its_reason() -> None:
    assert set(CELLS) == {(option, kind) for option in [*OPTIONS, *COMES_OF_IT] for kind in [*KINDS, OWN]}
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


SLOW = [("precision", kind) for kind in KINDS if kind != "dense"] + [("parameters", "spikes")]
"""Cells that only the slow tier looks at: kernels of their own, of an option that another kind of study shows."""


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        pytest.param(*cell, marks=pytest.mark.slow if cell in SLOW else ())
        for cell in by_hand_too()
        if cell[1] in KINDS
    ],
)
def test_an_option_does_what_the_array_does_by_hand(
    option: str, kind: str, plain: dict[str, list[Any]]
) -> None:
    if (option, kind) == ("tiles", "spikes"):  # nothing is converted: they are shorter lines alone
        wires = OPTIONS["wires"]
        agree(kind, {**wires, **OPTIONS[option]}, {kind: weights(trained(kind, wires))})
    else:
        agree(kind, OPTIONS[option], plain)


@pytest.mark.parametrize("kind", KINDS)
def test_all_options_at_once(kind: str, plain: dict[str, list[Any]]) -> None:
    agree(kind, together(kind), plain)


@pytest.mark.parametrize(
    ("option", "kind"),
    [(o, k) for o, k in by_hand_too() if k in KINDS and o != "neurons"],
)
def test_an_experiment_says_it_for_all_its_arms(option: str, kind: str) -> None:
    for_all, for_one = experiment(kind, **OPTIONS[option]), experiment(kind, OPTIONS[option])
    assert for_all.arms()[-1].deciding() == for_one.arms()[-1].deciding()
    assert for_one.arms()[-1].deciding() != experiment(kind).arms()[-1].deciding()


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with workers_pool(2) as lent:
        yield lent


FAINT = ("macs", "write_periphery_J")
"""Totals of arithmetic with what is not zero."""


class TestTorch:
    @pytest.mark.parametrize("kind", [kind for kind in having("torch") if kind != OWN])
    def test_learns_and_answers_as_numba_does(self, kind: str) -> None:
        """In double precision, in which no small answer is zero on one machine alone."""
        read = {"dac_bits": None} if kind == "deep" else {}  # means of its channels lie between two codes
        ours, theirs = (
            trained(kind, {"backend": backend, "precision": "float64", "read": read})
            for backend in ("numba", "torch")
        )
        for own, other in zip(weights(ours), weights(theirs), strict=True):
            np.testing.assert_allclose(other, own, rtol=0, atol=1e-7)
        for numba, found in zip(ours, theirs, strict=True):  # of mortal chips the first and its copy
            counts, own = found.counts(), numba.counts()
            faint = {name: (counts.pop(name), own.pop(name)) for name in FAINT} if kind == "deep" else {}
            assert counts == pytest.approx(own, rel=1e-9)
            for (
                one,
                other,
            ) in faint.values():  # answers below 1e-300, which one machine alone rounds to nothing
                assert one == pytest.approx(other, rel=0.01)
            asked = "heads" if kind == "deep" else "correct"
            assert found.result()[asked] == numba.result()[asked]

    @pytest.mark.parametrize("kind", [kind for option, kind in cells("refused") if option == "torch"])
    def test_is_refused_in_the_words_of_the_page(self, kind: str) -> None:
        (words,) = re.findall(r'"([^"]+)"', REASONS["torch", kind][1])
        with pytest.raises(NeurosimError, match=f"backend = torch: {words}"):
            experiment(kind, {"backend": "torch"}).check()


class TestAblation:
    def row(self, kind: str, axis: str, level: Any, folder: Path) -> dict[str, Any]:
        """The row of the arm on devices at one level."""
        found = ns.sweep(experiment(kind), folder, [axis])
        assert found["blocks"]["done"] == found["blocks"]["all"]
        (row,) = (row for row in found["rows"] if row["arm"] == "a" and level in row.values())
        return dict(row)

    @pytest.mark.parametrize("kind", [kind for option, kind in cells("yes") if option == "ablation"])
    def test_an_effect_is_taken_away_from_the_array_by_hand(
        self, kind: str, plain: dict[str, list[Any]], tmp_path: Path
    ) -> None:
        (given,) = experiment(kind).device_arms()
        off = causes_on(given)["pulse-to-pulse noise"]
        arm = {"parameters": {path.removeprefix("parameters."): value for path, value in off.items()}}
        agree(kind, arm, plain)
        name = "pulse-to-pulse noise"
        row = self.row(kind, f"without=nothing,{name}", name, tmp_path)
        assert row["accuracy"] == trained(kind, arm)[0].result()["accuracy"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of a small perceptron that knows nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    path = tmp_path_factory.mktemp("own") / "w.safetensors"
    save_file(model.state_dict(), path)
    return str(path)


def own_weights(file: str, **given: Any) -> WeightsExperiment:
    small = {"test_images": 40, "calibration_images": 20, "seeds": 2, "times_s": (3600.0,)}
    return WeightsExperiment.parse({"weights": file, "device": (PCM,), **small, **given}, "test")


def of_two_seeds(kind: str, file: str, arm: dict[str, Any], **others: Any) -> Any:
    """The tiny experiment of any kind, with another arm beside where that is of another sort."""
    if kind == OWN:
        return own_weights(file, **others)
    beside: dict[str, Any] = {
        "deep": ({"name": "ideal"}, {"name": "labels", "backpropagation": {"epochs": 1}}),
        "Forward-Forward": ({"name": "ideal"},),
        "local fields": ({"name": "ideal"},),
        "spikes": ({"name": "ideal"},),
    }
    return experiment(kind, arm, beside.get(kind, ()), seeds=2, **others)


class TestWorkers:
    @pytest.mark.parametrize(
        "kind",
        [pytest.param(kind, marks=[] if kind == "dense" else pytest.mark.slow) for kind in having("workers")],
    )
    def test_change_no_number_with_a_folder_or_without(
        self, kind: str, workers: Executor, file: str, tmp_path: Path
    ) -> None:
        spec = of_two_seeds(kind, file, together(kind))
        alone = timeless(study(spec))
        assert timeless(study(spec, executor=workers)) == alone
        assert timeless(study(spec, tmp_path, executor=workers)) == alone
        assert timeless(study(spec, tmp_path, workers=1)) == alone, "as it was kept"
        for kept in (tmp_path / "runs").glob("*.json"):
            kept.unlink()
        assert timeless(study(spec, tmp_path, workers=1)) == alone, "learnt before, asked again"


@pytest.fixture(scope="module")
def swept(file: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A sweep of each kind over two levels of how devices are written."""
    return {
        kind: ns.sweep(
            of_two_seeds(kind, file, {}), tmp_path_factory.mktemp(kind.replace(" ", "-")),
            ["write.mapping=pair,reference"],
        )
        for kind in (*KINDS, OWN)
    }  # fmt: skip


class TestWhatComesOfIt:
    def rows(self, results: dict[str, Any], level: str) -> list[dict[str, Any]]:
        rows = [row for row in results["rows"] if row["counts"] and row["write.mapping"] == level]
        assert [row["seed"] for row in rows] == [0, 1]
        return rows

    @pytest.mark.parametrize("kind", having("sweep"))
    def test_a_level_is_what_the_study_has_with_it(self, kind: str, swept: dict[str, Any], file: str) -> None:
        assert not [row for row in swept[kind]["rows"] if "error" in row]
        write = {"mapping": "reference"}
        spec = of_two_seeds(kind, file, {"write": write}, **({"write": write} if kind == OWN else {}))
        (arm,) = spec.device_arms()
        runs = [spec.run(arm, seed, spec.data(), None, None) for seed in (0, 1)]
        for row, run in zip(self.rows(swept[kind], "reference"), runs, strict=True):
            scores = spec.scores(run)
            assert {name: row[name] for name in scores} == scores
            assert row["counts"] == (run["counts"] if "counts" in run else run["original"]["counts"])

    @pytest.mark.parametrize("kind", having("counts"))
    def test_events_are_counted(self, kind: str, swept: dict[str, Any]) -> None:
        """Programming is counted, of own weights alone; where something learns, so are updates and their pulses."""
        pair, reference = (self.rows(swept[kind], level)[0]["counts"] for level in ("pair", "reference"))
        assert pair["program_J"] > 0
        if kind == OWN:
            assert pair["programmed_cells"] == 2 * (64 * 12 + 12 * 10)
            assert pair["reads"] == pair["updates"] == 0
        else:
            assert pair["programmed_cells"] > 0
            assert pair["updates"] > 0
            assert pair["pulses"] != reference["pulses"]

    @pytest.mark.parametrize("kind", having("statistics"))
    def test_intervals_are_for_new_chips_and_new_images(self, kind: str, swept: dict[str, Any]) -> None:
        for point in swept[kind]["points"]:
            low, high = point["accuracy_interval"]
            assert 0 <= low <= point["accuracy_mean"] <= high <= 1
            gap = point.get("gap_to_ideal_mean")
            if gap is not None:
                low, high = point["gap_interval"]
                assert low <= gap <= high
                assert 0 <= point["gap_p"] <= 1
        told = [point["arm"] for point in swept[kind]["points"] if point.get("gap_p") is not None]
        assert bool(told) == (kind != "mortal"), "mortal chips are compared with the chip that learnt"

    @pytest.mark.parametrize("kind", having("report"))
    def test_a_page_is_made_of_the_results(
        self, kind: str, swept: dict[str, Any], file: str, tmp_path: Path
    ) -> None:
        results = json.loads(json.dumps(study(of_two_seeds(kind, file, {}))))
        write_json(tmp_path / "results.json", results)
        (tmp_path / "sweep").mkdir()
        page = write_page(tmp_path, results) if results["kind"] in PAGES else write_report(tmp_path)
        own = write_page(tmp_path / "sweep", json.loads(json.dumps(swept[kind])))
        for text in (page.read_text(encoding="utf-8"), own.read_text(encoding="utf-8")):
            assert "test set of digits of scikit-learn" in text
            assert 'id="ideals"' in text


class TestOwnWeights:
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
            if run["arm"] != "ideal"
        ]

    @pytest.mark.parametrize("option", [option for option, kind in by_hand_too() if kind == OWN])
    def test_an_option_does_what_the_model_does_by_hand(self, file: str, option: str) -> None:
        results = study(own_weights(file, **OPTIONS[option]))
        assert self.told(results) == self.by_hand(file, OPTIONS[option])
        assert self.told(results) != self.told(study(own_weights(file)))
        assert set(results["config"]) >= set(OPTIONS[option])
        numbers = results["devices"][PCM]["numbers"]
        for name, value in OPTIONS[option].get("parameters", {}).items():
            assert (numbers[name]["value"], numbers[name]["source"]) == (value, "set by the experiment")

    @pytest.mark.parametrize(
        ("option", "kind"), [cell for cell in cells("refused", "no meaning") if cell[0] != "torch"]
    )
    def test_the_others_are_refused_in_the_words_of_the_page(self, file: str, option: str, kind: str) -> None:
        if kind != OWN:
            (words,) = re.findall(r'"([^"]+)"', REASONS[option, kind][1])
            with pytest.raises(NeurosimError, match=words):
                experiment(kind, OPTIONS[option]).check()
            return
        if option == "ablation":
            with pytest.raises(NeurosimError, match=re.findall(r'"([^"]+)"', REASONS[option, kind][1])[0]):
                with_effects(own_weights(file), "without", "nothing")
            return
        with pytest.raises(NeurosimError) as refused:
            study(own_weights(file, **OPTIONS[option]))
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
            study(own_weights(file, **given))
