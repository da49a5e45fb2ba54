"""Forward-Forward studies: negatives, labels that do not leak, trainings that go on, results and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import killed_and_resumed
from matplotlib.lines import Line2D
from typer.testing import CliRunner

import neurosim.data
from neurosim import ForwardForwardArm, ForwardForwardExperiment
from neurosim.cli import app
from neurosim.core.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from neurosim.data import Labelled
from neurosim.kernels import jit
from neurosim.network.negatives import (
    hybrids,
    jittered,
    masks,
    mixtures,
    overlay,
    with_labels,
    with_neutral_label,
    wrong_labels,
)
from neurosim.report.forward_forward import forward_forward_markdown, learnt
from neurosim.report.forward_forward_figures import CROWD, energy_and_accuracy, epoch_curves
from neurosim.study.forward_forward import ForwardForwardTraining, forward_forward
from neurosim.study.forward_forward_build import start_weights

F = np.float32
PCM = ForwardForwardArm(name="PCM", device="pcm-nandakumar-2018", write={"decay_mode": "gain"})


def experiment(*arms: ForwardForwardArm, **changes: Any) -> ForwardForwardExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 100, "test_images": 40, "widths": (24, 16), "epochs": 2, "batch": 20,
        "curve_images": 30, "readout_epochs": 2, "arm": arms or (ForwardForwardArm(name="ideal"),), **changes,
    }  # fmt: skip
    return ForwardForwardExperiment(**settings)


def training(spec: ForwardForwardExperiment, seed: int = 0) -> ForwardForwardTraining:
    data = neurosim.data.load("digits").subset(100, 40)
    return ForwardForwardTraining(spec, spec.arm[0], seed, data)


# Negatives


def images(count: int = 12, shape: tuple[int, int, int] = (8, 8, 1)) -> np.ndarray:
    return np.random.default_rng(0).random((count, int(np.prod(shape))), F)


def test_a_label_stands_on_the_first_pixels_and_nowhere_else():
    x, labels = images(), np.arange(12) % 10
    marked = with_labels(x, labels, 10)
    np.testing.assert_array_equal(marked[:, :10], np.eye(10)[labels])
    np.testing.assert_allclose(with_neutral_label(x, 10)[:, :10], 0.1)
    for some in (marked, with_neutral_label(x, 10)):
        np.testing.assert_array_equal(some[:, 10:], x[:, 10:])
    with pytest.raises(InputError, match="images of 64 pixels: 100 labels need as many"):
        overlay(x, np.zeros(100, F))


def test_no_negative_is_the_true_label_and_hard_ones_follow_the_scores():
    """arXiv 2212.13345, section 3.3: the head's probabilities with the true class left out."""
    labels = np.arange(50_000) % 4
    scores = np.tile(np.log([0.1, 0.2, 0.3, 0.4]), (len(labels), 1))
    scores[:4] = [1000, -1000, 0, 0]
    (found,) = wrong_labels(scores, labels, 1, np.random.default_rng(0))
    assert not (found == labels).any()
    of_first = found[4:][labels[4:] == 0]
    for label, p in ((1, 2 / 9), (2, 3 / 9), (3, 4 / 9)):
        bound = 5 * np.sqrt(p * (1 - p) / len(of_first))
        assert abs((of_first == label).mean() - p) < bound
    several = wrong_labels(scores, labels, 3, np.random.default_rng(1))
    every = np.sort(np.concatenate([several, labels[None]]), axis=0)
    assert (every == np.arange(4)[:, None]).all(), "all wrong labels, each once"
    with pytest.raises(InputError, match="negatives = 4: must be from 1 to 3"):
        wrong_labels(scores, labels, 4, np.random.default_rng(0))


def test_hybrids_are_parts_of_two_images_in_large_areas():
    """Section 3.2: random bits, blurred with [1/4 1/2 1/4] both ways, cut at one half."""
    shape = (10, 9, 2)
    x = images(6, shape)
    found = hybrids(x, shape, 6, np.random.default_rng(3))
    own = found == x
    shift = next(k for k in range(1, 6) if ((found == np.roll(x, k, axis=0)) | own).all())
    assert 0.1 < own.mean() < 0.9
    assert shift > 0
    both = own.reshape(6, *shape)
    np.testing.assert_array_equal(both[..., 0], both[..., 1])
    edges = [
        (np.diff(masks(300, (28, 28), blurs, np.random.default_rng(0)), axis=1) != 0).mean()
        for blurs in (0, 6)
    ]
    assert edges[0] == pytest.approx(0.5, abs=0.01)
    assert edges[1] < 0.15
    one = np.zeros((1, 5, 5))
    with pytest.raises(InputError, match="hybrids of 1 image"):
        hybrids(one.reshape(1, 25), (5, 5, 1), 6, np.random.default_rng(0))


