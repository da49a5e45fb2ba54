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
# # Deep SoftHebb on crossbars
#
# Several convolutions, one behind the other, learn without labels and without feedback: every layer in place,
# by what is on its own wires. What does the algorithm ask of a device, and what becomes of it in hardware?
#
# 1. one layer learns: its kernels before and after,
# 2. the step that no wire carries, and what the columns know instead,
# 3. which device can hold which layer, known before training,
# 4. a small deep network in ideal arithmetic and on devices,
# 5. the kept results at full size.
#
# With CIFAR-10 at hand (`NEUROSIM_DATA`) it is used, otherwise the digits bundled with scikit-learn.

# %%
import os
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import neurosim as ns
from neurosim.rules.softhebb import PEAK
from neurosim.study.deep_build import holding

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
BLUE, RED, GREEN, PURPLE = "C0", "C1", "C2", "C3"

warnings.simplefilter(
    "ignore", ns.cautions.ClippingWarning
)  # the ADC's range is set anew every hundred mini-batches
plt.style.use("neurosim.report.notebook")
try:
    data = ns.data.load("digits" if QUICK else "cifar10")
except ns.errors.DataError:
    data = ns.data.load("digits")
print(data.note)

# %% [markdown]
# ## 1. One layer learns
#
# 96 kernels of 5 × 5 pixels start as noise of norm 25. At each position of each image the softmax over the
# kernels' answers says who learns how much; all but the winner learn with the opposite sign. The rate goes to
# zero as a kernel's norm reaches one.

# %%
STEPS = 30 if QUICK else 600
IDEAL = ns.DeepArm(name="ideal")
one = ns.DeepExperiment(dataset=data.name, depth=1, arm=(IDEAL,))
layer = one.training(IDEAL, 0, data).stack.layers[0]
before = layer.array.weights()
order = np.random.default_rng(0).permutation(len(data.x_train))


def batch(step: int) -> np.ndarray:
    """Ten training images, (10, height, width, channels)."""
    chosen = order[(10 * step + np.arange(10)) % len(order)]
    return data.inputs(data.x_train[chosen]).reshape(-1, *data.image_shape)


# %% [markdown]
# The mini-batches are taken apart here, to look inside: patches drive the word lines, `u` are the column currents,
# the rule makes `pre`, `post` and `decay` of them, and the paper divides the whole change by its largest magnitude.

# %%
rule, array, state = layer.dense.rule, layer.array, layer.dense.state
divisors, estimates, norms = [], [], []
for step in range(STEPS):
    rule.observe_norms(array.column_norms(), state)
    x = layer.patches(layer.norm.learn(batch(step)))
    change = rule(x, array.forward(x), state)
    step_of_weights = (change.pre.T @ change.post - change.decay * array.weights()) / change.rate
    divisors.append(np.abs(step_of_weights).max())
    estimates.append(PEAK * np.sqrt(np.square(step_of_weights).mean(axis=0).max()))
    norms.append(array.column_norms().mean())
    array.apply(change)
after = array.weights()


def tiles(weights: np.ndarray) -> np.ndarray:
    """Kernels beside each other, each stretched to grey or colour."""
    channels = data.image_shape[2]
    kernels = weights.T.reshape(-1, 5, 5, channels)[:96]
    kernels = kernels / np.abs(kernels).max(axis=(1, 2, 3), keepdims=True) / 2 + 0.5
    padded = np.pad(kernels, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1.0)
    return padded.reshape(8, 12, 6, 6, channels).transpose(0, 2, 1, 3, 4).reshape(48, 72, channels)


