# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Forward-Forward and mortal chips
#
# Two forward passes, nothing backwards: each layer raises its own goodness on positive data and lowers it on negative
# data (Hinton, arXiv 2212.13345). No other rule asks so little of a crossbar, and hardly one is so hard on devices.
#
# 1. positive, negative and neutral images,
# 2. what a layer learns to tell apart,
# 3. how much of what devices are asked for cancels,
# 4. why an accumulator breaks it and stochastic rounding does not,
# 5. one update that puts a sample's goodness where it belongs,
# 6. chips that cannot be copied,
# 7. the kept results.
#
# With MNIST at hand (`NEUROSIM_DATA`) it is used, otherwise the digits bundled with scikit-learn.

# %%
import os
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
BLUE, RED, GREEN, PURPLE = "C0", "C1", "C2", "C3"

# The ADC's range is set anew every hundred mini-batches; of hundreds of thousands of weights a handful lies beyond the window.
for kind in (ns.cautions.ClippingWarning, ns.cautions.WindowWarning):
    warnings.simplefilter("ignore", kind)
plt.style.use("neurosim.report.notebook")
try:
    data = ns.data.load("digits" if QUICK else "mnist")
except ns.errors.DataError:
    data = ns.data.load("digits")
print(data.note)

# %% [markdown]
# ## 1. Positive, negative and neutral images
#
# The label stands on the first ten pixels. A positive image has its own, a negative one a wrong label that the net
# holds probable, a neutral one a tenth of each. Without labels, negatives are hybrids: large areas of one image,
# the rest of another, so that every stroke is right and the whole is wrong.