def test_mixtures_lie_halfway_between_an_image_and_another():
    x = images(6, (10, 9, 2))
    found = mixtures(x, np.random.default_rng(3))
    assert any(np.array_equal(found, (x + np.roll(x, k, axis=0)) / 2) for k in range(1, 6))
    assert found.dtype == x.dtype
    with pytest.raises(InputError, match="mixtures of 1 image"):
        mixtures(x[:1], np.random.default_rng(0))


def test_a_blur_is_the_kernel_of_the_paper():
    class Fixed:
        def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
            bits = np.zeros(shape)
            bits[:, 3, :] = 1
            bits[:, 4, :] = 1
            return bits

    found = masks(1, (8, 8), 1, Fixed())[0]  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.any(axis=1), np.isin(np.arange(8), [3, 4]))


def test_jitter_shifts_whole_images_every_way():
    shape = (6, 5, 2)
    x = images(400, shape)
    found = jittered(x, shape, 1, np.random.default_rng(0)).reshape(400, *shape)
    seen = set()
    for before, after in zip(x.reshape(400, *shape), found, strict=True):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                wanted = np.zeros(shape, F)
                to = slice(max(0, down), 6 + min(0, down)), slice(max(0, right), 5 + min(0, right))
                of = slice(max(0, -down), 6 - max(0, down)), slice(max(0, -right), 5 - max(0, right))
                wanted[to] = before[of]
                if np.array_equal(after, wanted):
                    seen.add((down, right))
    assert len(seen) == 9
    np.testing.assert_array_equal(jittered(x, shape, 0, np.random.default_rng(0)), x)


# Trainings


def test_labels_do_not_leak_into_predictions():
    """An image that carries its label, or a wrong one, is classified as without; labels are handed to nobody."""
    found = training(experiment())
    found.run()
    test = found.data.inputs(found.test.images)
    trained = found.snapshot()

    def answers(ask: Any, *given: Any) -> Any:
        found.restore(trained)
        return ask(*given)

    for ask in (found.stack.goodness_of_labels, found.stack.neutral_states):
        wanted = answers(ask, test, 10)
        for marked in (with_labels(test, found.test.labels, 10), with_neutral_label(test, 10)):
            np.testing.assert_array_equal(answers(ask, marked, 10), wanted)
    before = answers(found._predictions, found.test.images)
    found.test = Labelled(found.test.images, (found.test.labels + 1) % 10)
    for readout, classes in answers(found._predictions, found.test.images).items():
        np.testing.assert_array_equal(classes, before[readout])


def test_no_image_reported_on_is_learnt_or_followed():
    for hold_out in (False, True):
        found = training(experiment(hold_out=hold_out))
        rows = {image.tobytes() for image in found.fit.images}
        data = found.data
        reported = data.x_validation if hold_out else data.x_test
        assert not rows & {image.tobytes() for image in reported}
        np.testing.assert_array_equal(found.test.images, reported)
        followed = data.x_validation if hold_out else found.fit.images
        np.testing.assert_array_equal(found.followed.images, followed[:30])


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("arm", [ForwardForwardArm(name="ideal"), PCM], ids=lambda arm: arm.name)
def test_a_killed_training_ends_in_the_same_bits(arm: ForwardForwardArm, supervised: bool, tmp_path: Path):
    spec = experiment(arm, supervised=supervised, jitter=1, negatives_per_sample=2)
    whole, second = killed_and_resumed(lambda: training(spec), tmp_path)
    assert second.curve == whole.curve
    assert len(whole.curve) == 2
    with pytest.raises(CheckpointError, match="another experiment"):
        training(spec.changed(batch=25)).resume(tmp_path / "c.npz")


def test_time_passes_between_updates_where_the_arm_says_so():
    drifting = training(experiment(PCM.changed(seconds_per_update=2.0)))
    still = training(experiment(PCM))
    for one in (drifting, still):
        one.run()
    clocks = [one.stack.layers[0].array.snapshot()["clock"][0] for one in (drifting, still)]  # type: ignore[attr-defined]
    assert clocks == [2.0 * drifting.total, 0.0]


def test_phases_apart_are_two_updates_and_learn_too():
    arms = [ForwardForwardArm(name="ideal", momentum=0.0, phases=phases) for phases in ("together", "apart")]
    together, apart = (training(experiment(arm, epochs=4)) for arm in arms)
    for one in (together, apart):
        one.run()
    counts = [int(one.stack.layers[0].state["updates"][0]) for one in (together, apart)]
    assert counts[1] == 2 * counts[0]
    assert apart.curve[-1]["goodness"] > apart.curve[0]["goodness"] - 0.1


