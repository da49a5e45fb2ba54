"""Backpropagation beside Forward-Forward: the same layers and fields against plain numpy, patience, bits, refusals, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from capability_helpers import experiment
from test_deep_backprop import experiment as deep_experiment

import neurosim.data
from neurosim import Learner, load_experiment, sweep
from neurosim.core.errors import ConfigError, InputError
from neurosim.network.local_fields import Indices, receptive_fields
from neurosim.reference.backprop_layers import Fields, LayersEndToEnd
from neurosim.report.forward_forward import forward_forward_markdown
from neurosim.report.page import figures_of, shows_of
from neurosim.study.end_to_end import EndToEndTraining
from neurosim.study.run import study
from neurosim.study.store import unpack_bits

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

F = np.float32
FF, LOCAL = "Forward-Forward", "local fields"
TAUGHT: dict[str, Any] = {"name": "bp", "backpropagation": {"epochs": 6}}
PATIENT: dict[str, Any] = {"name": "bp", "backpropagation": {"epochs": 6, "patience": 2}}
SEEN = (receptive_fields((6, 6, 2), 4, 2), receptive_fields((2, 2, 5), 2, 1))
CLASSES = 4


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def begun(arm: dict[str, Any] = TAUGHT, kind: str = FF, seed: int = 0, **others: Any) -> Any:
    spec = experiment(kind, {}, (arm,), **others)
    spec.check()
    (chosen,) = (one for one in spec.arms() if one.name == "bp")
    return spec.training(chosen, seed, spec.data())


def fields(rng: Any) -> list[Fields]:
    """Two layers of fields, and one that sees all."""
    found = []
    for seen, neurons in zip(SEEN, (5, 3), strict=True):
        rows, cols = seen.shape[1], len(seen) * neurons
        found.append(Fields(rng.normal(0, (2 / rows) ** 0.5, (rows + 1, cols)).astype(F), seen))
    return [*found, Fields(rng.normal(0, 0.8, (4, 7)).astype(F))]


def full(layer: Fields, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """A layer as one full matrix whose other weights are zero, and where it has weights."""
    rows, cols = layer.weights.shape
    seen: Indices = np.arange(rows - 1)[None] if layer.seen is None else layer.seen
    found, mask = np.zeros((inputs + 1, cols)), np.zeros((inputs + 1, cols), bool)
    for place, own in enumerate(seen):
        which = slice(place * cols // len(seen), (place + 1) * cols // len(seen))
        found[own, which], found[-1, which] = layer.weights[:-1, which], layer.weights[-1, which]
        mask[own, which] = mask[-1, which] = True
    return found, mask


def by_hand(ws: list[np.ndarray], masks: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> Any:
    """Gradients of the mean cross-entropy by the chain rule, masked."""
    one, shown = np.ones((len(x), 1)), [x]
    for w in ws[:-1]:
        shown.append(np.maximum(np.hstack([shown[-1], one]) @ w, 0))
    scores = np.hstack([shown[-1], one]) @ ws[-1]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    error, found = (p - np.eye(CLASSES)[y]) / len(y), []
    for w, mask, below in zip(ws[::-1], masks[::-1], shown[::-1], strict=True):
        found.append(mask * (np.hstack([below, one]).T @ error))
        error = (error @ w[:-1].T) * (below > 0)
    return loss, scores, found[::-1]


def test_a_step_is_adam_on_the_gradient_of_masked_full_matrices() -> None:
    rng = np.random.default_rng(0)
    layers = fields(rng)
    net = LayersEndToEnd(layers, 72, CLASSES)
    sizes = (72, 20, 3, 7)
    parts = [full(layer, inputs) for layer, inputs in zip(layers, sizes, strict=False)]
    parts.append((np.zeros((8, CLASSES)), np.ones((8, CLASSES), bool)))
    ws, masks = ([part[k] for part in parts] for k in (0, 1))
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in ws]
    for step in range(1, 5):
        x, y = rng.random((12, 72)).astype(F), rng.integers(0, CLASSES, 12)
        loss, scores, gradients = by_hand(ws, masks, x.astype(float), y)
        np.testing.assert_allclose(net.scores(x).detach().numpy(), scores, rtol=1e-4, atol=2e-5)
        assert net.learn(x, y)[0] == pytest.approx(loss, rel=1e-4)
        for k, gradient in enumerate(gradients):
            first, second = moments[k]
            first[...] = 0.9 * first + 0.1 * gradient
            second[...] = 0.999 * second + 0.001 * gradient**2
            right = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            ws[k] = ws[k] - 1e-3 * first / (1 - 0.9**step) / right
    for found, layer, w in zip(net.layer_weights(), layers, ws, strict=False):
        own, rows = full(layer._replace(weights=np.concatenate(list(found), 1)), len(w) - 1)
        assert np.abs(w - full(layer, len(w) - 1)[0]).max() > 2e-3, "it moved"
        assert np.abs(own - w)[rows].mean() < 2e-5, "four steps of 1e-3"


def test_with_transposed_weights_as_its_random_feedback_it_is_backpropagation() -> None:
    rng = np.random.default_rng(1)
    layers, x, y = fields(rng), rng.random((9, 72)).astype(F), rng.integers(0, CLASSES, 9)
    plain, fed, direct = (
        LayersEndToEnd(layers, 72, CLASSES, feedback=how) for how in ("transposed", "random", "direct")
    )
    for net in (plain, fed, direct):
        with torch.no_grad():
            net.weight.normal_(generator=torch.Generator().manual_seed(0))
    fed.fixed, fed.head_fixed = [w.detach() for w in fed.kernels[::2]], fed.weight.detach()
    for net in (plain, fed, direct):
        net.learn(x, y)
    for one, other in zip(plain._parameters, fed._parameters, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    assert direct.kernels[0].grad is not None
    assert not torch.allclose(direct.kernels[0].grad, plain.kernels[0].grad)  # type: ignore[arg-type]


def test_layers_that_do_not_fit_are_refused() -> None:
    layers = fields(np.random.default_rng(0))
    with pytest.raises(InputError, match="layer 1: 33 x 20 weights do not fit 4 locations that see 32 of 40"):
        LayersEndToEnd(layers, 40, CLASSES)
    with pytest.raises(InputError, match=r"samples of shape \(3, 71\): expected \(n, 72\)"):
        LayersEndToEnd(layers, 72, CLASSES).predict(np.zeros((3, 71), F))


@pytest.mark.parametrize("kind", [FF, LOCAL])
def test_layers_start_as_those_of_the_other_arms_but_for_their_norm(kind: str) -> None:
    taught, spec = begun(kind=kind), experiment(kind, {}, ({"name": "ideal"},))
    other = spec.training(spec.arms()[1], 0, spec.data())
    for layer, found in zip(other.layers, taught.net.layer_weights(), strict=True):
        places = getattr(layer.array, "locations", (layer.array,))
        each = np.stack([place.weights() for place in places])
        np.testing.assert_allclose(2**0.5 * each, found, rtol=1e-6)
    images = taught._images(taught.fit.images[:5])
    np.testing.assert_allclose(np.sqrt((images**2).mean(axis=1)), 1, rtol=1e-5)


# Patience


def planned(training: Any, shares: list[float]) -> list[Any]:
    """Let the images kept aside find these accuracies, epoch by epoch; return where the weights are after each of them."""
    course: list[Any] = []

    def right(part: Any) -> Any:
        if part is not training.aside:
            return np.ones(len(part.labels), bool)
        course.append(training.net.snapshot(adam=False))
        return np.arange(100) < 100 * shares[len(course) - 1]

    training.right = right
    return course


@pytest.mark.parametrize(
    ("shares", "learnt", "best"),
    [([0.1, 0.3, 0.2, 0.3], 4, 2), ([0.5, 0.4, 0.3], 3, 1), ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, 6), ([0.1, 0.2, 0.1, 0.3, 0.2, 0.3], 6, 4)],
)  # fmt: skip
def test_it_ends_where_patience_does_and_keeps_the_best_weights(
    shares: list[float], learnt: int, best: int
) -> None:
    for training in (begun(PATIENT), deep_training({"epochs": 6, "patience": 2})):
        course = planned(training, shares)
        training.run()
        assert training.steps == training.total == learnt * training.batches
        assert len(course) == learnt
        assert training.stopped == {"learnt_epochs": learnt, "best_epoch": best}
        for name, values in training.net.snapshot(adam=False).items():
            np.testing.assert_array_equal(values, course[best - 1][name], err_msg=name)
        assert len(training.losses["loss"]) == learnt


def deep_training(settings: dict[str, Any], **changes: Any) -> EndToEndTraining:
    spec = deep_experiment(**changes)
    arm = spec.arm[0].changed(backpropagation=settings)
    data = neurosim.data.load("digits").subset(spec.train_images, spec.test_images)
    return EndToEndTraining(spec, arm, 0, data, 2)


@pytest.mark.parametrize("hold_out", [True, False])
def test_images_kept_aside_are_neither_learnt_nor_reported_on(hold_out: bool) -> None:
    for patient, plain in (
        (begun(PATIENT, hold_out=hold_out), begun(hold_out=hold_out)),
        (deep_training({"patience": 2}, hold_out=hold_out), deep_training({}, hold_out=hold_out)),
    ):
        every = {part: {x.tobytes() for x in of.images} for part, of in vars(patient).items() if part in ("fit", "test", "aside")}  # fmt: skip
        assert not every["aside"] & every["fit"]
        assert not every["aside"] & every["test"]
        whole = {x.tobytes() for x in plain.fit.images}
        assert every["aside"] | every["fit"] == whole
        assert len(patient.aside.labels) == pytest.approx(len(plain.fit.labels) / 6, abs=1)
        np.testing.assert_array_equal(patient.test.images, plain.test.images)
        assert patient.identity != plain.identity


@pytest.mark.parametrize(
    "make", [lambda: begun(PATIENT), lambda: begun(PATIENT, LOCAL), lambda: begun(TAUGHT)]
)
def test_a_killed_training_ends_in_the_same_bits(make: Any, tmp_path: Path) -> None:
    whole, killed = make(), make()
    at = 2 * whole.batches + 1

    def save() -> None:
        if killed.steps == at:
            killed.save(tmp_path / "c.npz")

    whole.run()
    killed.run(save=save)
    resumed = make()
    resumed.resume(tmp_path / "c.npz")
    assert resumed.steps == at
    resumed.run()
    for name, values in whole.snapshot().items():
        np.testing.assert_array_equal(resumed.snapshot()[name], values, err_msg=name)
    told = [{**one.result(), "seconds": 0} for one in (whole, resumed, killed)]
    assert told[0] == told[1] == told[2]
    whole.save(tmp_path / "done.npz")
    done = make()
    done.resume(tmp_path / "done.npz")
    assert done.steps == done.total
    assert {**done.result(), "seconds": 0} == told[0]


# Studies


def test_what_is_not_used_leaves_no_trace() -> None:
    spec = experiment(FF, {}, (TAUGHT,))
    assert "backpropagation" not in spec.arms()[0].deciding()
    assert spec.arms()[1].deciding()["backpropagation"]["epochs"] == 6
    assert spec.arms()[1].backpropagation.model_dump().keys() == {"epochs", "learning_rate", "threads"}
    one, other = begun(), begun(epochs=7, calibrate_every=3, negatives="uniform", supervised=True)
    assert one.identity == other.identity, "settings of Forward-Forward are of no account"
    assert one.identity != begun(batch=5).identity
    assert one.identity != begun(widths=(10, 7)).identity


def test_a_study_tells_it_by_its_own_head_alone(tmp_path: Path) -> None:
    beside = [{"name": f"ideal {k}", "momentum": k / 10} for k in range(6)]
    still = ({"name": "still", "learns": False}, {"name": "a, still", "learns": False, "device": "pcm-nandakumar-2018"})  # fmt: skip
    for others in (still, (*still, *beside)):
        spec = experiment(FF, {}, others, seeds=2, epochs=2)
        spec = spec.with_arms([experiment(FF, {}, (PATIENT,)).arm[1], *spec.arm])
        results = study(spec, tmp_path / str(len(others)))
        own = [entry for entry in results["summary"] if entry["arm"] == "bp"]
        assert [(entry["readout"], entry["missing"], entry["verdict"]) for entry in own] == [
            ("softmax", "", None)
        ]
        run = results["runs"][0]
        assert run["readouts"] == {"softmax": run["accuracy"]}
        assert unpack_bits(run["correct"]["softmax"], 20).mean() == pytest.approx(run["accuracy"])
        assert run["curve"][0].keys() == {"epoch", "softmax", "loss", "accuracy", "aside"}
        assert len(run["curve"]) == run["backpropagation"]["learnt_epochs"]
        page = forward_forward_markdown("digits", results)
        assert "| arm | seeds | goodness | softmax |" in page
        assert "| bp | 2 | – | " in page
        assert "bp: backpropagation, at most 6 epochs: seed by seed it ended after " in page
        shown = shows_of("forward-forward")
        assert all(table is None or table.row_count for table in shown.tables(results))
        assert [name for name, _ in shown.findings(results) if name.startswith("bp")] == ["bp, softmax"]
        assert {"epochs", "energy"} <= {
            n for n, drawn in figures_of(results).items() if drawn.figure is not None
        }
        assert "bp" not in str([entry["compared_with"] for entry in results["summary"]])


def test_without_labels_on_images_its_head_stands_beside_the_linear_readout(tmp_path: Path) -> None:
    results = study(
        experiment(LOCAL, {"device": None}, (TAUGHT,), supervised=False, readout_epochs=1), tmp_path
    )
    assert [(e["arm"], e["readout"]) for e in results["summary"]] == [("a", "linear"), ("a", "softmax"), ("bp", "softmax")]  # fmt: skip
    assert "bp: backpropagation, 6 epochs." in forward_forward_markdown("digits", results)
    assert [layer["locations"] for layer in results["runs"][1]["layers"]] == [9, 4]


def test_deep_studies_take_patience(tmp_path: Path) -> None:
    spec = deep_experiment(heads=(2,))
    spec = spec.with_arms([spec.arm[0].changed(backpropagation={"epochs": 4, "patience": 1})])
    head = study(spec, tmp_path)["runs"][0]["heads"][0]
    assert head["curve"].keys() == {"loss", "accuracy", "aside"}
    assert head["best_epoch"] == 1 + int(np.argmax(head["curve"]["aside"]))
    assert len(head["curve"]["aside"]) == head["learnt_epochs"] <= 4


def test_a_sweep_and_a_learner_take_it(tmp_path: Path) -> None:
    spec = experiment(FF, {}, (TAUGHT,))
    found = sweep(spec, tmp_path, ["experiment.batch=5,10"])["rows"]
    assert not [row for row in found if "error" in row]
    assert [row["experiment.batch"] for row in found if row["arm"] == "bp"] == [5, 10]
    (tmp_path / "e.toml").write_text('kind = "forward-forward"\ndataset = "digits"\nwidths = [30, 20]\n[[arm]]\nname = "bp"\nbackpropagation = { epochs = 8 }\n')  # fmt: skip
    digits = neurosim.data.load("digits")
    learner = Learner(load_experiment(tmp_path / "e.toml"), arm="bp")
    learner.fit(digits.x_train.reshape(-1, 8, 8), digits.y_train)
    assert (learner.predict(digits.x_test.reshape(-1, 8, 8)) == digits.y_test).mean() > 0.8
    assert learner.transform(digits.x_test[:3].reshape(-1, 8, 8)).shape == (3, 20)


@pytest.mark.parametrize(
    ("arm", "others", "words"),
    [
        ({"device": "ideal"}, {}, "leave out device"),
        ({"momentum": 0.5, "phases": "apart"}, {}, "leave out momentum, phases"),
        ({"recurrent": {}}, {}, "leave out recurrent"),
        ({}, {"recurrent": {}}, "backpropagation passes through its layers once"),
        ({"backpropagation": {"patience": 0}}, {}, "patience"),
    ],
)
def test_what_has_no_meaning_is_refused(arm: dict[str, Any], others: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        experiment(FF, {}, ({**TAUGHT, **arm},), **others)


def test_mortal_chips_refuse_it() -> None:
    with pytest.raises(ConfigError, match="backpropagation: copies are made of layers that learn on chips"):
        experiment("mortal", {}, (TAUGHT,))


def test_it_learns_digits() -> None:
    settings = {"dataset": "digits", "train_images": 800, "test_images": 290, "fields": ((4, 2), (2, 1)), "widths": (8, 10), "batch": 20}  # fmt: skip
    found = begun({"name": "bp", "backpropagation": {"epochs": 30, "patience": 5}}, LOCAL, **settings)
    found.run()
    result = found.result()
    assert result["accuracy"] > 0.85
    assert result["curve"][-1]["softmax"] > result["accuracy"], "of those learnt it knows more"