# %%
rng = np.random.default_rng(0)
some, labels = data.inputs(data.x_train[:64]), data.y_train[:64]
wrong = (labels + 1 + rng.integers(0, 9, len(labels))) % 10
shown = {
    "positive": ns.negatives.with_labels(some, labels, 10),
    "negative": ns.negatives.with_labels(some, wrong, 10),
    "neutral": ns.negatives.with_neutral_label(some, 10),
    "hybrid (no labels)": ns.negatives.hybrids(some, data.image_shape, 6, rng),
}
figure, panels = plt.subplots(4, 8, figsize=(10, 5), layout="constrained")
for row, (name, pictures) in zip(panels, shown.items(), strict=True):
    for axes, picture in zip(row, pictures, strict=False):
        axes.imshow(picture.reshape(data.image_shape[:2]), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
figure.suptitle(f"What layers are shown, {data.note}")
plt.show()

# %% [markdown]
# ## 2. What a layer learns to tell apart
#
# A small net in ideal arithmetic, Hinton's recipe. Goodness is the sum of squared activities; the layer takes an image
# for positive where it exceeds the number of neurons. Before and after, on images that were not learnt.

# %%
WIDTHS = (60, 60) if QUICK else (300, 300)
EPOCHS = 2 if QUICK else 5
SMALL = {
    "dataset": data.name,
    "widths": WIDTHS,
    "train_images": 300 if QUICK else 6000,
    "test_images": 100 if QUICK else 1000,
    "hold_out": True,
    "epochs": EPOCHS,
    "batch": 20 if QUICK else 50,
}
IDEAL = ns.ForwardForwardArm(name="ideal")
spec = ns.ForwardForwardExperiment(arm=(IDEAL,), **SMALL)
training = spec.training(IDEAL, 0, data.subset(spec.train_images, spec.test_images))


def goodness(images: np.ndarray) -> np.ndarray:
    """Goodness of the second layer, a neuron."""
    return training.stack.forward(images).goodness[:, 1] / WIDTHS[1]


held = data.inputs(data.x_validation[:500]), data.y_validation[:500]
apart = (held[1] + 1 + rng.integers(0, 9, len(held[1]))) % 10
trial = {
    "own label": ns.negatives.with_labels(held[0], held[1], 10),
    "wrong label": ns.negatives.with_labels(held[0], apart, 10),
}
before = {name: goodness(images) for name, images in trial.items()}
training.run()
after = {name: goodness(images) for name, images in trial.items()}
figure, panels = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
for axes, found, title in zip(panels, (before, after), ("before", f"after {EPOCHS} epochs"), strict=True):
    edges = np.linspace(0, max(1.5, float(np.quantile(np.concatenate(list(found.values())), 0.99))), 60)
    for (name, values), colour in zip(found.items(), (GREEN, RED), strict=True):
        axes.hist(values, edges, color=colour, alpha=0.6, label=name)
    axes.axvline(1.0, color="black", lw=1, ls="--", label="threshold")
    axes.set(title=title, xlabel="goodness of a neuron, second layer")
panels[0].set_ylabel("images")
panels[1].legend(loc="upper left")
print(
    {name: f"{training.curve[-1][name]:.3f}" for name in ("goodness", "softmax")}, "on the validation split"
)

# %% [markdown]
# ## 3. How much cancels
#
# Inputs and activities are never negative. So positive images only raise weights and negative ones only lower
# them: on a pair of devices that can only be SET, one device climbs in the positive pass, the other in the negative
# one. What is asked for in each phase, summed over the training, against what remains in the weights:

# %%
array = ns.IdealArray((data.rows + 1, WIDTHS[0]))
begun = np.vstack(
    [rng.normal(0, data.rows**-0.5, (data.rows, WIDTHS[0])), np.zeros((1, WIDTHS[0]))]
)  # and a bias
array.program(begun)
layer = ns.Dense(array, ns.rules.ForwardForward(learning_rate=1e-3, peer=0.0, decay=0.0))
order = rng.permutation(len(data.x_train))
gross, last = [0.0, 0.0], begun.copy()


def inputs(images: np.ndarray) -> np.ndarray:
    """Images of length one a pixel, and the input of the bias."""
    lengths = np.sqrt(np.mean(np.square(images), axis=1, keepdims=True))
    return np.concatenate([images / lengths, np.ones((len(images), 1), np.float32)], axis=1)


for step in range(20 if QUICK else 300):
    chosen = order[(50 * step + np.arange(50)) % len(order)]
    images, own = data.inputs(data.x_train[chosen]), data.y_train[chosen]
    for number, marks in enumerate((own, (own + 1 + rng.integers(0, 9, 50)) % 10)):
        layer.learn(
            inputs(ns.negatives.with_labels(images, marks, 10)), np.full(50, 1.0 if number == 0 else -1.0)
        )
        now = array.weights()
        gross[number] += float(np.abs(now - last).mean())
        last = now.copy()
net = float(np.abs(last - begun).mean())
print(f"asked for, a weight: {gross[0]:.4f} up by positive images, {gross[1]:.4f} down by negative ones")
print(f"left: {net:.5f}, one part in {sum(gross) / net:.0f}; rms of the weights {begun.std():.3f}")

# %% [markdown]
# Give both phases in one update, and devices see the difference of the two; leave out samples that the layer has
# right anyway (`skip_quiet`); filter the change (Hinton's 0.9). Each is a setting of an arm.
#
# ## 4. An accumulator breaks it
#
# What is left for a weight in a whole training is less than one pulse of phase-change memory. A digital accumulator
# that waits for a whole pulse (`mixed`) seems made for that; but the goodness of a layer is a sum over all its weights,
# and while every one of them waits, the layer overshoots: it learns that it is too good only when the pulses come,
# all at once. Stochastic rounding (`accumulate`) gives a pulse to one weight in ten where a tenth is asked for: the layer
# answers at once, in the mean, and the noise is spread over thousands of weights. (An accumulator may answer at once as well,
# `prompt = true`: worth it where pulses are small, as section 7 shows for RRAM and ECRAM.)

# %%
PCM = {"device": "pcm-nandakumar-2018", "write": {"decay_mode": "gain"}}
arms = (
    IDEAL,
    ns.ForwardForwardArm(name="PCM, stochastic rounding", mode="accumulate", **PCM),
    ns.ForwardForwardArm(name="PCM, accumulator", mode="mixed", **PCM),
    *(
        ()
        if QUICK
        else (
            ns.ForwardForwardArm(
                name="PCM, no filter",
                mode="accumulate",
                momentum=0.0,
                settings={"learning_rate": 1e-3},
                **PCM,
            ),
        )
    ),
)
spec = ns.ForwardForwardExperiment(arm=arms, **SMALL)
with tempfile.TemporaryDirectory() as folder:
    results = ns.compare(spec, folder)
display(results.plot("epochs"))
for run in results["runs"]:
    quiet = np.mean(run["curve"][-1]["quiet"])
    print(
        f"{run['arm']:28}{100 * quiet:5.0f} % of samples quiet in the last epoch, goodness {100 * run['readouts']['goodness']:.1f} %"
    )

# %% [markdown]
# ## 5. One update is enough
#
# All active neurons of a layer change by the same factor when it learns from one sample (equation 3): the next
# layer sees the same direction as before. With the right rate (equation 4) goodness lands on its goal in one step.

# %%
rule = ns.rules.ForwardForward(jump=0.5, peer=0.0, decay=0.0)
array = ns.IdealArray((data.rows + 1, 200), "float64")
array.program(rng.normal(0, data.rows**-0.5, array.shape))
one = ns.Dense(array, rule)
x = np.concatenate([some[:1] / np.sqrt(np.mean(some[:1] ** 2)), [[1.0]]], axis=1)
for phase, goal in ((1.0, 1.5), (-1.0, 0.5)):
    u = array.forward(x)
    one.learn(x, np.array([phase]))
    v = array.forward(x)
    y, z = np.maximum(u, 0)[0], np.maximum(v, 0)[0]
    cosine = y @ z / np.linalg.norm(y) / np.linalg.norm(z)
    print(
        f"phase {phase:+.0f}: goodness a neuron {y @ y / 200:.3f} -> {z @ z / 200:.12f} (goal {goal}), cosine {cosine:.12f}"
    )

# %% [markdown]
# ## 6. Chips that cannot be copied
#
# What a chip is born with is in its weights after learning: steps of its devices, stuck cells, gains of its converters, and
# here neurons that each pass their current through a curve of their own, which nobody knows. The weights are copied to
# a chip that differs in one kind of draw, and in all; then learning goes on there.

# %%
ECRAM = ns.ForwardForwardArm(
    name="ECRAM",
    device="ecram-li-tang-2018",
    parameters={"p_stuck_between": 0.02},
    read={"dac_bits": 8, "adc_bits": 8, "adc_gain_spread": 0.1},
    write={"decay_mode": "gain"},
    neurons=ns.Neurons(power_spread=0.2, gain_spread=0.2, saturation=8.0),
)
chips = ns.MortalExperiment(
    arm=(ECRAM,), kinds=("devices", "neurons", "all"), chips=1, relearn_epochs=1, relearn_rate=0.1, **SMALL
)
with tempfile.TemporaryDirectory() as folder:
    copies = ns.compare(chips, folder)
display(copies.plot("mortal"))
display(copies.plot("recovery"))

# %% [markdown]
# A demonstration of the machinery on few images; the kept study has more.
#
# ## 7. The kept results
#
# From the files in `results`, which name the command of each.

# %%
KEPT = Path("../results")
for name in ("ff-policies", "ff-larger", "ff-samples", "mnist-forward-forward", "mortal-chips"):
    if (KEPT / f"{name}.json").exists():
        figures = ns.load_results(KEPT / f"{name}.json").plot()
        display(next(figures[wanted] for wanted in ("mortal", "energy", "epochs") if wanted in figures))

# %% [markdown]
# How a device is written decides more than which device it is: compare the arms of one device that differ in the filter or the
# accumulator. And weights that are copied lose more by other neurons than by other devices. Learning on brings most of it back
# in a time in which learning from scratch, the control, does not come so far.
#
# ## An exercise
#
# Section 3 counts how much of what devices are asked for cancels. By how much does it cancel less if both phases are given in one
# update?
#
# *Hint:* stack both halves: `layer.learn(np.concatenate([positive, negative]), np.repeat([1.0, -1.0], 50))` makes one change of them, and
# its mean magnitude is what devices are asked for then. Hold it against `gross` and `net`. What does an update of two phases ask of a
# chip that one of a single phase does not?
