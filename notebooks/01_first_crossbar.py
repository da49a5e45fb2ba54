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
# this page; with `NEUROSIM_QUICK=1` it takes fewer devices and epochs.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
DEVICES = 200 if QUICK else 1000
EPOCHS = 4 if QUICK else 20

PCM, FINE, COARSE = "pcm-nandakumar-2018", "rram-hfo2-gong-2018", "rram-hfo2-om-2022"
TITLE = {"ideal": "ideal", PCM: "PCM", FINE: "RRAM, fine steps", COARSE: "RRAM, coarse steps"}
ARMS = (PCM, COARSE) if QUICK else (PCM, FINE, COARSE)
COLOUR = {"ideal": "#222222", PCM: "#0072b2", FINE: "#009e73", COARSE: "#d55e00"}

plt.style.use("neurosim.report.notebook")

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
PULSES = {PCM: [1] * 20 + [-1] + [1] * 20, FINE: [1] * 800 + [-1] * 800, COARSE: [1] * 40 + [-1] * 40}

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
#
# ## 2. Programming, and a year on the shelf
#
# `programmed` writes a target, closed loop, and follows the conductance. The PCM law states conductance
# 38.6 s after the pulse; that is the time of the error plot. (The drift exponent of this card has no spread. Notebook 11
# shows what it does if devices differ in it.)

