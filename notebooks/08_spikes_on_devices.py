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
# # Spikes on devices
#
# The devices of a crossbar as the synapses of a spiking network: a spike on a word line is a read pulse, the column's current
# flows into its neuron, and the neuron's own spikes pulse the devices that fed it.
#
# 1. neurons: what a current makes of them,
# 2. the window of spike timing, on a device,
# 3. a layer that learns: spikes, potentials, thresholds, fields,
# 4. the same layer on devices,
# 5. winners that a softmax draws: SoftHebb by spikes,
# 6. light as a third factor,
# 7. an exercise.
#
# The images are the digits bundled with scikit-learn; MNIST results are in the documentation (results, spikes).

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
BLUE, RED, GREEN, PURPLE = "C0", "C1", "C2", "C3"
PCM, LIT = "pcm-nandakumar-2018", "optomemristor-gese3-sarwat-2022"

warnings.simplefilter("ignore", ns.cautions.StillWarning)  # cards that say nothing of time
plt.style.use("neurosim.report.notebook")
data = ns.data.load("digits")
print(data.note)

# %% [markdown]
# ## 1. Neurons
#
# Two models. A leaky integrate-and-fire neuron (LIF) forgets its potential with a time constant and spikes at a threshold;
# Izhikevich's has a second variable, and with it most of the patterns that are seen in cortex. Both are driven here by a
# current alone, that begins at 50 ms; nothing comes from the array.

# %%
KINDS = {
    "LIF": (ns.LIF(adaptation_mV=0.0), 20.0),
    "Izhikevich, regular spiking": (ns.Izhikevich(), 10.0),
    "Izhikevich, fast spiking": (ns.Izhikevich(a=0.1, d=2.0), 10.0),
    "Izhikevich, chattering": (ns.Izhikevich(c_mV=-50.0, d=2.0), 10.0),
}
figure, panels = plt.subplots(2, 2, figsize=(10, 5), layout="constrained", sharex=True)
nothing = np.zeros((250, 1), bool)
for axes, (name, (neuron, current)) in zip(panels.flat, KINDS.items(), strict=True):
    array = ns.IdealArray((1, 1))
    alone = ns.SpikingLayer(array, ns.rules.WindowStdp(), neuron, dt_s=0.5e-3)
    quiet = alone.present(ns.given_trains(nothing[:100]), learn=False, record=True)
    alone.bias_mV[:] = current
    driven = alone.present(ns.given_trains(nothing), learn=False, record=True)
    trace = np.concatenate([quiet.potentials[:, 0], driven.potentials[:, 0]])
    axes.plot(0.5 * np.arange(len(trace)), trace, color=BLUE, lw=1)
    axes.set(title=f"{name}: {driven.counts[0]} spikes", ylabel="potential (mV)")
for axes in panels[1]:
    axes.set_xlabel("time (ms)")

# %% [markdown]
# ## 2. The window of spike timing, on a device
#
# Pair STDP asks for a change that falls off with the time between an input's spike and its neuron's. A device has no
# fractions of a pulse: each asks for less than one here, so that a controller gives one with that chance. 300 PCM devices a
# point; what a pulse then does is the device's own, first step, noise and all.

# %%
LAGS = (-40, -20, -10, -5, -2, 1, 2, 5, 10, 20, 40)


def changed(lag: int) -> np.ndarray:
    """Conductance differences (uS) of 300 pairs that one spike pair changes, the neuron `lag` ms after its input."""
    array = ns.Crossbar((2, 300), PCM, seed=3, write={"refresh": None})
    array.program(np.stack([np.zeros(300), np.ones(300)]), 1.0)  # the second row makes all neurons spike
    before = array.conductance_uS()[0]
    rule = ns.rules.PairStdp(learning_rate=0.9 * array.weight_per_pulse, depression=1.0)
    layer = ns.SpikingLayer(array, rule, ns.LIF(gain_mV=100.0, adaptation_mV=0.0, refractory_s=0.0))
    spikes = np.zeros((130, 2), bool)
    spikes[60, 0] = spikes[60 + lag - 1, 1] = True
    layer.present(ns.given_trains(spikes))
    moved = array.conductance_uS()[0] - before
    return moved[0::2] - moved[1::2]