figure, panels = plt.subplots(1, 2, figsize=(11, 3.9), layout="constrained")
for axes, weights, title in zip(
    panels, (before, after), ("start: noise", f"after {10 * STEPS} images"), strict=True
):
    picture = tiles(weights)
    axes.imshow(picture if picture.shape[2] == 3 else picture[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.set(title=f"{title}, mean norm {np.linalg.norm(weights, axis=0).mean():.1f}", xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
figure.suptitle(f"The 96 kernels of the first layer, {data.note}")
plt.show()

# %% [markdown]
# ## 2. The step that no wire carries
#
# After so few images most kernels still look like noise, and a handful shows areas of light and dark: what has fallen
# is their norm. The rate falls with it, and so does the divisor, which gave the size of each step.
#
# The divisor of the paper, the largest magnitude of a change over all weights of the layer, is no constant: it
# falls over orders of magnitude while the norms fall. A fixed gain cannot stand for it, and a crossbar cannot
# compute it. But each column already follows the length of its own change, to know its norm without reading a
# weight; the largest of these, times one constant, is the divisor within tens of per cent, all the way down.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
left.semilogy(divisors, color="black", lw=1.2, label="largest change of any weight (paper)")
left.semilogy(estimates, color=BLUE, lw=1.0, label="from the columns' own lengths")
left.set(xlabel="mini-batch", ylabel="divisor (weight units)", title="The divisor over the training")
left.legend()
right.plot(norms, color=GREEN)
right.set(
    xlabel="mini-batch",
    ylabel="mean norm of the kernels",
    title="Norms fall, and the window need not follow",
    ylim=(0, None),
)
ratio = np.array(divisors) / np.array(estimates)
print(f"divisor: from {divisors[0]:.3g} to {np.median(divisors[-20:]):.3g}")
print(
    f"paper / columns: median {np.median(ratio):.2f}, nine in ten between {np.quantile(ratio, 0.05):.2f} and {np.quantile(ratio, 0.95):.2f}"
)

# %% [markdown]
# Norms fall by a factor of five here, the decay of every weight by the same share in each column. On devices this
# is one number a column: `decay_mode = "gain"` lowers the digital gain behind the converter, and conductances
# stay in their window. What is left for the devices is the Hebbian part.
#
# ## 3. Which device can hold which layer
#
# With 75 inputs a weight of a kernel of norm r is r/√75, with 3,456 inputs r/√3456. Window, pulse step and spread of a
# device are fixed; so what matters is their ratio to the rms of the layer's weights, with the window at four of them.
# A sample of cells is written and asked for 200 random changes of a tenth of the rms each. `followed` is the
# share of these changes that arrived, `spread` what else happened to the weight.

# %%
ECRAM, FINE, PCM = "ecram-li-tang-2018", "rram-hfo2-gong-2018", "pcm-nandakumar-2018"
SEVEN = {"parameters": {"devices_per_cell": 7}}
HELD = {  # device, nominal pulses of one flush, further settings
    "ECRAM": (ECRAM, 12, {}),
    "fine RRAM": (FINE, 64, {}),
    "PCM": (PCM, 4, {}),
    "PCM, 7 devices": (PCM, 14, SEVEN),
}
full = ns.DeepExperiment(depth=1)
table = {}
for name, (device, flush, more) in HELD.items():
    for reads, words in ((0, ""), (1, ", verified")):
        write = {"flush_pulses": flush, "verify_reads": reads}
        arm = ns.DeepArm(name=name, rule="softhebb", device=device, mode="mixed", write=write, **more)
        table[name + words] = holding(full, arm, (32, 32, 3))[0]
COLUMNS = {
    "step": "one pulse / rms",
    "programmed": "write error / rms",
    "followed": "changes followed",
    "spread": "spread / rms",
    "pulses": "pulses a weight",
}
print(f"{'':22}" + "".join(f"{title:>22}" for title in COLUMNS.values()))
for name, found in table.items():
    print(f"{name:22}" + "".join(f"{found[key]:>22.3g}" for key in COLUMNS))

figure, panels = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained", sharey=True)
for axes, key in zip(panels, ("step", "followed", "spread"), strict=True):
    tints = [tint for tint in (BLUE, GREEN, RED, PURPLE) for _ in range(2)]
    bars = axes.barh(list(table), [found[key] for found in table.values()], color=tints)
    for bar in bars[::2]:
        bar.set_alpha(0.45)
    axes.set(title=COLUMNS[key], xlabel="share" if key == "followed" else "in rms of the weights")
    axes.grid(visible=False, axis="y")
panels[0].invert_yaxis()
figure.suptitle("200 random changes of a tenth of the rms: what the devices make of them")
plt.show()

# %% [markdown]
# A pulse of ECRAM is a hundredth of the rms and almost without noise, but 200 changes are thousands of pulses whose steps
# depend on where the device stands; the fine RRAM card adds noise to every write; a single pulse of PCM is a quarter of
# the rms. Verified flushes (`verify_reads`: what a flush missed, as read, goes back to its accumulator) take most of
# all three away, at the price of two reads of each pulsed pair.
#
# ## 4. A small deep network
#
# Two layers, few kernels and few images, every layer learning in place; a linear head on each depth says what
# the layers are worth. This is a demonstration of the machinery; results follow below.

# %%
SMALL = {"rule": "softhebb", "settings": {"adaptive_gain": True}, "mode": "mixed", "window": 5.0}
arms = (
    IDEAL,
    ns.DeepArm(name="random", learns=False),
    ns.DeepArm(
        name="ECRAM", device="ecram-li-tang-2018", write={"decay_mode": "gain", "flush_pulses": 12}, **SMALL
    ),
    *(
        ()
        if QUICK
        else (ns.DeepArm(name="PCM", device="pcm-nandakumar-2018", write={"decay_mode": "gain"}, **SMALL),)
    ),
)
small = ns.DeepExperiment(
    dataset=data.name,
    train_images=150 if QUICK else 3000,
    test_images=100 if QUICK else 2000,
    width=0.5,
    depth=2,
    head_epochs=5 if QUICK else 20,
    hold_out=True,
    arm=arms,
)
with tempfile.TemporaryDirectory() as folder:
    results = ns.compare(small, folder)
results.plot("depth")

# %% [markdown]
# Hold each arm against the random one: with so few images and kernels the intervals overlap, so this run shows no gain of
# learning on devices, and cannot.
#
# What every layer cost: pulses, and joules per mini-batch and synapse, of the devices at their card's pulse, which is partly
# assumed, and with periphery: converters, lines and digital work take far more, and are a lower bound here. `docs/energy.md` has
# price lists and ranges.

# %%
print(f"{'':10}{'layer':>6}{'synapses':>10}{'mean norm':>11}{'pulses a synapse':>18}{'devices, fJ':>13}{'with periphery, fJ':>20}")  # fmt: skip
for run in results["runs"]:
    for number, found in enumerate(run["layers"], 1):
        synapses, energy, cost = found["rows"] * found["neurons"], found.get("energy"), ""
        if energy:
            joules = energy["update_J_per_synapse"], energy["update_J_per_synapse_with_periphery"]
            cost = f"{energy['pulses'] / synapses:>18.2f}{1e15 * joules[0]:>13.2f}{1e15 * joules[1]:>20.1f}"
        print(f"{run['arm']:10}{number:>6}{synapses:>10,}{found['norm_mean']:>11.2f}{cost}")

# %% [markdown]
# ## 5. Results at full size
#
# Whole CIFAR-10 (JPEG re-encoded: figures compare with each other, not with published ones), from the files in
# `results`, which name the command of each.

# %%
KEPT = Path("../results")
for name in ("cifar-deep", "cifar-deep-width-1", "cifar-deep-hardware"):
    if (KEPT / f"{name}.json").exists():
        display(ns.load_results(KEPT / f"{name}.json").plot("depth"))

# %% [markdown]
# The arm called random is the control: what learning is worth is the distance to it at the *same* depth and width, for width alone makes
# features. Whole data sets and wide layers show that distance, with devices between the control and ideal arithmetic; the narrow
# network of the second figure hardly does.
#
# ## An exercise
#
# Which device could hold the second layer of the network of section 4 if its kernels were four times as wide? Predict it from section 3,
# without any training.
#
# *Hint:* `holding(experiment, arm, image_shape)` returns one entry for each layer: take
# `ns.DeepExperiment(depth=2, width=...)` and look at the second. A weight of a kernel is its norm over the root of its inputs; does the
# window follow it, and does the step of a pulse?
