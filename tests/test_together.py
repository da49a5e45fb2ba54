"""Seeds that learn as one batch: what each comes to does not depend on the others, and is what it comes to alone."""

from __future__ import annotations

from typing import Any

import pytest

import neurosim as ns
from neurosim import Arm, DeepExperiment, DenseExperiment, Neurons, Together, compare
from neurosim.core.errors import ConfigError, InputError
from neurosim.study.run import study
from neurosim.study.together import _waiting

TINY = DenseExperiment(
    dataset="digits", train_images=300, test_images=100, neurons=20, curve_points=2, readout_epochs=2, seeds=3,
    backend="torch", seconds_per_update=1.0, norm_every=4, calibrate_every=5,
    arm=(Arm(name="PCM", device="pcm-nandakumar-2018", mode="mixed", write={"refresh": None}),),
)  # fmt: skip
SHARED = TINY.changed(together=3)
APART = ("seconds", "made_with")


def run(experiment: DenseExperiment, seed: int, out: Any = None) -> dict[str, Any]:
    """What the arm on devices comes to with a seed, but for the time that it took."""
    result = experiment.run(experiment.arms()[1], seed, experiment.data(), out, None)
    return {name: value for name, value in result.items() if name not in APART}


@pytest.fixture(autouse=True)
def nothing_learnt():
    _waiting.clear()


def test_a_chip_has_its_bits_whoever_learns_beside_it():
    whole = [run(SHARED, seed) for seed in (0, 1, 2)]
    _waiting.clear()
    assert run(SHARED.changed(first_seed=1, seeds=1), 1) == whole[1]
    _waiting.clear()
    assert run(SHARED.changed(first_seed=1, seeds=2), 2) == whole[2]
    with pytest.raises(InputError, match="the same place in a batch of 3"):
        Together(lambda seed: SHARED.training(SHARED.arms()[1], seed, SHARED.data()), [1, 4])


def test_a_chip_of_a_batch_is_the_chip_alone():
    for seed in (0, 2):
        alone, beside = run(TINY, seed), run(SHARED, seed)
        assert beside["curve"] == alone["curve"]
        assert len(beside["along"]) == len(alone["along"]) == 3
        for score in ("accuracy", "vote", "untrained"):
            assert beside[score] == alone[score]
        for name, count in alone["counts"].items():
            assert beside["counts"][name] == pytest.approx(count, rel=1e-9), name


def test_a_batch_learns_once_for_all_its_seeds(tmp_path, monkeypatch):
    began = []
    learn = Together.run
    monkeypatch.setattr(Together, "run", lambda self, *rest: (began.append(self.seeds), learn(self, *rest)))
    first = study(SHARED.changed(together=2), tmp_path)
    assert began == [[0, 1], [2]]
    assert not _waiting
    again = study(SHARED.changed(together=2), tmp_path)
    assert began == [[0, 1], [2]]
    assert again["runs"] == first["runs"]


def test_one_at_a_time_stays_what_it_was():
    arms = [experiment.arms()[1].deciding() for experiment in (TINY, TINY.changed(together=1), SHARED)]
    assert arms[0] == arms[1]
    assert "together" not in arms[0]
    assert arms[2] == {**arms[0], "together": 3}


def test_batches_need_the_torch_backend():
    with pytest.raises(ConfigError, match=r"together = 3.*--workers"):
        compare(SHARED.changed(backend="numba"))


@pytest.mark.parametrize("neurons", [None, Neurons(gain_spread=0.1, power_spread=0.05)])
def test_all_chips_vote_at_once_as_each_alone(neurons: Neurons | None):
    from neurosim.study.evaluate import vote_accuracy

    spec = SHARED.changed(arm=(SHARED.arm[0].changed(neurons=neurons),))
    data, arm = spec.data(), spec.arms()[1]
    batch = Together(lambda seed: spec.training(arm, seed, data), [0, 1])
    batch.run()
    alone = [spec.training(arm, seed, data) for seed in batch.seeds]
    for training in alone:
        batch.hand_over(training)
    votes = batch.votes(alone[0].fit, alone[0].test)
    for vote, one in zip(votes, alone, strict=True):
        assert vote == vote_accuracy(one.read, data, one.fit, one.test)
    assert max(votes) > (0.3 if neurons is None else 0.2)


def test_a_sweep_learns_a_batch_once_a_level(tmp_path, monkeypatch):
    began = []
    learn = Together.run
    monkeypatch.setattr(Together, "run", lambda self, *rest: (began.append(self.seeds), learn(self, *rest)))
    results = ns.sweep(SHARED.changed(seeds=2), tmp_path, ["seconds_per_update=0,1"])
    assert began == [[0, 1], [0, 1]]
    assert not _waiting
    assert sorted(row["seed"] for row in results["rows"] if row["arm"] == "PCM") == [0, 0, 1, 1]


def test_an_arm_in_ideal_arithmetic_learns_with_no_others() -> None:
    with pytest.raises(ConfigError, match="arm 'a', together = 2: seeds learn as one batch on devices alone"):
        DeepExperiment.parse({"arm": [{"name": "a", "together": 2, "backend": "torch"}]}, "test")
    shared = DeepExperiment.parse({"together": 2, "backend": "torch", "arm": [{"name": "a"}]}, "test")
    assert shared.arms()[0].together is None