found = {lag: changed(lag) for lag in LAGS}
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
for lag, values in found.items():
    axes.plot(np.full(len(values), lag), values, ".", color=BLUE, alpha=0.08)
means = {lag: values.mean() for lag, values in found.items()}
axes.plot([*means], [*means.values()], "o-", color=RED, label="mean of 300 pairs")
lags = np.linspace(0.5, 40, 80)
top = means[1] * np.exp(1 / 20)
axes.plot(lags, top * np.exp(-lags / 20), "--", color="black", lw=1, label="exp(-t / 20 ms)")
axes.plot(-lags, -top * np.exp(-lags / 20), "--", color="black", lw=1)
axes.set(
    xlabel="neuron's spike after its input's (ms)",
    ylabel="change of G+ − G− (µS)",
    title="Spike timing on PCM",
)
axes.legend()
print({lag: f"{value:+.2f} uS" for lag, value in means.items()})

# %% [markdown]
# ## 3. A layer that learns
#
# Winner take all: of the neurons over their thresholds the farthest spikes, all others are reset and silent for 10 ms. The
# winner's inputs that were active lately go up, all others down (Querlioz et al. 2013). A spike raises the winner's
# threshold, which then falls again so that each neuron comes to speak for its share of the images.

# %%
NEURONS = 20 if QUICK else 40
IMAGES = 200 if QUICK else 1000
spec = ns.SpikesExperiment(dataset="digits", neurons=NEURONS, hold_out=True)
array = ns.IdealArray((64, NEURONS))
array.program(0.1 + 0.4 * np.random.default_rng(0).random((64, NEURONS)))
layer = ns.SpikingLayer(
    array,
    ns.rules.WindowStdp(row_trace_s=40e-3, down=0.5, forgets=True, learning_rate=0.03),
    spec.neuron,
    ns.Hard(),
    highest_Hz=100.0,
)
images = data.inputs(data.x_train)
fields = [array.weights()]
for count, image in enumerate(images[:IMAGES], 1):
    layer.present(layer.trains(image, 0.15))
    if count in (IMAGES // 10, IMAGES):
        fields.append(array.weights())
figure, panels = plt.subplots(3, 12, figsize=(10, 3), layout="constrained")
for row, (weights, seen) in zip(panels, zip(fields, (0, IMAGES // 10, IMAGES), strict=True), strict=True):
    for axes, column in zip(row, weights.T, strict=False):
        axes.imshow(column.reshape(8, 8), cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    row[0].set_ylabel(f"{seen} images", rotation=0, ha="right", va="center")
figure.suptitle("Fields of the first neurons: red drives, blue holds back")
plt.show()

# %% [markdown]
# One image, as the layer sees it now: the input's spikes, who answers, and the potentials of two neurons below their
# thresholds. Looking changes nothing: `learn=False`.

# %%
shown = layer.present(layer.trains(images[IMAGES], 0.15), learn=False, record=True)
step, kind, number = shown.raster.T
winners = np.argsort(shown.counts)[::-1][:2]
figure, panels = plt.subplots(
    3, 1, figsize=(10, 6), layout="constrained", sharex=True, height_ratios=(3, 1.5, 3)
)
panels[0].plot(step[kind == 0], number[kind == 0], "|", color="grey", ms=4)
panels[0].set(ylabel="input", title="Spikes of the inputs and of the neurons")
panels[1].plot(step[kind == 1], number[kind == 1], "|", color=RED, ms=8, mew=2)
panels[1].set(ylabel="neuron", ylim=(-1, NEURONS))
for neuron, colour in zip(winners, (BLUE, GREEN), strict=True):
    panels[2].plot(shown.potentials[:, neuron], color=colour, lw=1, label=f"neuron {neuron}")
    panels[2].axhline(spec.neuron.threshold_mV + layer.raised_mV[neuron], color=colour, lw=1, ls="--")
panels[2].set(xlabel="time (ms)", ylabel="potential (mV)")
panels[2].plot([], [], color="grey", lw=1, ls="--", label="thresholds")
panels[2].legend(loc="upper left", bbox_to_anchor=(1, 1))
print(f"{len(step[kind == 0])} input spikes, {shown.counts.sum()} of the neurons")

# %% [markdown]
# ## 4. The same layer on devices
#
# An experiment like any other: arms, seeds, workers, sweeps, `neurosim report`. In ideal arithmetic a weight comes to the mean
# of what its input does when the neuron spikes; a PCM pair gets one pulse a spike, up or down, and what that does depends
# on where the device stands. The untrained layer is the control.

# %%
ONE_PULSE = {"row_trace_s": 40e-3, "down": 0.3, "one_pulse": True}
FORGETS = {"row_trace_s": 40e-3, "down": 0.5, "forgets": True, "learning_rate": 0.03}
experiment = ns.SpikesExperiment(
    dataset="digits",
    neurons=NEURONS,
    train_images=300 if QUICK else 1200,
    test_images=100 if QUICK else None,
    curve_points=2 if QUICK else 4,
    curve_images=100 if QUICK else 300,
    readout_epochs=2 if QUICK else 10,
    arm=(
        ns.SpikesArm(name="ideal", settings=FORGETS),
        ns.SpikesArm(name="PCM", device=PCM, settings=ONE_PULSE),
        ns.SpikesArm(name="PCM, untrained", device=PCM, settings=ONE_PULSE, learns=False),
    ),
)
results = ns.compare(experiment)
figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
for run, colour in zip(results["runs"], (BLUE, RED, "grey"), strict=True):
    seen, right, _ = zip(*run["curve"], strict=True)
    axes.plot(seen, [100 * value for value in right], "o-", color=colour, label=run["arm"])
axes.set(xlabel="images shown", ylabel="training images right (%)", title="Assigned neurons")
axes.legend()
for run in results["runs"]:
    print(
        f"{run['arm']}: {100 * run['accuracy']:.1f} % of {run['test_size']} test images, {run['spikes_an_image']:.1f} spikes an image"
    )
pcm = next(run for run in results["runs"] if run["arm"] == "PCM")
presented = experiment.epochs * (
    len(data.training().labels) if experiment.train_images is None else experiment.train_images
)
print(
    f"PCM, a training image: {1e9 * pcm['energy']['read_J'] / presented:.3g} nJ of reads and {1e9 * pcm['energy']['update_J'] / presented:.3g} nJ of "
    f"updates in the devices; periphery {1e9 * pcm['energy']['periphery_J'] / presented:.3g} nJ, a lower bound without neurons"
)

# %% [markdown]
# The untrained layer stays near its start, so what the others gained is learnt. What PCM loses to ideal arithmetic is a difference of single
# seeds here: believe it as far as the number of test images allows.
#
# ## 5. Winners that a softmax draws
#
# With soft inhibition there are no thresholds: at a fixed rate a winner is drawn by the softmax of the potentials, and it alone
# learns `eta (x - u w)`. In the mean over draws that is SoftHebb: a spiking soft winner-take-all computes it. Left, winners of
# held potentials against the softmax; right, the mean change of a weight against one step of the rate rule.

# %%
rng = np.random.default_rng(5)
weights, x = rng.normal(0, 0.3, (20, 6)), rng.random(20).astype(np.float32)
DRAWS = 2000 if QUICK else 20_000


class Watched(ns.IdealArray):
    """Sums changes instead of making them."""

    total = np.zeros((20, 6))

    def update(self, pre, post, decay=None, mode="accumulate"):
        """Take note of a change."""
        self.total += pre.T @ post - decay * weights
        return 0


watched = Watched((20, 6), "float64")
watched.program(weights)
soft = ns.SpikingLayer(
    watched,
    ns.rules.SpikingSoftHebb(rate_power=0.0),
    ns.LIF(gain_mV=1.0),
    ns.Soft(temperature_mV=0.5),
    highest_Hz=100.0,
    norm_every=10**9,
)
wins = soft.drawn(x, DRAWS)
u = x.astype(float) @ weights
sharpness = soft.neuron.gain_mV * soft.full_trace / 0.5
y = np.exp(sharpness * (u - u.max()))
y /= y.sum()
rule = ns.rules.SoftHebb(inverse_temperature=sharpness, learning_rate=soft.rule.learning_rate, rate_power=0.0)
step = rule(x[None].astype(float), u[None].copy(), rule.state(20, 6))
expected = step.pre.T @ step.post - step.decay * weights
figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
panels[0].errorbar(y, wins / DRAWS, 5 * np.sqrt(y * (1 - y) / DRAWS), fmt="o", color=BLUE, capsize=3)
panels[0].set(xlabel="softmax", ylabel="share of wins, 5 standard errors", title="Winners")
panels[1].plot(1e3 * expected.ravel(), 1e3 * watched.total.ravel() / DRAWS, ".", color=BLUE)
panels[1].set(
    xlabel="one step of the rate rule (0.001)", ylabel="mean of draws (0.001)", title="Change of each weight"
)
for axes in panels:
    axes.axline((0, 0), slope=1, color="black", lw=1, ls="--")
off = np.linalg.norm(watched.total / DRAWS - expected) / np.linalg.norm(expected)
print(f"{DRAWS} draws: the mean change is {100 * off:.1f} % off the rate rule's")

# %% [markdown]
# ## 6. Light as a third factor
#
# XOR cannot be read off one layer's inputs. Eight neurons stand for the answers 0 and 1 by turns; the optomemristor's pulses
# take effect only in the light, which is on where the winner stands for the right answer. In the dark the same pulses do
# nothing. The control has the light on always.

# %%
PATTERNS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
WANTED, CLASSES = PATTERNS[:, 0] ^ PATTERNS[:, 1], np.arange(8) % 2


def coded(pattern: np.ndarray) -> np.ndarray:
    """Both bits and their complements, on eight lines each."""
    return np.repeat([pattern[0], 1 - pattern[0], pattern[1], 1 - pattern[1]], 8).astype(np.float32)


def learnt(rewarded: bool, seed: int) -> float:
    """Share of right answers after learning."""
    array = ns.Crossbar((32, 8), LIT, seed=seed)
    array.program(0.1 + 0.3 * np.random.default_rng(seed).random((32, 8)), 1.0)
    neuron = ns.LIF(membrane_s=50e-3, threshold_mV=-64.0, gain_mV=0.1, adaptation_mV=0.1, target_Hz=5.0)
    layer = ns.SpikingLayer(
        array, ns.rules.WindowStdp(down=0.5, one_pulse=True), neuron, ns.Hard(), highest_Hz=100.0, seed=seed
    )
    draws = np.random.default_rng(seed + 100)
    for _ in range(200):
        k = int(draws.integers(4))
        light = (lambda spiked, k=k: float((CLASSES[spiked] == WANTED[k]).all())) if rewarded else 1.0
        layer.present(layer.trains(coded(PATTERNS[k]), 0.15), gate=light)
    counts = layer.counts(np.stack([coded(pattern) for pattern in PATTERNS] * 10), 0.15)
    votes = np.stack([counts[:, one == CLASSES].sum(axis=1) for one in (0, 1)], axis=1)
    return float((votes.argmax(axis=1) == np.tile(WANTED, 10)).mean())


SEEDS = range(1 if QUICK else 3)
for name, rewarded in (("light where the answer is right", True), ("light always", False)):
    print(f"{name}: {[f'{100 * learnt(rewarded, seed):.0f} %' for seed in SEEDS]}")

# %% [markdown]
# With light that says nothing the layer guesses: four patterns leave it no more than chance or one way of being half right. The light alone
# tells it which of its own answers were worth learning.
#
# ## 7. An exercise
#
# Give each synapse of section 4 several devices, `parameters={"devices_per_cell": 3}` in an arm: a pulse then goes to one of
# them in turn, and a step of the synapse is a third as large. Does the accuracy rise? What does an image cost? Compare with
# the kept study of one to nine devices in the documentation.
#
# *Hint:* one more `ns.SpikesArm(name="PCM, 3 devices", device=PCM, settings=ONE_PULSE, parameters=...)`, and its untrained control. Reads take
# three times the cells, pulses stay one each: so which line of the bill grows, devices or periphery? With one seed, hold the
# difference against the chance of the test set: `ns.statistics.wilson(accuracy, images)`.
