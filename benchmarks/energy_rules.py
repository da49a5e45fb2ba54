"""SoftHebb, Forward-Forward and backpropagation on the same devices: joules and seconds (results/energy-rules.md).

python -m benchmarks.energy_rules [--json FILE] [--page FILE] [--again]

With --again kept events (FILE) are priced and written anew, and nothing is run.
"""

from __future__ import annotations

from typing import Any, ClassVar

import neurosim as ns
from benchmarks.energy_rules_page import PLACE, SHAPES, SHARE, page
from benchmarks.kept_page import main
from benchmarks.small_nets import Backpropagation, arrays
from neurosim import ForwardForwardArm, ForwardForwardExperiment
from neurosim.core.protocols import Floats
from neurosim.network.negatives import Labels
from neurosim.study.forward_forward import ForwardForwardTraining
from neurosim.study.store import versions

Result = dict[str, Any]
IMAGES, SEEDS, CHOSEN_WITH = 20000, 3, 100
READ = ns.ReadPath(adc_bits=8, dac_bits=8)
EPOCHS, BATCH = 6, 100
"""Of Forward-Forward and backpropagation; SoftHebb has one epoch of mini-batches of 32."""
LOOK_EVERY = 2000
"""Images between looks, for every method."""
PCM: dict[str, Any] = {"device": "pcm-nandakumar-2018", "parameters": {"nominal_set_step_uS": 1.1}}
ECRAM: dict[str, Any] = {"device": "ecram-li-tang-2018"}

SOFTHEBB: dict[str, dict[str, Any]] = {
    "PCM": {**PCM, "mode": "mixed", "window": 1.0, "settings": {"learning_rate": 1.0}},
    "ECRAM": {**ECRAM, "mode": "accumulate"},
}
FORWARD_FORWARD: dict[str, dict[str, Any]] = {
    "ideal": {},
    "PCM": {**PCM, "mode": "accumulate", "momentum": 0.97, "write": {"decay_mode": "gain"}},
    "ECRAM": {**ECRAM, "mode": "mixed", "write": {"decay_mode": "gain", "prompt": True, "verify_reads": 1}},
    "PCM, tuned": {
        **PCM, "mode": "accumulate", "momentum": 0.99, "window": 6.0, "seconds_per_update": 1.0,
        "settings": {"goodness": "minus-squares", "decay": 0.0},
    },
}  # fmt: skip
"""From results/ff-policies.toml: of PCM's two best without several devices a cell, validation images chose the first for
these fewer updates; the tuned one takes drift of a second an update for decay, which no array has that is as fast as its prices."""
MODES: dict[str, Any] = {"ideal": "accumulate", "PCM": "mixed", "ECRAM": "accumulate"}
"""How backpropagation is written."""
RATES = {"forward-forward": (0.01, 0.03, 0.1), "backpropagation": (0.03, 0.1, 0.3)}


class FollowedTraining(ForwardForwardTraining):
    """Forward-Forward looked at as often as the others."""

    @property
    def looks(self) -> bool:
        """Whether as many images as between two looks have been learnt."""
        return self.steps > 0 and self.steps * self.batch % LOOK_EVERY == 0

    def look(self) -> dict[str, Any]:
        """Return what a look returns, with the images learnt."""
        return {**super().look(), "images": self.steps * self.batch}

    def course(self) -> list[tuple[float, float]]:
        """Return images learnt and accuracy by goodness at each look."""
        return [(point["images"], point["goodness"]) for point in self.curve]


class FollowedExperiment(ForwardForwardExperiment):
    """A comparison whose trainings are looked at as often as those of the others."""

    kind: ClassVar[str] = "forward-forward, followed"

    def training(self, arm: Any, seed: int, data: ns.Dataset) -> FollowedTraining:
        """Return what one arm learns with one seed, not yet begun."""
        return FollowedTraining(self, arm, seed, data)


class FollowedNet(Backpropagation):
    """Backpropagation that is looked at on the first thousand of the images that it learns."""

    followed: tuple[Floats, Labels]

    def train(self, images: Floats, labels: Labels, batch: int) -> None:
        """Learn images (n, rows) again and again until all steps are done."""
        self.along: list[dict[str, Any]] = []
        self.followed = images[:1000], labels[:1000]
        super().train(images, labels, batch)

    def learn(self, images: Floats, labels: Labels) -> None:
        """Learn one mini-batch, and look where it is time."""
        super().learn(images, labels)
        learnt = (self.done + 1) * len(images)
        if learnt % LOOK_EVERY == 0:
            counts = [layer["counts"] for layer in self.events()]
            accuracy = self.accuracy(*self.followed)
            self.along.append({"images": learnt, "accuracy": accuracy, "counts": counts})


def softhebb(batch: int = 32) -> ns.DenseExperiment:
    """Return the comparison of SoftHebb, its rates those of results/energy-pareto.toml."""
    return ns.DenseExperiment(
        dataset="mnist", train_images=IMAGES, neurons=200, seeds=SEEDS, curve_points=IMAGES // LOOK_EVERY,
        readout_epochs=3, window=1.3, batch=batch, rule_options={"learning_rate": 0.3},
        arm=[{"name": name, **how} for name, how in SOFTHEBB.items()],
    )  # fmt: skip