@pytest.mark.parametrize("arm", [ForwardForwardArm(name="ideal"), PCM], ids=lambda arm: arm.name)
def test_the_bits_do_not_depend_on_threads(arm: ForwardForwardArm, monkeypatch: pytest.MonkeyPatch):
    found = []
    for count in (1, 2):
        monkeypatch.setattr(jit, "_threads", count)
        one = training(experiment(arm, widths=(600, 500), epochs=1))
        one.run()
        found.append(one.snapshot())
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)


def test_arms_are_run_once_and_summarised_by_readout(tmp_path: Path):
    random = ForwardForwardArm(name="random", learns=False)
    low = ForwardForwardArm(name="low", settings={"goodness": "minus-sum", "skip_quiet": 0.05})
    spec = experiment(ForwardForwardArm(name="ideal"), random, low, PCM, seeds=2)
    results = forward_forward(spec, tmp_path)
    assert [(entry["arm"], entry["readout"]) for entry in results["summary"]] == [
        (arm.name, readout) for arm in spec.arm for readout in ("goodness", "softmax")
    ]
    for run in results["runs"]:
        assert run["accuracy"] == run["readouts"]["goodness"]
        assert [point["epoch"] for point in run["curve"]] == [1, 2]
        assert all(0 <= share <= 1 for point in run["curve"] for share in point["quiet"])
        if run["arm"] == "PCM":
            for number, layer in enumerate(run["layers"]):
                total = sum(point["pulses"][number] for point in run["curve"])
                assert layer["energy"]["pulses"] == total > 0
    said: list[str] = []
    assert forward_forward(spec, tmp_path, said.append)["summary"] == results["summary"]
    assert not said
    page = forward_forward_markdown("digits", results)
    assert "| ideal | 2 |" in page
    assert "digits-epochs.svg" in page


def test_many_arms_are_drawn_by_device(tmp_path: Path):
    """A panel for each device, ideal arithmetic in all; no two arms of a device look alike."""
    others = [PCM.changed(name=f"PCM {k}", seeds=1) for k in range(CROWD - 2)]
    ecram = PCM.changed(name="ECRAM", device="ecram-li-tang-2018")
    spec = experiment(ForwardForwardArm(name="ideal"), PCM, *others, ecram, seeds=2)
    assert len(spec.arm) == CROWD + 1
    results = forward_forward(spec, tmp_path)
    curves, energy = epoch_curves(results), energy_and_accuracy(results)
    assert energy is not None
    ideal, one, *rest = (arm.name for arm in spec.arm)
    shown = [[line.get_label() for line in axes.get_lines()] for axes in curves.axes]
    assert shown == [[ideal, one, *rest[:-1]], [ideal, rest[-1]]]
    keys = [key for key in energy.legends[0].legend_handles if isinstance(key, Line2D)]
    looks = {(key.get_color(), str(key.get_marker())) for key in keys[3:]}
    assert [text.get_text() for text in energy.legends[0].get_texts()][2:] == [ideal, one, *rest]
    assert len(looks) == CROWD
    without = [ForwardForwardArm(name=f"ideal {k}", learns=k > 0) for k in range(CROWD + 1)]
    results = forward_forward(experiment(*without), tmp_path)
    (axes,) = epoch_curves(results).axes
    assert [line.get_label() for line in axes.get_lines()] == [arm.name for arm in without]
    assert energy_and_accuracy(results) is None


def test_an_arm_may_run_more_often_and_make_its_samples_differently(tmp_path: Path):
    """Neither the number of seeds nor where a setting of the samples is given changes a bit of a run."""
    given = {"negatives_per_sample": 3, "jitter": 1}
    own = ForwardForwardArm(name="own", seeds=2, samples=given)
    mixed = forward_forward(experiment(ForwardForwardArm(name="ideal"), own), tmp_path / "mixed")
    assert [(run["seed"], run["arm"]) for run in mixed["runs"]] == [(0, "ideal"), (0, "own"), (1, "own")]
    assert [entry["seeds"] for entry in mixed["summary"]] == [1, 1, 2, 2]
    plain = ForwardForwardArm(name="ideal")
    shared = forward_forward(experiment(plain, seeds=2, **given), tmp_path / "shared")
    for run, other in zip(mixed["runs"][1:], shared["runs"], strict=True):
        assert run["correct"] == other["correct"]
        assert run["curve"] == other["curve"]
    assert mixed["runs"][0]["curve"] != mixed["runs"][1]["curve"]


def test_hybrids_teach_without_labels_and_a_linear_readout_has_the_last_word(tmp_path: Path):
    spec = experiment(supervised=False)
    results = forward_forward(spec, tmp_path)
    assert [entry["readout"] for entry in results["summary"]] == ["linear", "softmax"]
    assert results["runs"][0]["accuracy"] == results["runs"][0]["readouts"]["linear"]
    shuffled = training(spec)
    shuffled.fit = Labelled(shuffled.fit.images, (shuffled.fit.labels + 3) % 10)
    honest = training(spec)
    for each in (shuffled, honest):
        each.run()
    for one, other in zip(shuffled.stack.layers, honest.stack.layers, strict=True):
        np.testing.assert_array_equal(one.array.weights(), other.array.weights(), "no layer saw a label")


