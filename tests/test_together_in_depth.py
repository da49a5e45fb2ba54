"""Batches of seeds of deep networks and of Forward-Forward: each chip's bits whoever learns beside it, and what it learns alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from capability_helpers import experiment, states, weights
from helpers import slow_unless

from neurosim import ForwardForwardStack, Neurons, Together, TorchConvolution, TorchCrossbar, TorchDense
from neurosim.core.errors import ConfigError, InputError
from neurosim.network.forward_forward import SoftmaxHead
from neurosim.rules import ForwardForward, SoftHebb
from neurosim.study import kept_runs
from neurosim.study.run import study
from neurosim.study.together import _waiting
from neurosim.study.validate import TWINS_DIFFER

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

FF, FIELDS = "Forward-Forward", "local fields"
UNKNOWN = Neurons(gain_spread=0.3, power_spread=0.2, saturation=2.0)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "deep, all layers": ("deep", {"seconds_per_update": 10.0}, {"train_images": 40, "depth": 2}),
    "deep, greedy": ("deep", {"statistics": "running"}, {"train_images": 40, "schedule": "greedy"}),
    "deep, neurons differ": ("deep", {"neurons": Neurons(gain_spread=0.05)}, {"train_images": 40}),
    "deep, nothing learns": ("deep", {"learns": False}, {"train_images": 40}),
    "deep, images moved": (
        "deep", {}, {"train_images": 40, "augment": {"crop": 2, "flip": True, "layers": True}, "head_of_all": True},
    ),
    FF: (FF, {"seconds_per_update": 10.0}, {}),
    "apart": (FF, {"phases": "apart", "samples": {"jitter": 1}}, {}),
    "three negatives": (FF, {"samples": {"negatives": "uniform", "negatives_per_sample": 3}}, {}),
    "neurons differ": (FF, {"neurons": UNKNOWN, "read": {"adc_bits": 8}}, {}),
    "without labels": (FF, {"samples": {"negatives": "uniform"}}, {"supervised": False}),
    "sample by sample": (FF, {"momentum": 0.0, "settings": {"jump": 0.3}}, {"online": True, "train_images": 30}),
    FIELDS: (FIELDS, {}, {}),
}  # fmt: skip
SEEDS = (0, 1, 2)


@pytest.fixture(autouse=True)
def nothing_learnt():
    _waiting.clear()


def begun(case: str, seed: int, **changes: Any) -> Any:
    """The training of a case with a seed, not begun."""
    kind, arm, others = CASES[case]
    spec = experiment(kind, {**arm, "backend": "torch", "precision": "float64"}, seeds=3, **others, **changes)
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    return spec.training(chosen, seed, spec.data())


def learnt(case: str, seed: int, **changes: Any) -> Any:
    training = begun(case, seed, **changes)
    training.run()
    return training


@pytest.mark.parametrize("case", CASES)
def test_a_chip_of_a_batch_is_the_chip_alone(case: str):
    """In double precision, in which sums in another order change no pulse here."""
    start = weights([begun(case, 2)])
    alone, beside = learnt(case, 2), learnt(case, 2, together=3)
    for one, other, before in zip(weights([alone]), weights([beside]), start, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
        assert CASES[case][1].get("learns") is False or np.abs(one - before).max() > 1e-3
    for name, count in alone.counts().items():
        assert beside.counts()[name] == pytest.approx(count, rel=1e-9), name
    assert beside.steps == alone.steps
    first, second = alone.result(), beside.result()
    assert abs(first["accuracy"] - second["accuracy"]) <= TWINS_DIFFER
    assert [len(run.get("curve", [])) for run in (first, second)] == [len(alone.curve)] * 2
    if not case.startswith("deep"):
        np.testing.assert_allclose(beside.head.snapshot()["weights"], alone.head.snapshot()["weights"], atol=1e-5)  # fmt: skip
        assert second["curve"] == first["curve"]


@pytest.mark.parametrize("case", [slow_unless(False, "deep, all layers"), FF, FIELDS])
def test_a_chip_has_its_bits_whoever_learns_beside_it(case: str):
    whole = [states([learnt(case, seed, together=3)]) for seed in SEEDS]
    _waiting.clear()
    assert states([learnt(case, 1, together=3, first_seed=1)]) == whole[1]
    assert whole[0] != whole[1] != whole[2]


@pytest.mark.parametrize("case", [slow_unless(False, "deep, all layers"), FF])
def test_a_study_learns_a_batch_once(case: str, tmp_path, monkeypatch):
    began, learn = [], Together.run
    monkeypatch.setattr(Together, "run", lambda self, *rest: (began.append(self.seeds), learn(self, *rest)))
    spec = begun(case, 0, together=2).experiment
    first = study(spec, tmp_path)
    assert began == [[0, 1], [2]]
    assert not _waiting
    assert study(spec, tmp_path)["runs"] == first["runs"]
    assert began == [[0, 1], [2]]


def mortal(monkeypatch, **changes: Any) -> tuple[list[Any], list[Any], list[list[int]]]:
    """Trainings of a small study of mortal chips and their results, and the seeds of each batch that learnt."""
    began, learn, trained = [], Together.run, []
    monkeypatch.setattr(Together, "run", lambda self, *rest: (began.append(self.seeds), learn(self, *rest)))
    finish = kept_runs.finished
    monkeypatch.setattr("neurosim.study.mortal.finished", lambda training, *rest: (trained.append(training), finish(training, *rest))[1])  # fmt: skip
    others = {"chips": 2, "seeds": 2, "relearn_rate": 0.5, "train_images": 30, **changes}
    arm = {
        "backend": "torch", "precision": "float64", "device": "ecram-li-tang-2018", "settings": {"learning_rate": 2.0}, "seconds_per_update": 10.0,
        "parameters": {"p_stuck_between": 0.1}, "neurons": Neurons(gain_spread=0.2), "read": {"adc_bits": 8, "dac_bits": 8},
    }  # fmt: skip
    spec = experiment("mortal", arm, **others)
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "a")
    data = spec.data()
    found = [spec.run(chosen, spec.first_seed + k, data, None, None) for k in range(spec.seeds)]
    monkeypatch.undo()
    return trained, [run for each in found for run in (each["original"], *each["copies"])], began


@pytest.mark.parametrize(
    "kinds", [("devices",), pytest.param(("faults", "neurons", "none"), marks=pytest.mark.slow)]
)
def test_mortal_chips_of_a_batch_are_the_chips_alone(monkeypatch, kinds: tuple[str, ...]):
    """Originals as seeds of an arm; copies as chips that one network goes to, for each way in which they differ."""
    alone, results, batches = mortal(monkeypatch, kinds=kinds)
    assert batches == []
    beside, others, batches = mortal(monkeypatch, together=2, kinds=kinds)
    assert [len(seeds) for seeds in batches] == [2] * (
        1 + 2 * len(kinds) + 2
    )  # originals, kinds, from scratch
    assert not _waiting
    for one, other in zip(weights(alone), weights(beside), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
    for one, other in zip(results, others, strict=True):
        curves = [[point["goodness"] for point in run["curve"]] for run in (one, other)]
        assert curves[0] == curves[1]
        assert other["readouts"] == one["readouts"]
        assert other["counts"] == pytest.approx(one["counts"], rel=1e-9)
        key = "before" if one.get("way") == "copied" else "untrained"
        assert other[key] == one[key]
    copies = [learnt for learnt, run in zip(beside, others, strict=True) if run.get("way") == "copied"]
    assert len({weights([one])[0].tobytes() for one in copies}) == len(copies) == 4 * len(kinds)


def test_a_mortal_chip_has_its_bits_whoever_learns_beside_it(monkeypatch):
    few, _, batches = mortal(monkeypatch, together=3, seeds=1, kinds=("devices",))
    more, _, _ = mortal(monkeypatch, together=3, seeds=1, kinds=("devices",), chips=3)
    assert [len(seeds) for seeds in batches] == [1, 2, 2]
    assert len(more) == len(few) + 2
    for one, other in zip(few, more, strict=False):
        assert states([one]) == states([other])


def test_what_cannot_be_a_batch_is_refused():
    spec = experiment("spikes", {}, together=2)
    with pytest.raises(ConfigError, match=r"together = 2.*'mortal' and 'weights'"):
        spec.check()


def test_images_and_samples_without_their_instances_are_refused_in_words():
    array: Any = TorchCrossbar((18, 6), "ecram-li-tang-2018", seed=(1, 2))
    layer = TorchConvolution(array, SoftHebb(), (8, 7, 2), kernel=3)
    with pytest.raises(InputError, match=r"expected \(2, n, 8, 7, 2\)"):
        layer.learn(np.zeros((3, 8, 7, 2), np.float32))
    tensors: Any = TorchCrossbar((5, 6), "ecram-li-tang-2018", seed=(1, 2))
    rule: Any = ForwardForward()
    stack = ForwardForwardStack([TorchDense(tensors, rule)])
    with pytest.raises(InputError, match=r"layer 1 takes \(2, n, 4\)"):
        stack.forward(stack.layers[0].placed(np.zeros((3, 4), np.float32)))


def test_heads_side_by_side_are_heads_alone():
    draws = np.random.default_rng(0)
    several = SoftmaxHead(7, 4, placed=torch.as_tensor, instances=3)
    alone = [SoftmaxHead(7, 4, placed=torch.as_tensor) for _ in range(3)]
    for step in range(3):
        x, y = draws.random((3, 5, 7), np.float32), draws.integers(0, 4, (3, 5))
        scores = several.learn(torch.from_numpy(x), y, gain=1 / (1 + step))
        for k, one in enumerate(alone):
            np.testing.assert_allclose(
                scores[k], one.learn(torch.from_numpy(x[k]), y[k], 1 / (1 + step)), atol=1e-6
            )
    for k, one in enumerate(alone):
        own, other = one.snapshot(), several.snapshot(k)
        for name, values in own.items():
            assert np.abs(values).max() > 1e-3
            np.testing.assert_allclose(other[name], values, atol=1e-7)
