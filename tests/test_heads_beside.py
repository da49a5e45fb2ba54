"""A head on all depths together, and fine-tuning: what learns from labels beside the heads of depths, and leaves all else as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import neurosim.data
from neurosim import Convolution, DeepArm, DeepExperiment, IdealArray, Neurons, Pool, Stack, to_pandas
from neurosim.core.errors import ConfigError, Stopped
from neurosim.core.seeds import generator
from neurosim.network.arrays import to_numpy
from neurosim.network.readout import LinearReadout
from neurosim.reference.fine_tuning import TunedCopy
from neurosim.report.deep import deep_markdown, depth_curves
from neurosim.report.page import findings
from neurosim.report.sweep import scores_table
from neurosim.rules import SoftHebb
from neurosim.study import stopping
from neurosim.study.deep import DeepTraining, deep
from neurosim.study.store import unpack_bits
from neurosim.study.sweep import deciding
from neurosim.study.swept import sweep

F = np.float32
IDEAL, RANDOM = DeepArm(name="ideal"), DeepArm(name="random", learns=False)
ECRAM = DeepArm(
    name="ECRAM", device="ecram-li-tang-2018", rule="softhebb", settings={"adaptive_gain": True}, mode="mixed",
    write={"decay_mode": "gain", "flush_pulses": 12},
)  # fmt: skip
TUNING = {"epochs": 2, "learning_rate": 1e-3}


def experiment(*arms: DeepArm, **changes: Any) -> DeepExperiment:
    settings: dict[str, Any] = {
        "dataset": "digits", "train_images": 120, "test_images": 40, "width": 0.25, "depth": 2, "head_epochs": 3,
        "head_batch": 20, "arm": arms or (IDEAL,), **changes,
    }  # fmt: skip
    return DeepExperiment(**settings)


def learnt(spec: DeepExperiment, arm: DeepArm = IDEAL) -> DeepTraining:
    training = DeepTraining(spec, arm, 0, neurosim.data.load("digits").subset(120, 40))
    training.run()
    return training


def test_the_head_of_all_sees_the_features_of_every_depth_side_by_side():
    training = learnt(experiment(head_of_all=True))
    found = training.result()
    (beside,) = found["heads_beside"]
    fit, test = (training.features(part.images, (1, 2)) for part in (training.fit, training.test))
    both, asked = (np.hstack([part[1], part[2]]) for part in (fit, test))
    head = LinearReadout(both.shape[1], 10, seed=0)
    head.fit(both, training.fit.labels, 3, 20, 0.5, halve=True)
    right = head.predict(asked) == training.test.labels
    assert beside["depth"] == "all depths"
    np.testing.assert_array_equal(unpack_bits(beside["correct"], 40), right)
    assert beside["accuracy"] == right.mean()
    assert beside["train_accuracy"] == head.accuracy(both, training.fit.labels)
    plain = learnt(experiment()).result()
    assert (plain["heads"], plain["accuracy"]) == (found["heads"], found["accuracy"])
    assert "heads_beside" not in plain


def test_nothing_that_is_not_asked_for_has_a_name():
    """Kept layers serve every evaluation, and results of before keep the names of their files."""
    plain, other = (
        DeepTraining(*arguments(experiment())),
        DeepTraining(*arguments(experiment(head_of_all=True, fine_tuning=TUNING, augment={"flip": True}))),
    )
    assert plain.identity == other.identity
    assert plain.evaluation != other.evaluation
    for said in (plain.evaluation, plain.identity, str(deciding(plain.experiment, plain.arm))):
        assert not any(name in said for name in ("head_of_all", "fine_tuning", "augment"))
    assert deciding(plain.experiment, plain.arm) != deciding(other.experiment, other.arm)


def arguments(spec: DeepExperiment) -> tuple[Any, ...]:
    return spec, IDEAL, 0, neurosim.data.load("digits").subset(120, 40)


def test_tables_scores_and_pages_have_them(tmp_path: Path):
    labels = DeepArm(name="labels", backpropagation={"epochs": 1})
    spec = experiment(IDEAL, RANDOM, labels, ECRAM, ECRAM.changed(name="still", learns=False), head_of_all=True,
                      fine_tuning=TUNING, seeds=2)  # fmt: skip
    results = deep(spec, tmp_path)
    beside = ["all depths", "fine-tuned"]
    for arm in spec.arm:
        own = [entry["depth"] for entry in results["summary"] if entry["arm"] == arm.name]
        assert own == [1, 2, *([] if arm.name == "labels" else beside)]
    run = results["runs"][0]
    scores = spec.scores(run)
    assert list(scores)[:5] == ["accuracy", "depth 1", "depth 2", *beside]
    assert [scores[name] for name in beside] == [head["accuracy"] for head in run["heads_beside"]]
    entry = next(e for e in results["summary"] if (e["arm"], e["depth"]) == ("ECRAM", "fine-tuned"))
    assert entry["compared_with"] == ["ideal", "still", "random"], "its gap and verdict, by the same controls"
    text = deep_markdown("x", results)
    assert "| arm | seeds | depth 1 | depth 2 | all depths | fine-tuned |" in text
    assert "no joules or pulses are of it" in text
    copies = [r["heads_beside"][1]["copy_accuracy"] for r in results["runs"] if r["arm"] == "ideal"]
    assert f"ideal {100 * np.mean(copies):.1f}" in text
    assert any(
        "Fine-tuning starts from the weights that devices hold" in line["ideal"] for line in results["ideals"]
    )
    assert {name for name, _ in findings(results, "depth")} >= {"ideal, depth 2", "ECRAM, depth 2"}, (
        "the headline"
    )
    ticks = [tick.get_text() for tick in depth_curves(results).axes[0].get_xticklabels()]
    assert ticks == ["1", "2", *beside]
    assert to_pandas(results)["fine_tuned.accuracy"].iloc[0] == scores["fine-tuned"]
    assert deep(spec, tmp_path)["summary"] == results["summary"]


def test_sweeps_have_them_as_scores_and_tell_evaluations_apart(tmp_path: Path):
    spec = experiment(head_of_all=True, fine_tuning=TUNING)
    found = sweep(spec, tmp_path, ["arm.start_radius=5,25", "fine_tuning.epochs=1,2"])
    tuned = {(row["arm.start_radius"], row["fine_tuning.epochs"]): row["fine-tuned"] for row in found["rows"]}
    assert len(tuned) == 4
    columns = {str(column.header): list(column.cells) for column in scores_table(found).columns}
    means = [point["fine-tuned_mean"] for point in found["points"]]
    assert [cell.split()[0] for cell in columns["fine-tuned"]] == [f"{100 * mean:.1f}" for mean in means]
    assert "all depths" in columns
    one = learnt(spec.changed(fine_tuning={**TUNING, "epochs": 1})).result()
    assert tuned[25, 1] == one["heads_beside"][1]["accuracy"]
    assert {row["all depths"] for row in found["rows"] if row["arm.start_radius"] == 25} == {
        one["heads_beside"][0]["accuracy"]
    }


def test_it_says_that_the_control_of_fine_tuning_is_missing():
    assert any("learns = false" in line for line in experiment(fine_tuning=TUNING).said())
    assert not experiment(IDEAL, RANDOM, fine_tuning=TUNING).said()


# The copy that is tuned.

SHAPES = (
    (6, 5, 2, Pool("max", 4, 2, 1), 0.7),
    (8, 3, 1, Pool("mean", 2, 2, 0), 1.4),
    (5, None, 0, Pool(), 1.0),
)


def stack(shape: tuple[int, int, int] = (12, 12, 3)) -> Stack:
    rng, layers = np.random.default_rng(3), []
    for neurons, kernel, pad, pool, power in SHAPES:
        rows = shape[2] * (shape[0] * shape[1] if kernel is None else kernel**2)
        array = IdealArray((rows, neurons))
        array.program(rng.normal(0, 1 / rows**0.5, (rows, neurons)).astype(F))
        rule = SoftHebb(inverse_temperature=1.0, learning_rate=0.1)
        layers.append(Convolution(array, rule, shape, kernel=kernel, pad=pad, pool=pool, power=power))
        layers[-1].norm.mean[:], layers[-1].norm.variance[:] = (
            rng.normal(0.2, 0.1, shape[2]),
            rng.random(shape[2]) + 0.5,
        )
        shape = layers[-1].out_shape
    return Stack(layers)


def head_of(features: int) -> LinearReadout:
    head = LinearReadout(features, 4)
    head.weight = torch.from_numpy(np.random.default_rng(4).normal(0, 0.3, (4, features)).astype(F))
    return head


def written_out(x: torch.Tensor, weights: list[torch.Tensor], net: Stack) -> torch.Tensor:
    """The answers of the stack in double precision, by patches."""
    for (_, kernel, pad, pool, power), w, layer in zip(SHAPES, weights, net.layers, strict=True):
        mean, variance = (torch.from_numpy(v)[:, None, None] for v in (layer.norm.mean, layer.norm.variance))
        x = (
            functional.pad((x - mean) / torch.sqrt(variance + 1e-5), [pad] * 4, mode="reflect")
            if pad
            else (x - mean) / torch.sqrt(variance + 1e-5)
        )
        size = x.shape[2] if kernel is None else kernel
        rows = w.T.reshape(-1, size, size, x.shape[1]).permute(0, 3, 1, 2)
        u = functional.conv2d(x, rows)
        x = (
            torch.relu(u - u.mean(1, keepdim=True)).clamp(min=1e-6) ** power
            if power != 1
            else torch.relu(u - u.mean(1, keepdim=True))
        )
        if pool.kind != "none":
            x = (functional.max_pool2d if pool.kind == "max" else functional.avg_pool2d)(x, *pool[1:])
    return x.permute(0, 2, 3, 1).flatten(1)


def test_the_copy_is_the_stack_and_steps_as_adam_does():
    net, rng = stack(), np.random.default_rng(5)
    x, y = rng.random((10, 12, 12, 3), F), rng.integers(0, 4, 10)
    head = head_of(5)
    copy = TunedCopy(net.layers, head, dropout=0.0, learning_rate=1e-3)
    answers = net.forward(x).reshape(10, -1)
    np.testing.assert_allclose(copy.features(torch.from_numpy(x)).detach(), answers, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(copy.predict(x), head.predict(answers))
    before = [layer.array.weights().copy() for layer in net.layers]
    weights = [torch.from_numpy(w).double().requires_grad_() for w in before]
    last = [head.weight.double().requires_grad_(), head.bias.double().requires_grad_()]
    adam = torch.optim.Adam([*weights, *last], lr=1e-3)
    for step in range(4):
        adam.param_groups[0]["lr"] = 1e-3 if step < 2 else 5e-4
        scores = (
            written_out(torch.from_numpy(x).double().permute(0, 3, 1, 2), weights, net) @ last[0].T + last[1]
        )
        loss = functional.cross_entropy(scores, torch.from_numpy(y))
        adam.zero_grad()
        loss.backward()
        adam.step()
        told, right = copy.learn(x, y, 1e-3 if step < 2 else 5e-4)
        assert told == pytest.approx(float(loss.detach()), rel=1e-4)
        assert right == int((scores.argmax(1).numpy() == y).sum())
    for ours, wanted, held, layer in zip(copy.weights, weights, before, net.layers, strict=True):
        moved = (ours.detach().double() - wanted.detach()).abs().mean()
        assert moved < 3e-5, "4 steps of 1e-3 each"
        assert np.abs(ours.detach().numpy() - held).max() > 1e-3
        np.testing.assert_array_equal(layer.array.weights(), held, "the layers stay as they are")
    assert float(head.weight.abs().sum()) == pytest.approx(float(head_of(5).weight.abs().sum())), (
        "so does the head"
    )


def test_dropout_depends_on_seed_and_mini_batch_alone():
    net, x, y = stack(), np.random.default_rng(6).random((10, 12, 12, 3), F), np.arange(10) % 4
    losses = [
        [copy.learn(x, y, 0.0)[0] for _ in range(3)]
        for copy in (TunedCopy(net.layers, head_of(5), seed=seed, dropout=0.5) for seed in (1, 1, 2))
    ]
    assert losses[0] == losses[1] != losses[2]
    kept = generator(1, "fine-tuning", "dropout", 0).random((10, 5), np.float32) >= 0.5
    features = net.forward(x).reshape(10, 5) * kept / 0.5
    scores = torch.from_numpy(features) @ head_of(5).weight.T
    assert losses[0][0] == pytest.approx(
        float(functional.cross_entropy(scores, torch.from_numpy(y))), rel=1e-4
    )


@pytest.mark.parametrize(
    "arm", [IDEAL, ECRAM, ECRAM.changed(backend="torch")], ids=["ideal", "ECRAM", "torch"]
)
def test_it_starts_from_what_is_held_and_leaves_the_layers(arm: DeepArm, monkeypatch: pytest.MonkeyPatch):
    training = learnt(experiment(arm, fine_tuning=TUNING, dropout=0.0), arm)
    seen: list[Any] = []
    original = TunedCopy.__init__

    def spy(self: Any, *given: Any, **named: Any) -> None:
        original(self, *given, **named)
        seen.append([w.detach().clone() for w in self.weights])

    monkeypatch.setattr(TunedCopy, "__init__", spy)
    held = [to_numpy(layer.array.weights()).copy() for layer in training.stack.layers]
    counts = training.counts()
    (tuned,) = training.result()["heads_beside"]
    for copied, weights, layer in zip(seen[0], held, training.stack.layers, strict=True):
        np.testing.assert_allclose(copied, weights, rtol=1e-6)
        np.testing.assert_array_equal(to_numpy(layer.array.weights()), weights)
    assert len(tuned["curve"]["loss"]) == 2
    assert tuned["curve"]["loss"][1] < tuned["curve"]["loss"][0]
    assert {k: v for k, v in training.counts().items() if "pulse" in k} == {
        k: v for k, v in counts.items() if "pulse" in k
    }
    again = learnt(experiment(arm, fine_tuning=TUNING, dropout=0.0), arm).result()["heads_beside"]
    assert again == [tuned]


def test_a_training_that_was_killed_is_tuned_to_the_same_bits(tmp_path: Path):
    spec = experiment(fine_tuning=TUNING, augment={"crop": 1, "flip": True, "layers": True})
    whole, first = learnt(spec), DeepTraining(*arguments(spec))

    class Killed(Exception):
        pass

    def kill() -> None:
        if first.steps == 5:
            first.save(tmp_path / "c.npz")
            raise Killed

    with pytest.raises(Killed):
        first.run(save=kill)
    second = DeepTraining(*arguments(spec))
    second.resume(tmp_path / "c.npz")
    second.run()
    one, other = whole.result(), second.result()
    for name in ("heads", "heads_beside", "layers"):
        assert one[name] == other[name], name


def test_it_ends_when_asked(monkeypatch: pytest.MonkeyPatch):
    training = learnt(experiment(fine_tuning=TUNING))
    monkeypatch.setattr(stopping, "asked", lambda: True)
    with pytest.raises(Stopped, match="fine-tuning begins anew"):
        training.result()


def test_what_has_no_slope_is_refused_beforehand():
    with pytest.raises(ConfigError, match="fine-tuning follow the slope"):
        experiment(IDEAL.changed(neurons=Neurons(gain_spread=0.1)), fine_tuning=TUNING)
    with pytest.raises(ConfigError, match="epochs"):
        experiment(fine_tuning={"epochs": 0})