def test_negatives_without_labels_are_made_as_an_arm_says():
    """Self-contrast teaches more than layers that stay as they start, sees no label, and is another training."""
    mixed = ForwardForwardArm(name="mixed", samples={"contrast": "mixtures"})
    still = ForwardForwardArm(name="still", learns=False)
    plain = ForwardForwardArm(name="plain")
    spec = experiment(
        mixed, still, plain, supervised=False, epochs=6, train_images=None, test_images=None, readout_epochs=3
    )
    results = forward_forward(spec)
    accuracy = {run["arm"]: run["readouts"]["softmax"] for run in results["runs"]}
    assert accuracy["mixed"] > accuracy["still"] + 0.02
    alone = experiment(plain, supervised=False)
    shared = experiment(plain, supervised=False, contrast="mixtures")
    assert "contrast" not in alone.deciding()
    assert training(shared).identity != training(alone).identity
    with pytest.raises(ConfigError, match="without labels"):
        experiment(mixed)
    assert "mixtures and hybrids, no labels" in learnt(results)


def test_ideal_layers_learn_the_digits():
    spec = experiment(train_images=None, test_images=None, widths=(60, 60), epochs=12)
    data = neurosim.data.load("digits")
    found = ForwardForwardTraining(spec, spec.arm[0], 0, data)
    found.run()
    assert found.curve[-1]["softmax"] > 0.85
    assert found.curve[-1]["goodness"] > found.curve[0]["goodness"]


def test_start_weights_are_those_of_the_recipe():
    """facts of ffnew.m: normal, variance 1 / inputs, biases zero; all arms begin alike."""
    weights = start_weights(784, 500, 0, 0)
    assert abs(weights[:-1].std() * 28 - 1) < 5 / np.sqrt(2 * weights.size)
    assert (weights[-1] == 0).all()
    assert ForwardForwardExperiment().layers == (1000, 1000, 1000)
    assert ForwardForwardExperiment(preset="wide").layers == (2000,) * 4


def test_the_rate_stays_for_half_of_the_training_and_then_falls():
    """gain = (1 + 2 (E - epoch)) / E in the second half (ffnew.m): our line at the middle of that epoch."""
    rule = ForwardForwardArm(name="a").build_rule(1000)
    state = rule.state(4, 3)
    for epoch in range(1, 11):
        state["updates"][:] = 100 * epoch - 50
        wanted = 0.01 * (1.0 if epoch <= 5 else (1 + 2 * (10 - epoch)) / 10)
        np.testing.assert_allclose(rule._rate(state), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preset": "hinten"}, "must be one of hinton, wide, small"),
        ({"arm": [{"name": "a"}, {"name": "a"}]}, "two arms are called 'a'"),
        ({"arm": [{"name": "a", "settings": {"goodnes": "sum"}}]}, "did you mean 'goodness'"),
        ({"arm": [{"name": "a", "device": "ideal", "mode": "online"}]}, "set momentum = 0"),
        ({"arm": [{"name": "a", "device": "ideal", "write": {"w_macks": 1}}]}, "did you mean 'w_max'"),
        ({"arm": [{"name": "a", "momentum": 1.0}]}, "momentum"),
        ({"negatives": "soft"}, "negatives"),
        ({"arm": [{"name": "a", "samples": {"jiter": 1}}]}, "did you mean 'jitter'"),
        ({"widths": [1]}, "widths"),
        ({"epoch": 3}, "did you mean 'epochs'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(changes: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        ForwardForwardExperiment.parse(changes, "experiment")


def test_an_arm_that_is_not_there_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'ideal'"):
        experiment().only(["ideel"])


def test_the_command_shows_readouts_and_writes_json(tmp_path: Path):
    file = tmp_path / "e.toml"
    file.write_text(
        'dataset = "digits"\ntrain_images = 80\ntest_images = 30\nwidths = [16, 12]\nepochs = 2\nbatch = 20\n',
        encoding="utf-8",
    )
    options = [
        "ff",
        str(file),
        "--out",
        str(tmp_path / "o"),
        "--seed",
        "3",
        "--json",
        str(tmp_path / "j.json"),
    ]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert "goodness" in done.output
    kept = json.loads((tmp_path / "j.json").read_text(encoding="utf-8"))
    assert kept["runs"][0]["seed"] == 3
    assert kept == json.loads((tmp_path / "o/results.json").read_text(encoding="utf-8"))
    assert "<svg" in (tmp_path / "o/epochs.svg").read_text(encoding="utf-8")