# %%
READ_S = devices[PCM].drift_reference_s
YEAR_S = 365.25 * 86400.0
times_s = np.geomspace(READ_S, YEAR_S, 25)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for k, (name, device) in enumerate(devices.items()):
    span = device.g_max_uS - device.g_min_uS
    share = np.linspace(0.02, 0.98, 13)
    targets = device.g_min_uS + share * span
    error = ns.devices.programmed(device, targets, [READ_S], DEVICES)[0] - targets[:, None]
    mean, sigma = (100 * values / span for values in (error.mean(axis=1), error.std(axis=1)))
    look = {"fmt": "o", "ms": 4, "capsize": 2, "color": COLOUR[name], "label": TITLE[name]}
    left.errorbar(100 * share + k - 1, mean, sigma, **look)
    middle = error[len(share) // 2]
    print(f"{TITLE[name]:20} target {targets[len(share) // 2]:5.1f} uS: error {middle.mean():+.2f} ± "
          f"{middle.std():.2f} uS")  # fmt: skip
left.axhline(0, color="#999999", lw=1)
left.set(title="Programming error (mean ± σ over devices)")
left.set(xlabel="target, % of the window", ylabel="conductance − target, % of the window")
left.legend()

for target, colour in zip((11.0, 8.0, 5.0), ("#08306b", "#2171b5", "#6baed6"), strict=True):
    g = ns.devices.programmed(devices[PCM], [target], times_s, DEVICES)[:, 0]
    mean, sigma = g.mean(axis=1), g.std(axis=1)
    right.fill_between(times_s, mean - sigma, mean + sigma, color=colour, alpha=0.35, lw=0)
    right.plot(times_s, mean, color=colour, lw=1.6, label=f"{target:g} µS, mean ± σ")
    print(f"PCM programmed to {target:4.1f} uS: mean {mean[0]:5.2f} uS at {READ_S:g} s, "
          f"{mean[-1]:5.2f} uS after a year")  # fmt: skip
for seconds, text in ((3600.0, "hour"), (86400.0, "day"), (30 * 86400.0, "month"), (YEAR_S, "year")):
    right.axvline(seconds, color="#bbbbbb", lw=0.8, ls=":")
    right.text(seconds, 13.0, text, ha="right", va="top", rotation=90, fontsize=8, color="#666666")
right.set(title="PCM drift from three targets", xscale="log", ylim=(0, 13.2))
right.set(xlabel="time since programming, s", ylabel="conductance, µS")
right.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# Towards the ends of the window the RRAM errors are one-sided: a cell cannot be programmed beyond bounds of
# its own. The RRAM cards have no retention law, so on them a year changes nothing: that is a statement about
# the cards, not about RRAM.
#
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
left.axline((0, 0), slope=1, color="#222222", lw=1, label="crossbar = exact")
left.set(title="Every output of every input vector", xlabel="exact product, weight × input units")
left.set_ylabel("crossbar, weight × input units")
left.legend(loc="upper left")
right.hist(error.ravel(), 60, color=COLOUR[PCM])
right.axvline(0, color="#222222", lw=1)
right.set(title="Distribution of the error", xlabel="crossbar − exact, weight × input units")
right.set_ylabel("outputs")
plt.show()
print(f"rms of the exact product {np.sqrt(np.square(exact).mean()):.3f}, of the error {error.std():.3f}, "
      f"mean error {error.mean():+.3f}")  # fmt: skip
print(f"ADC conversions clipped: {array.ledger.adc_clipped} of {array.ledger.reads * COLS}")

# %% [markdown]
# **Effect by effect.** Every effect can be switched alone; `None` is off. Programming errors are part of the
# stored weights, so converters, read noise and drift are measured against the weights that are stored. The
# last line, everything together, is measured against the weights that were asked for.


# %%
def rms(values):
    """Root mean square as a percentage of the rms of the exact product."""
    return 100 * np.sqrt(np.square(values).mean() / np.square(exact).mean())


plain, noisy = programmed_array(), programmed_array(noise="card")
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
print(f"{'linear, noise-free check':25}{rms(programmed_array('ideal').forward(x) - exact):9.1e} %")

# %% [markdown]
# `program` sets the range of the ADC for inputs spread evenly over the range of the DAC; `calibrate` narrows
# it to the currents of typical inputs. Drift is common to all cells of this card, so it is a change of gain,
# which a digital scale could undo. Without any effect the array equals exact arithmetic up to float32. Where the read noise of an output
# comes from, and how much of it a network can take, is the subject of notebook 09.
#
# ## 4. One layer that learns
#
# A rule sees its inputs `x`, the column currents `u` and its own state, here the norm of each column. It
# answers with three arrays, and the change of a synapse is
# $\Delta w_{ij} = \sum_b \mathrm{pre}_{bi}\,\mathrm{post}_{bj} - \mathrm{decay}_j\,w_{ij}$.
# It never sees a weight. First one step by hand:

# %%
data = ns.data.load("digits")
train = data.training(hold_out=False)
NEURONS, BATCH, RADIUS = 100, 32, 2.5  # the norm of the start weights of a neuron
rule = ns.rules.SoftHebb(learning_rate=0.2)
highest = RADIUS * np.sqrt(3 / data.rows)
start = np.random.default_rng(0).uniform(0, highest, (data.rows, NEURONS))


def new_crossbar(name=PCM):
    """A crossbar of 8-bit converters that holds the start weights, with room for weights to grow."""
    read = ns.ReadPath(dac_bits=8, adc_bits=8)
    write = ns.WritePath(w_max=1.3 * highest, decay_mode="readback")
    array = ns.Crossbar((data.rows, NEURONS), name, seed=0, read=read, write=write)
    array.program(start)
    return array


array = new_crossbar()
x = data.inputs(train.images[:BATCH])
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
norms = (np.linalg.norm(weights[:, winner]) for weights in (before, after))
print(
    f"neuron {winner} changed most: decay {change.decay[winner]:.3f}, norm",
    *(f"{norm:.2f}" for norm in norms),
)

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
look = {"ms": 3, "color": COLOUR[PCM], "alpha": 0.5, "label": "one synapse each"}
axes.plot(asked_uS.ravel(), moved_uS.ravel(), ".", **look)
axes.plot(*[[asked_uS.min(), asked_uS.max()]] * 2, color="#222222", lw=1, label="as asked")
for side in (-1, 1):
    axes.axvline(side * array.device.nominal_step_uS, color="#999999", lw=1, ls=":")
axes.plot([], [], color="#999999", lw=1, ls=":", label="nominal step")
axes.set(
    title="PCM, one mini-batch: pair difference", xlabel="change asked for, µS", ylabel="change made, µS"
)
axes.legend(loc="lower right", fontsize=8)
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
        for first in range(0, len(order), BATCH):
            batch = images[order[first : first + BATCH]]
            if isinstance(array, ns.Crossbar) and layer.steps % 100 == 0:
                array.calibrate(batch)
            layer.learn(batch)


ideal = ns.IdealArray((data.rows, NEURONS))
ideal.program(start)
layers, curves = {}, {}
for name in ("ideal", *ARMS):
    layers[name], curves[name] = learned(ideal if name == "ideal" else new_crossbar(name))
    norms = np.linalg.norm(layers[name].array.weights(), axis=0)
    print(f"{TITLE[name]:20} vote {100 * curves[name][0, 1]:.1f} -> {100 * curves[name][-1, 1]:.1f} %, "
          f"mean column norm {RADIUS} -> {norms.mean():.2f}")  # fmt: skip

figure, axes = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
for name, curve in curves.items():
    axes.plot(curve[:, 0], 100 * curve[:, 1], "o-", ms=3, color=COLOUR[name], label=TITLE[name])
axes.set(title="Learning curve: one seed, vote on training images", ylim=(0, 100))
axes.set(xlabel="images seen", ylabel="accuracy of the vote, %")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
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
# The first point of each curve is the control: the vote of the same array before it learnt. The steps of the fine RRAM card are
# smaller than its write noise, so most of what its many pulses do is noise: its curve wanders about where it began. One seed is
# an example and no proof: notebook 02 compares with several, and says how sure a gap is.
#
# ## 5. What an update costs
#
# Every array has a ledger: it counts events, and adds up joules of the devices on one side, of converters, lines and digital sums on the other.
# Per update (a mini-batch) and synapse:

# %%
print(f"{'per update and synapse':28}" + "".join(f"{TITLE[name]:>20}" for name in ARMS))
ledgers = {name: layers[name].array.ledger for name in ARMS}
rows = {
    "pulses": lambda ledger: ledger.pulses,
    "devices, fJ": lambda ledger: 1e15 * ledger.update_J,
    "periphery, lower bound, fJ": lambda ledger: 1e15 * ledger.write_periphery_J,
}
for words, count in rows.items():
    each = (count(ledger) / (data.rows * NEURONS * ledger.updates) for ledger in ledgers.values())
    print(f"{words:28}" + "".join(f"{value:>20.4g}" for value in each))

# %% [markdown]
# The periphery takes more than the devices, although it is a lower bound (no clocking, control or leakage). What a device takes
# rests on its card's pulse, which is assumed, remembered or borrowed on all three cards: their order is an input here, no result. Notebook 07
# makes joules of the counts by price lists, with ranges and what is assumed.
#
# ## An exercise
#
# Which parameter of the fine RRAM card has to improve before its vote comes to that of the coarse one?
#
# *Hint:* `devices[FINE].with_parameters(...)` changes numbers of a published card, and `ns.Crossbar` takes the result as its device, so
# `new_crossbar(...)` does. What was said of its steps above makes `write_noise` a good first guess; `None` switches an
# effect off. Then ask by how much it has to improve.
