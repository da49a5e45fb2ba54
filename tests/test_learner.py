"""`ns.Learner`: the bits of a comparison, scikit-learn's shape, files that answer as what was saved, refusals."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from helpers import PCM
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.validation import check_is_fitted

import neurosim as ns
from neurosim.data import ScaleWarning

X, Y = load_digits(return_X_y=True)
LEARNT, ASKED = (X[:300], Y[:300]), (X[300:420], Y[300:420])
PICTURES = X.reshape(-1, 8, 8)
DENSE = ns.DenseExperiment(neurons=30, device=(PCM,), curve_points=2)
DEEP = ns.DeepExperiment(depth=2, width=1, head_epochs=2, batch=20, arm=(ns.DeepArm(name="deep"),))
FORWARD = ns.ForwardForwardExperiment(
    widths=(30, 30), epochs=2, batch=30, arm=(ns.ForwardForwardArm(name="forward"),)
)
SPIKES = ns.SpikesExperiment(neurons=20, batch=20, shown_s=0.1, arm=(ns.SpikesArm(name="ideal"),))
KINDS = {
    "ideal": (DENSE, "ideal", LEARNT[0], ASKED[0]),
    "pcm": (DENSE, PCM, LEARNT[0], ASKED[0]),
    "deep": (DEEP, None, PICTURES[:300], PICTURES[300:420]),
    "forward-forward": (FORWARD, None, PICTURES[:300], PICTURES[300:420]),
    "spikes": (SPIKES, None, PICTURES[:300], PICTURES[300:420]),
    "hybrids": (FORWARD.changed(supervised=False, readout_epochs=2), None, PICTURES[:300], PICTURES[300:420]),
}
COUNTERS = ("counters", "reads", "ledger")
"""What reading changes: a study reads the test set as well."""


@pytest.fixture(scope="module")
def learnt():
    """A chip of each kind that has learnt; no test changes it."""
    made: dict[str, ns.Learner] = {}

    def of(kind: str) -> ns.Learner:
        if kind not in made:
            experiment, arm, x, _ = KINDS[kind]
            made[kind] = ns.Learner(experiment, arm, scale=16).fit(x, LEARNT[1])
        return made[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_and_a_comparison_learn_the_same_bits_and_answer_alike(kind, learnt):
    experiment, _, x, asked = KINDS[kind]
    experiment = experiment.changed(dataset=ns.Dataset.of(x, LEARNT[1], asked, ASKED[1], scale=16))
    data, chip = experiment.data(), learnt(kind)
    training = experiment.training({own.name: own for own in experiment.arms()}[chip.training_.name], 0, data)
    training.run()
    accuracy = training.result()["accuracy"]
    own, theirs = chip.training_.snapshot(), training.snapshot()
    assert set(own) == set(theirs)
    differ = {name for name in own if not np.array_equal(own[name], theirs[name], equal_nan=True)}
    assert not {name for name in differ if not name.endswith(COUNTERS)}
    assert chip.score(data.x_test.reshape(asked.shape), data.y_test) == accuracy
    runs = {run["arm"]: run["accuracy"] for run in ns.compare(experiment)["runs"]}
    assert runs[chip.training_.name] == accuracy


def test_what_is_asked_leaves_no_trace_and_is_answered_alike(learnt):
    chip = learnt("pcm")
    before = chip.training_.snapshot()
    first, second = chip.transform(ASKED[0]), chip.transform(ASKED[0])
    chip.predict(ASKED[0])
    after = chip.training_.snapshot()
    np.testing.assert_array_equal(first, second)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert first.dtype == np.float32
    assert first.shape == (120, 30)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_chip_answers_ages_and_learns_on_with_the_same_bits(kind, learnt, tmp_path):
    _, _, _, asked = KINDS[kind]
    mine = copy.deepcopy(learnt(kind))
    theirs = ns.Learner.load(mine.save(tmp_path / "chip.npz"))
    np.testing.assert_array_equal(mine.transform(asked), theirs.transform(asked))
    np.testing.assert_array_equal(mine.predict(asked), theirs.predict(asked))
    young = mine.transform(asked)
    for chip in (mine, theirs):
        chip.advance(3e7)
    np.testing.assert_array_equal(mine.transform(asked), theirs.transform(asked))
    assert np.array_equal(mine.transform(asked), young) is (kind != "pcm")
    if kind in ("forward-forward", "hybrids"):
        with pytest.raises(ns.NeurosimError, match="give fit all samples at once"):
            theirs.partial_fit(asked, ASKED[1])
        return
    for chip in (mine, theirs):
        chip.partial_fit(asked, ASKED[1])
    np.testing.assert_array_equal(mine.transform(asked), theirs.transform(asked))
    assert not np.array_equal(mine.transform(asked), young)
    assert mine.counts_ == theirs.counts_


def test_learning_on_goes_on_from_where_it_stands(learnt):
    chip = copy.deepcopy(learnt("pcm"))
    pulses, clock = chip.counts_["pulses"], chip.training_.layer.array.now_s
    chip.advance(10.0).partial_fit(*ASKED)
    assert chip.counts_["pulses"] > pulses
    assert chip.training_.layer.array.now_s == clock + 10.0
    with pytest.raises(ns.NeurosimError, match="no class that fit was given"):
        chip.partial_fit(X[:20], np.arange(20))


def test_a_damaged_file_one_of_something_else_and_one_of_other_bits_are_refused(
    learnt, tmp_path, monkeypatch
):
    path = learnt("pcm").save(tmp_path / "chip.npz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "bad.npz").write_bytes(raw)
    with pytest.raises(ns.errors.CheckpointError, match="damaged"):
        ns.Learner.load(tmp_path / "bad.npz")
    learnt("pcm").weights(tmp_path / "weights.npz")
    with pytest.raises(ns.errors.CheckpointError, match="damaged"):
        ns.Learner.load(tmp_path / "weights.npz")
    with pytest.raises(ns.errors.CheckpointError, match="other arm"):
        ns.Learner.load(path, DENSE.changed(read={"adc_bits": 4}))
    monkeypatch.setattr("neurosim.study.identity.BITS", -1)
    with pytest.raises(ns.errors.CheckpointError, match="other bits than here"):
        ns.Learner.load(path)


def test_it_is_an_estimator_of_scikit_learn(learnt):
    chip = ns.Learner(DENSE, "ideal", seed=3, scale=16)
    again = clone(chip)
    assert again is not chip
    assert again.get_params(deep=False) == chip.get_params(deep=False)
    with pytest.raises(ValueError, match="call fit"):
        chip.predict(X)
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(chip)
    check_is_fitted(learnt("ideal"))
    assert chip.set_params(seed=4, experiment__epochs=2).experiment.epochs == 2
    assert chip.seed == 4
    assert chip.get_params()["experiment__neurons"] == 30
    with pytest.raises(ns.NeurosimError, match="unknown"):
        chip.set_params(seeds=4)


def test_it_works_in_pipelines_cross_validation_and_searches():
    chip = ns.Learner(DENSE, "ideal")
    alone = cross_val_score(make_pipeline(MinMaxScaler(clip=True), chip), *LEARNT, cv=2)
    before = cross_val_score(
        make_pipeline(MinMaxScaler(clip=True), chip, LogisticRegression(max_iter=200)), *LEARNT, cv=2
    )
    assert alone.shape == before.shape == (2,)
    assert min(*alone, *before) > 0.3
    search = GridSearchCV(ns.Learner(DENSE, "ideal", scale=16), {"experiment__neurons": [2, 30]}, cv=2)
    assert search.fit(*LEARNT).best_params_ == {"experiment__neurons": 30}


def test_a_pickle_answers_alike(learnt):
    chip = learnt("pcm")
    again = pickle.loads(pickle.dumps(chip))
    np.testing.assert_array_equal(again.predict(ASKED[0]), chip.predict(ASKED[0]))
    assert again.get_params(deep=False) == chip.get_params(deep=False)


def test_without_labels_it_learns_the_same_representation_and_says_what_predicting_needs(learnt):
    chip = ns.Learner(DENSE, "ideal", scale=16).fit(LEARNT[0])
    np.testing.assert_array_equal(
        chip.training_.layer.array.weights(), learnt("ideal").training_.layer.array.weights()
    )
    assert chip.transform(ASKED[0]).shape == (120, 30)
    with pytest.raises(ns.NeurosimError, match="fit_readout"):
        chip.predict(ASKED[0])
    assert chip.fit_readout(*LEARNT).score(*ASKED) > 0.3
    with pytest.raises(ns.NeurosimError, match="learns from labels"):
        ns.Learner(FORWARD, scale=16).fit(PICTURES[:60])
    with pytest.raises(ns.NeurosimError, match="no readout to train"):
        learnt("forward-forward").fit_readout(PICTURES[:60], Y[:60])


def test_labels_may_be_text_and_a_data_set_brings_its_own():
    words = np.array(["even", "odd"])[LEARNT[1] % 2]
    chip = ns.Learner(DENSE, "ideal", scale=16).fit(LEARNT[0], words)
    assert set(chip.predict(ASKED[0])) <= {"even", "odd"}
    data = ns.Dataset.of(*LEARNT, *ASKED, scale=16)
    whole = ns.Learner(DENSE, "ideal").fit(data)
    np.testing.assert_array_equal(whole.predict(ASKED[0]), whole.classes_[whole.predict(ASKED[0])])
    with pytest.raises(ns.NeurosimError, match="leave y out"):
        whole.fit(data, LEARNT[1])


def test_samples_are_taken_as_those_learnt_or_refused(learnt):
    chip = learnt("ideal")
    with pytest.raises(ns.NeurosimError, match="nothing is resized"):
        chip.predict(PICTURES[:10])
    with pytest.raises(ns.NeurosimError, match="scale of 0 to 16"):
        chip.predict(2 * ASKED[0])
    with pytest.raises(ns.NeurosimError, match="no whole numbers"):
        chip.predict(ASKED[0] / 3)
    with pytest.raises(ns.NeurosimError, match="NaN"):
        chip.predict(np.where(ASKED[0] > 8, np.nan, ASKED[0]))
    by_feature = ns.Learner(DENSE, "ideal").fit(LEARNT[0] - 8, LEARNT[1])
    with pytest.warns(ScaleWarning, match="values lie beyond"):
        by_feature.predict(1.5 * (ASKED[0] - 8))


def test_what_cannot_be_learnt_is_refused_before_any_work():
    with pytest.raises(ns.NeurosimError, match="several trainings"):
        ns.Learner(ns.MortalExperiment(widths=(20, 20))).fit(PICTURES[:60], Y[:60])
    with pytest.raises(ns.NeurosimError, match="unknown arm"):
        ns.Learner(DENSE, "pcm").fit(*LEARNT)
    with pytest.raises(ns.NeurosimError, match="300 samples in X, but 299"):
        ns.Learner(DENSE, scale=16).fit(LEARNT[0], Y[:299])
    with pytest.raises(ns.NeurosimError, match="expected an experiment"):
        ns.Learner(42).fit(*LEARNT)


def test_weights_stand_in_a_file_with_their_names_and_units(learnt, tmp_path):
    chip = learnt("pcm")
    chip.weights(tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    array = chip.training_.layer.array
    np.testing.assert_array_equal(found["layer_0.weights"], array.weights())
    np.testing.assert_array_equal(found["layer_0.conductance_uS"], array.conductance_uS())
    assert found["readout.weight"].shape == (10, 30)
    told = json.loads(str(found["about"]))
    assert set(told["arrays"]) == set(found) - {"about"}
    assert "uS" in told["arrays"]["layer_0.conductance_uS"]
    assert told["classes"] == list("0123456789")
    assert set(learnt("deep").weights()) >= {"layer_0.weights", "layer_1.weights"}


def test_a_device_given_as_an_object_comes_back_with_its_experiment(tmp_path):
    device = ns.devices.load(PCM).with_parameters(read_noise_relative=None)
    experiment = ns.DenseExperiment(neurons=10, arm=(ns.Arm(name="mine", device=device),))
    chip = ns.Learner(experiment, scale=16).fit(*LEARNT)
    path = chip.save(tmp_path / "chip.npz")
    with pytest.raises(ns.errors.CheckpointError, match=r"experiment=\.\.\."):
        ns.Learner.load(path)
    again = ns.Learner.load(path, experiment)
    np.testing.assert_array_equal(again.predict(ASKED[0]), chip.predict(ASKED[0]))


def test_an_experiment_file_will_do(tmp_path):
    (tmp_path / "mine.toml").write_text('kind = "dense"\nneurons = 10\n')
    chip = ns.Learner(tmp_path / "mine.toml", scale=16).fit(*LEARNT)
    assert chip.training_.layer.array.shape == (64, 10)
    assert repr(chip).startswith("Learner(")
    assert "\n" not in repr(chip)
