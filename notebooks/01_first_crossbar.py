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
# # A first crossbar
#
# One array, from a single device to a layer that learns:
#
# 1. what a pulse does to three published devices,
# 2. how well they are programmed, and what a year does to them,
# 3. one multiplication against exact arithmetic, effect by effect,
# 4. one layer that learns in place with SoftHebb, beside the same layer in ideal arithmetic,
# 5. what an update costs.
#
# The data are the 8 x 8 digits bundled with scikit-learn; nothing is downloaded. `make notebooks` executes
# this page; with `NEUROSIM_QUICK=1` it takes fewer devices, epochs and seeds.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
DEVICES = 200 if QUICK else 1000
EPOCHS = 4 if QUICK else 20
SEEDS = 2 if QUICK else 3

PCM, FINE, COARSE = "pcm-nandakumar-2018", "rram-hfo2-gong-2018", "rram-hfo2-om-2022"
TITLE = {"ideal": "ideal", PCM: "PCM", FINE: "RRAM, fine steps", COARSE: "RRAM, coarse steps"}
ARMS = (PCM, COARSE) if QUICK else (PCM, FINE, COARSE)
COLOUR = {"ideal": "#222222", PCM: "#0072b2", FINE: "#009e73", COARSE: "#d55e00"}

plt.rcParams.update(
    {
        "figure.dpi": 80,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e4e4",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## 1. A device
#
# A *card* holds the published numbers of one device, a *law* the equations. Phase-change memory is SET
# gradually and RESET abruptly; both RRAM cards move in either direction, in steps that shrink towards the
# bounds of the cell. Card and source: `neurosim devices show NAME`.

# %%
devices = {name: ns.devices.load(name) for name in (PCM, FINE, COARSE)}
print(f"{'card':22}{'window, uS':>14}{'rest, uS':>10}{'nominal step, uS':>18}  polarity")
for name, device in devices.items():
    window = f"{device.g_min_uS:g} to {device.g_max_uS:g}"
    print(f"{name:22}{window:>14}{device.g_rest_uS:>10.4g}{device.nominal_step_uS:>18.3g}  {device.polarity}")

# %% [markdown]
# `pulse_response` gives many fresh devices the same pulses. PCM: twenty SET pulses, one RESET, twenty more.
# RRAM: pulses up, then as many down. The traces are what a read would find without read noise.

# %%
PULSES = {
    PCM: [1] * 20 + [-1] + [1] * 20,
    FINE: [1] * 800 + [-1] * 800,
    COARSE: [1] * 40 + [-1] * 40,
}

figure, panels = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for axes, (name, pulses) in zip(panels, PULSES.items(), strict=True):
    traces = ns.devices.pulse_response(name, pulses, DEVICES, seed=0)
    mean, sigma = traces.mean(axis=1), traces.std(axis=1)
    n = np.arange(len(traces))
    turn = pulses.index(-1)
    every = max(1, len(pulses) // 80)
    axes.plot(n[::every], traces[::every, :3], color="#777777", lw=0.7)
    axes.fill_between(n, mean - sigma, mean + sigma, color=COLOUR[name], alpha=0.25, lw=0, label="mean ± σ")
    axes.plot(n, mean, color=COLOUR[name], lw=2, label="mean")
    axes.axvline(turn, color="#999999", lw=1, ls=":")
    for bound in (devices[name].g_min_uS, devices[name].g_max_uS):
        axes.axhline(bound, color="#999999", lw=1, ls="--")
    axes.set(title=TITLE[name], xlabel="pulse number", xlim=(0, len(pulses)), ylim=(0, None))
    print(f"{TITLE[name]:20} after {turn} pulses up: mean {mean[turn]:.2f} uS, σ {sigma[turn]:.2f} uS")
panels[0].set_ylabel("conductance, µS")
panels[1].plot([], [], color="#777777", lw=0.7, label="three of the devices")
panels[1].plot([], [], color="#999999", lw=1, ls=":", label="last pulse up")
panels[1].plot([], [], color="#999999", lw=1, ls="--", label="nominal window")
figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=5)
figure.suptitle("Response to identical pulses")
plt.show()

# %% [markdown]
# The nominal step printed above is all that the controller knows of a device. On the fine RRAM card it is far
# smaller than the write noise, which is drawn anew whenever a cell is pulsed: single traces jump, while the
# mean creeps. On the coarse card the spread between devices is larger: every cell has bounds and a step of
# its own, which may lie outside the nominal window, and corrupt cells do not move at all.

# %% [markdown]
# ## 2. Programming, and a year on the shelf
#
# `programmed` writes a target, closed loop, and follows the conductance. The PCM law states conductance
# 38.6 s after the pulse; that is the time of the error plot. The drift exponent of the card has no spread,
# so the right-hand plot shows a variant as well, in which devices differ: 0.01 is an assumption, not a
# published number, and `with_parameters` is how any effect of a card is switched on or off.

# %%
READ_S = devices[PCM].drift_reference_s
YEAR_S = 365.25 * 86400.0
times_s = np.geomspace(READ_S, YEAR_S, 25)
spread = devices[PCM].with_parameters(drift_exponent_sigma=0.01)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for k, (name, device) in enumerate(devices.items()):
    span = device.g_max_uS - device.g_min_uS
    share = np.linspace(0.02, 0.98, 13)
    targets = device.g_min_uS + share * span
    error = ns.devices.programmed(device, targets, [READ_S], DEVICES)[0] - targets[:, None]
    left.errorbar(
        100 * share + k - 1,
        100 * error.mean(axis=1) / span,
        100 * error.std(axis=1) / span,
        fmt="o",
        ms=4,
        capsize=2,
        color=COLOUR[name],
        label=TITLE[name],
    )
    middle = error[len(share) // 2]
    print(f"{TITLE[name]:20} target {targets[len(share) // 2]:5.1f} uS: error {middle.mean():+.2f} ± "
          f"{middle.std():.2f} uS")  # fmt: skip
left.axhline(0, color="#999999", lw=1)
left.set(
    title="Programming error (mean ± σ over devices)",
    xlabel="target, % of the window",
    ylabel="conductance − target, % of the window",
)
left.legend()

for target, colour in zip((11.0, 8.0, 5.0), ("#08306b", "#2171b5", "#6baed6"), strict=True):
    for device, strength in ((spread, 0.18), (devices[PCM], 0.35)):
        g = ns.devices.programmed(device, [target], times_s, DEVICES)[:, 0]
        mean, sigma = g.mean(axis=1), g.std(axis=1)
        right.fill_between(times_s, mean - sigma, mean + sigma, color=colour, alpha=strength, lw=0)
    right.plot(times_s, mean, color=colour, lw=1.6)
    print(f"PCM programmed to {target:4.1f} uS: mean {mean[0]:5.2f} uS at {READ_S:g} s, "
          f"{mean[-1]:5.2f} uS after a year")  # fmt: skip
for seconds, text in ((3600.0, "hour"), (86400.0, "day"), (30 * 86400.0, "month"), (YEAR_S, "year")):
    right.axvline(seconds, color="#bbbbbb", lw=0.8, ls=":")
    right.text(seconds, 13.0, text, ha="right", va="top", rotation=90, fontsize=8, color="#666666")
right.plot([], [], color="#2171b5", label="mean")
right.fill_between([], [], [], color="#2171b5", alpha=0.45, lw=0, label="± σ, exponent as on the card")
right.fill_between([], [], [], color="#2171b5", alpha=0.18, lw=0, label="± σ, exponents that differ by 0.01")
right.set(
    title="PCM drift from three targets",
    xlabel="time since programming, s",
    ylabel="conductance, µS",
    xscale="log",
    ylim=(0, 13.2),
)
right.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# Towards the ends of the window the RRAM errors are one-sided: a cell cannot be programmed beyond bounds of
# its own. The RRAM cards have no retention law, so on them a year changes nothing: that is a statement about
# the cards, not about RRAM.

# %% [markdown]
# ## 3. One multiplication against exact arithmetic
#
# An array of 128 x 64 signed weights is 128 x 128 PCM devices: a weight is the difference of a pair. Inputs
# and outputs pass through 8-bit converters, and each read adds noise.

# %%
ROWS, COLS = 128, 64
draws = np.random.default_rng(1)
weights = draws.normal(0, 0.25, (ROWS, COLS)).clip(-1, 1)
x = draws.random((100 if QUICK else 400, ROWS))
exact = x @ weights


def programmed_array(name=PCM, *, dac=None, adc=None, noise=None):
    """An array with these weights; the same seed gives the same devices whatever the read path."""
    read = ns.ReadPath(dac_bits=dac, adc_bits=adc, read_noise=noise)
    array = ns.Crossbar((ROWS, COLS), name, seed=3, read=read)
    array.program(weights)
    return array


array = programmed_array(dac=8, adc=8, noise="card")
y = array.forward(x)
error = y - exact

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
left.plot(exact.ravel(), y.ravel(), ".", ms=1.5, color=COLOUR[PCM], alpha=0.35, rasterized=True)
ends = np.array([exact.min(), exact.max()])
left.plot(ends, ends, color="#222222", lw=1, label="crossbar = exact")
left.set(
    title="Every output of every input vector",
    xlabel="exact product, weight × input units",
    ylabel="crossbar",
)
left.legend(loc="upper left")
right.hist(error.ravel(), 60, color=COLOUR[PCM])
right.axvline(0, color="#222222", lw=1)
right.set(
    title="Distribution of the error", xlabel="crossbar − exact, weight × input units", ylabel="outputs"
)
plt.show()
print(f"rms of the exact product {np.sqrt(np.square(exact).mean()):.3f}, of the error {error.std():.3f}, "
      f"mean error {error.mean():+.3f}")  # fmt: skip
print(f"ADC conversions clipped: {array.ledger.adc_clipped} of {array.ledger.reads * COLS}")

# %% [markdown]
# **Read noise, the same vector over and over.** The array draws one normal per output, with the variance
# that the noise of all cells on the bit line adds up to, $\sum_i x_i^2\,\sigma^2(G_{ij})$. The prediction
# below is made from the conductances and the two noise parameters of the card alone.

# %%
repeats = 500 if QUICK else 4000
noisy = programmed_array(noise="card")
vector = np.tile(x[:1], (repeats, 1))
seen = noisy.forward(vector)

card = devices[PCM]
cell_sigma_uS = card.read_noise_relative * noisy.conductance_uS() + card.read_noise_floor_uS
pair_variance = np.square(cell_sigma_uS).reshape(ROWS, COLS, 2).sum(axis=2)
uS_per_weight = card.g_max_uS - card.g_min_uS
predicted = np.sqrt(np.square(x[0]) @ pair_variance) / uS_per_weight

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
bins = np.linspace(-4, 4, 61)
standard = (seen - seen.mean(axis=0)) / predicted
left.hist(standard.ravel(), bins, density=True, color=COLOUR[PCM], alpha=0.6, label="reads, all outputs")
left.plot(bins, np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi), color="#222222", label="standard normal")
left.set(
    title="Repeated reads, each output about its mean",
    xlabel="deviation / predicted σ",
    ylabel="probability density",
)
left.legend(loc="upper right", fontsize=8)
right.plot(predicted, seen.std(axis=0), "o", ms=4, color=COLOUR[PCM], label="one output each")
ends = np.array([predicted.min(), predicted.max()])
right.plot(ends, ends, color="#222222", lw=1, label="equal")
right.set(
    title="σ of repeated reads",
    xlabel="predicted σ, weight × input units",
    ylabel="observed σ, weight × input units",
)
right.legend(loc="upper left")
plt.show()
ratio = seen.std(axis=0) / predicted
print(f"observed / predicted σ: mean {ratio.mean():.4f}, from {ratio.min():.3f} to {ratio.max():.3f} "
      f"(expected scatter ± {1 / np.sqrt(2 * repeats):.3f})")  # fmt: skip

# %% [markdown]
# **Effect by effect.** Every effect can be switched alone; `None` is off. Programming errors are part of the
# stored weights, so converters, read noise and drift are measured against the weights that are stored. The
# last line, everything together, is measured against the weights that were asked for.


# %%
def rms(values):
    """Root mean square as a percentage of the rms of the exact product."""
    return 100 * np.sqrt(np.square(values).mean() / np.square(exact).mean())


plain = programmed_array()
stored = x @ plain.weights()
calibrated = programmed_array(dac=8, adc=8)
calibrated.calibrate(x[:50])
aged = programmed_array()
aged.advance(86400.0)

effects = {
    "programming alone": rms(stored - exact),
    "DAC 8 bits alone": rms(programmed_array(dac=8).forward(x) - stored),
    "ADC 8 bits alone": rms(programmed_array(adc=8).forward(x) - stored),
    "ADC and DAC, calibrated": rms(calibrated.forward(x) - stored),
    "read noise alone": rms(noisy.forward(x) - stored),
    "all of these": rms(error),
    "a day of drift alone": rms(aged.forward(x) - stored),
}
figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
bars = axes.barh(list(effects), list(effects.values()), color=["#9ecae1"] * 5 + [COLOUR[PCM]] + ["#bdbdbd"])
axes.bar_label(bars, fmt="%.2f %%", padding=4)
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.set(
    title="PCM array 128 × 64: error of one multiplication",
    xlabel="rms error, % of the rms of the exact product",
    xlim=(0, 1.15 * max(effects.values())),
)
plt.show()
for name, value in effects.items():
    print(f"{name:25}{value:7.2f} %")
ideal_device = programmed_array("ideal")
print(f"{'linear, noise-free check':25}{rms(ideal_device.forward(x) - exact):9.1e} %")

# %% [markdown]
# `program` sets the range of the ADC for inputs spread evenly over the range of the DAC; `calibrate` narrows
# it to the currents of typical inputs. Drift is common to all cells of this card, so it is a change of gain,
# which a digital scale could undo. Without any effect the array equals exact arithmetic up to float32.

# %% [markdown]
# ## 4. One layer that learns
#
# A rule sees its inputs `x`, the column currents `u` and its own state, here the norm of each column. It
# answers with three arrays, and the change of a synapse is
# $\Delta w_{ij} = \sum_b \mathrm{pre}_{bi}\,\mathrm{post}_{bj} - \mathrm{decay}_j\,w_{ij}$.
# It never sees a weight. First one step by hand:

# %%
data = ns.data.load("digits")
train = data.training(hold_out=False)
NEURONS = 100
rule = ns.rules.SoftHebb(learning_rate=0.2)
experiment = ns.DenseExperiment(
    dataset="digits",
    neurons=NEURONS,
    epochs=EPOCHS,
    seeds=SEEDS,
    device=ARMS,
    mode="mixed",
    rule_options={"learning_rate": 0.2},
)
highest = experiment.start_radius * np.sqrt(3 / data.rows)
start = np.random.default_rng(0).uniform(0, highest, (data.rows, NEURONS))


def new_crossbar(name=PCM):
    """A crossbar of 8-bit converters that holds the start weights, with room for weights to grow."""
    array = ns.Crossbar(
        (data.rows, NEURONS),
        name,
        seed=0,
        read=ns.ReadPath(dac_bits=8, adc_bits=8),
        write=ns.WritePath(w_max=experiment.window * highest, decay_mode="readback"),
    )
    array.program(start)
    return array


array = new_crossbar()
x = data.inputs(train.images[: experiment.batch])
array.calibrate(x)
state = rule.state(*array.shape)
rule.observe_norms(array.column_norms(), state)

u = array.forward(x)
change = rule(x, u, state)
before = array.weights()
pulses = array.update(change.pre, change.post, change.decay, mode="accumulate")
after = array.weights()

print(f"pre {change.pre.shape}, post {change.post.shape}, decay {change.decay.shape}; {pulses} pulses")
winner = int(change.decay.argmax())
print(f"neuron {winner} changed most: decay {change.decay[winner]:.3f}, norm "
      f"{np.linalg.norm(before[:, winner]):.2f} -> {np.linalg.norm(after[:, winner]):.2f}")  # fmt: skip

# %% [markdown]
# What the rule asked for, and what the devices made of it. The controller divides by the nominal step and
# rounds at random; the cell answers by its own law, and a cell fresh from its RESET (here the minus devices)
# moves by more than the nominal step, as the first figure shows. Decay is gathered in the neuron until it is
# worth a read of the column (`decay_threshold`), so only the columns beyond it are decayed in this step.

# %%
uS_per_weight = (array.device.g_max_uS - array.device.g_min_uS) / array.write.w_max
due = np.abs(change.decay) >= array.write.decay_threshold
wanted = change.pre.T @ change.post - np.where(due, change.decay, 0) * before
asked_uS, moved_uS = wanted * uS_per_weight, (after - before) * uS_per_weight

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
axes.plot(
    asked_uS.ravel(), moved_uS.ravel(), ".", ms=3, color=COLOUR[PCM], alpha=0.5, label="one synapse each"
)
ends = np.array([asked_uS.min(), asked_uS.max()])
axes.plot(ends, ends, color="#222222", lw=1, label="as asked")
for side in (-1, 1):
    axes.axvline(side * array.device.nominal_step_uS, color="#999999", lw=1, ls=":")
axes.plot([], [], color="#999999", lw=1, ls=":", label="nominal step")
axes.set(
    title="PCM, one mini-batch: pair difference",
    xlabel="change asked for, µS",
    ylabel="change made, µS",
)
axes.legend(loc="upper left", fontsize=8)
plt.show()
print(f"synapses changed: {100 * np.mean(moved_uS != 0):.1f} %; "
      f"asked {asked_uS.mean():+.4f} uS on average, made {moved_uS.mean():+.4f} uS")  # fmt: skip

# %% [markdown]
# `Dense` is that loop: an array, a rule, and how updates become pulses. In `mixed` mode a digital
# accumulator per synapse gathers change until it is worth a pulse. The *vote* needs no trained readout: each
# neuron answers with the class for which it wins most often.


# %%
def learned(array, seed=0):
    """Train a layer; returns it with its curve of (images seen, accuracy of the vote on other images)."""
    layer = ns.Dense(array, rule, mode="mixed")
    half = len(train.images) // 2
    images = data.inputs(train.images)
    curve = []
    for epoch in range(EPOCHS + 1):
        winners = array.forward(images).argmax(axis=1)
        vote = ns.Vote(winners[:half], train.labels[:half], NEURONS, data.classes)
        curve.append((epoch * len(images), vote.accuracy(winners[half:], train.labels[half:])))
        if epoch == EPOCHS:
            return layer, np.array(curve)
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for first in range(0, len(order), experiment.batch):
            batch = images[order[first : first + experiment.batch]]
            if isinstance(array, ns.Crossbar) and layer.steps % 100 == 0:
                array.calibrate(batch)
            layer.learn(batch)


ideal = ns.IdealArray((data.rows, NEURONS))
ideal.program(start)
layers, curves = {}, {}
for name in ("ideal", PCM):
    layers[name], curves[name] = learned(ideal if name == "ideal" else new_crossbar())
    norms = np.linalg.norm(layers[name].array.weights(), axis=0)
    print(f"{TITLE[name]:6} vote {100 * curves[name][0, 1]:.1f} -> {100 * curves[name][-1, 1]:.1f} %, "
          f"mean column norm {experiment.start_radius} -> {norms.mean():.2f}")  # fmt: skip

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, curve in curves.items():
    axes.plot(curve[:, 0], 100 * curve[:, 1], "o-", ms=3, color=COLOUR[name], label=TITLE[name])
axes.set(
    title="Learning curve: one seed, vote on training images",
    xlabel="images seen",
    ylabel="accuracy of the vote, %",
    ylim=(0, 100),
)
axes.legend(loc="lower right")
plt.show()


# %%
def mosaic(weights, across=10, down=4):
    """Receptive fields of the first neurons as one picture; each pixel is a synapse."""
    side = data.image_shape[0]
    fields = np.full((down, across, side + 1, side + 1), np.nan)
    fields[:, :, :side, :side] = weights.T[: down * across].reshape(down, across, side, side)
    return fields.transpose(0, 2, 1, 3).reshape(down * (side + 1), across * (side + 1))


shown = {
    "before: PCM as programmed": new_crossbar().weights(),
    "after: ideal arithmetic": layers["ideal"].array.weights(),
    "after: PCM": layers[PCM].array.weights(),
}
figure, panels = plt.subplots(1, 3, figsize=(12.5, 2.6), layout="constrained")
for axes, (title, w) in zip(panels, shown.items(), strict=True):
    top = np.percentile(np.abs(w), 99)
    image = axes.imshow(mosaic(w), cmap="RdBu_r", vmin=-top, vmax=top)
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.7, aspect=40, label="weight")
plt.show()

# %% [markdown]
# ### The same comparison, paired
#
# `neurosim.study.compare` runs every device and ideal arithmetic with the same seeds: start weights, order
# of images and readout agree, so the gap is measured pair by pair. Two scores, because they answer different
# questions: a trained linear readout repairs much of what a device spoils, and gives a high accuracy even on
# an *untrained* layer; the vote cannot. The share of learning kept is
# (device − untrained device) / (ideal − untrained ideal).

# %%
results = ns.compare(experiment)
summary = {entry["arm"]: entry for entry in results["summary"]}


def with_interval(entry, score):
    """Mean and half width of the 95 % interval for new chips and new images, in percent."""
    low, high = entry[f"{score}_interval"]
    return f"{100 * entry[f'{score}_mean']:5.1f} ± {50 * (high - low):4.1f}"


print(f"{SEEDS} seeds, {results['data']['test_images']} test images, {EPOCHS} epochs")
headings = f"{'readout, %':>14}{'untrained':>11}{'vote, %':>16}{'untrained':>11}"
print(f"{'':20}{headings}{'kept: readout / vote, %':>26}")
for name, entry in summary.items():
    untrained = [100 * entry[f"untrained_{score}_mean"] for score in ("accuracy", "vote")]
    kept = [100 * entry[f"{score}_learning_kept"] for score in ("accuracy", "vote")]
    print(
        f"{TITLE[name]:20}{with_interval(entry, 'accuracy'):>14}{untrained[0]:>11.1f}"
        f"{with_interval(entry, 'vote'):>16}{untrained[1]:>11.1f}{kept[0]:>18.0f} / {kept[1]:.0f}"
    )
raw = results["baselines"][0]
print(f"the same readout on {raw['name']}: {100 * raw['accuracy']:.1f} %")

figure, panels = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained", sharey=True)
for axes, score, title in (
    (panels[0], "accuracy", "Linear readout on softmax(5 u)"),
    (panels[1], "vote", "Vote of the winners, no trained readout"),
):
    for k, (name, entry) in enumerate(summary.items()):
        seeds = [100 * run[score] for run in results["runs"] if run["arm"] == name]
        label = None if k else "mean over seeds"
        axes.bar(k, 100 * entry[f"{score}_mean"], 0.6, color=COLOUR[name], alpha=0.75, label=label)
        axes.plot([k] * len(seeds), seeds, "o", ms=4, color="#222222", mfc="white",
                  label=None if k else "each seed")  # fmt: skip
        axes.hlines(100 * entry[f"untrained_{score}_mean"], k - 0.42, k + 0.42, color="#222222", ls="--",
                    label=None if k else "same array, untrained")  # fmt: skip
    axes.axhline(100 / data.classes, color="#999999", lw=1, ls=":", label="chance")
    axes.set(title=title, xticks=range(len(summary)), ylim=(0, 100))
    axes.set_xticklabels([TITLE[name].replace(", ", ",\n") for name in summary])
    axes.grid(axis="x", visible=False)
panels[0].set_ylabel("test accuracy, %")
panels[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
plt.show()

# %% [markdown]
# ## 5. What an update costs
#
# The ledger counts pulses, refreshed pairs and reads, and adds up joules of an update (a mini-batch) and synapse:
# devices on one side, converters, lines and digital sums on the other. The periphery is a lower bound (no clocking,
# control or leakage), and in `mixed` mode it includes the digital accumulator, two memory accesses per synapse and
# update. What a device takes rests on its card's pulse, which is assumed, remembered or borrowed on all three: their
# order is an input, and `docs/energy.md` has price lists, ranges and what is assumed.

# %%
parts = {
    "learning pulses": "write_J",
    "refresh of saturated pairs": "refresh_J",
    "reads for decay and norms": "readback_J",
}
synapses = data.rows * NEURONS
costs = {name: summary[name]["energy"] for name in ARMS}
print(f"{'per update and synapse, fJ':28}" + "".join(f"{TITLE[name]:>20}" for name in costs))
scale = {name: 1e15 / (synapses * energy["updates"]) for name, energy in costs.items()}
for label, key in {**parts, "devices": "update_J", "periphery, lower bound": "update_periphery_J"}.items():
    print(f"{label:28}" + "".join(f"{costs[name][key] * scale[name]:>20.2f}" for name in costs))
print(f"{'pulses':28}" + "".join(f"{costs[name]['pulses'] / (synapses * costs[name]['updates']):>20.4f}"
                                 for name in costs))  # fmt: skip

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.4), layout="constrained")
places = np.arange(len(costs))
device_fJ = [costs[name]["update_J"] * scale[name] for name in costs]
around_fJ = [costs[name]["update_periphery_J"] * scale[name] for name in costs]
bars = left.barh(places - 0.2, device_fJ, 0.38, color=[COLOUR[name] for name in costs])
left.bar_label(bars, fmt="%.0f fJ", padding=3)
bars = left.barh(places + 0.2, around_fJ, 0.38, color="#c8c8c8")
left.bar_label(bars, fmt="%.0f fJ", padding=3)
left.set(
    title="One update: devices (coloured), periphery (grey, lower bound)",
    xlabel="fJ per synapse and update (logarithmic)",
    xscale="log",
    xlim=(1, 12 * max(around_fJ)),
)
lower = np.zeros(len(costs))
for (label, key), colour in zip(parts.items(), ("#4c72b0", "#dd8452", "#b0b0b0"), strict=True):
    values = np.array([100 * costs[name][key] / costs[name]["update_J"] for name in costs])
    right.barh(places, values, 0.55, left=lower, color=colour, label=label)
    lower += values
right.set(title="Where the devices spend it", xlabel="share of the device energy, %", xlim=(0, 100))
right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=8)
for axes in (left, right):
    axes.set_yticks(places, [TITLE[name] for name in costs])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# ## What to try
#
# * Another device: `ns.devices.load("my-card.toml")` takes your own card; `device.with_parameters(...)`
#   changes one number of a published one. Which parameter of the fine RRAM card has to improve before its
#   vote rises? (`write_noise` is a good first guess.)
# * Another way of updating: `mode="accumulate"` does without the accumulator, `mode="online"` without any
#   sum over the mini-batch. Compare the last table.
# * Another decay: on RRAM `WritePath(decay_mode="device")` replaces the reads by common depression pulses.
# * More room, or less: `window` sets the largest storable weight, which is the step in weight units.
# * Noise tolerance: `neurosim compare --device pcm-nandakumar-2018 --vary read_noise=0,0.01,0.02,0.05,0.1`.