def forward_forward(
    rates: dict[str, float], hold_out: bool = False, learns: bool = True
) -> ForwardForwardExperiment:
    """Return the comparison of Forward-Forward: followed, or on validation images, or with layers as they start."""
    arms = []
    for name, rate in rates.items():
        how = FORWARD_FORWARD[name]
        settings = {**how.get("settings", {}), "learning_rate": rate}
        arms.append(ForwardForwardArm(name=name, **{**how, "settings": settings, "learns": learns}))
    kind = ForwardForwardExperiment if hold_out or not learns else FollowedExperiment
    return kind(
        dataset="mnist", train_images=IMAGES, widths=(200, 200), epochs=EPOCHS, batch=BATCH,
        hold_out=hold_out, seeds=1 if hold_out else SEEDS, first_seed=CHOSEN_WITH if hold_out else 0, arm=arms,
    )  # fmt: skip


def backpropagated(
    name: str, rate: float, seed: int, data: ns.Dataset, hold_out: bool = False
) -> FollowedNet:
    """Return a network that has learnt by exact gradients."""
    card = {"PCM": PCM, "ECRAM": ECRAM}.get(name, {})
    law = ns.devices.load(card["device"]).with_parameters(**card.get("parameters", {})) if card else None
    fit = data.training(hold_out=hold_out)
    steps = EPOCHS * (len(fit.labels) // BATCH)
    layers = arrays(SHAPES, law, seed, READ)
    net = FollowedNet(layers, data.classes, rate, steps, seed, MODES[name])
    net.train(data.inputs(fit.images), fit.labels, BATCH)
    return net


def pruned(run: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run: its curve whole, counts of the look that came far enough and of the last alone."""
    along = run.get("along") or []
    kept = [look for look in along if look["accuracy"] >= SHARE * along[-1]["accuracy"]]
    curve: Any = [[look["images"], look["accuracy"]] for look in along] or run.get("curve", [])
    names = ("arm", "seed", "accuracy", "vote", "readouts", "untrained", "events")
    found = {name: run[name] for name in names if name in run}
    if "untrained" in found:
        found["untrained"] = {name: found["untrained"][name] for name in ("accuracy", "vote")}
    if curve and isinstance(curve[0], dict):
        curve = [[point["images"], point["goodness"]] for point in curve if "images" in point]
    return {**found, "curve": curve, "along": [*kept[:1], along[-1]] if along else []}


def compared(experiment: Any) -> Result:
    """Run a comparison and return what is kept of it."""
    found = ns.compare(experiment)
    for run in found["runs"]:
        print(type(experiment).__name__, run["arm"], run["seed"], f"{run['accuracy']:.4f}", flush=True)
    return {
        "config": {"epochs": experiment.epochs, "batch": experiment.batch},
        "data": {
            name: found["data"][name] for name in ("note", "train_images", "test_images", "reported_on")
        },
        "runs": [pruned(run) for run in found["runs"]],
        "baselines": found.get("baselines", []),
    }


def chosen(method: str, data: ns.Dataset) -> dict[str, Any]:
    """Return the validation accuracy at each rate, with a seed of its own, and the best rate, for each kind of array."""
    arms = FORWARD_FORWARD if method == "forward-forward" else MODES
    found: dict[str, dict[float, float]] = {name: {} for name in arms}
    for rate in RATES[method]:
        if method == "forward-forward":
            runs = ns.compare(forward_forward(dict.fromkeys(found, rate), hold_out=True))["runs"]
            scores = {run["arm"]: run["accuracy"] for run in runs}
        else:
            held = data.inputs(data.x_validation), data.y_validation
            scores = {
                name: backpropagated(name, rate, CHOSEN_WITH, data, hold_out=True).accuracy(*held)
                for name in found
            }
        print(method, rate, scores, flush=True)
        for name, accuracy in scores.items():
            found[name][rate] = accuracy
    return {
        name: {"rate": max(of, key=lambda rate: of[rate]), "validation": {str(k): v for k, v in of.items()}}
        for name, of in found.items()
    }


def measured() -> Result:
    """Choose rates on validation images, then run everything; each network reads the test images once, at its end."""
    data = softhebb().data()
    picked = {method: chosen(method, data) for method in RATES}
    rates = {method: {name: picked[method][name]["rate"] for name in MODES} for method in RATES}
    found: Result = {"chosen": picked, "versions": versions(), "softhebb": compared(softhebb())}
    found["softhebb, mini-batches of 100"] = compared(softhebb(BATCH))
    found["forward-forward"] = compared(forward_forward(rates["forward-forward"]))
    found["forward-forward, layers as they start"] = compared(
        forward_forward(rates["forward-forward"], learns=False)
    )
    test = data.inputs(data.x_test), data.y_test
    runs = []
    for name, rate in rates["backpropagation"].items():
        for seed in range(SEEDS):
            net = backpropagated(name, rate, seed, data)
            runs.append({
                "arm": name, "seed": seed, "accuracy": net.accuracy(*test), "events": net.events(), "along": net.along,
            })  # fmt: skip
            print("backpropagation", name, seed, f"{runs[-1]['accuracy']:.4f}", flush=True)
    about = found["forward-forward"]
    found["backpropagation"] = {**about, "baselines": [], "runs": [pruned(run) for run in runs]}
    return found


if __name__ == "__main__":
    main("energy-rules", __doc__, PLACE, measured, page)
