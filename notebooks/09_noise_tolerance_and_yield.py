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
# # Noise tolerance and yield
#
# Two questions that decide whether a device is good enough. How much noise can a network take before it loses accuracy? And
# of all the chips that would be made, how many reach an accuracy? Both are answered from a few simulated chips and
# a few hundred test images, so every answer here has an interval, and sometimes the answer is that these chips
# cannot tell.
#
# 1. where the noise of one output comes from,
# 2. up to which read noise a layer keeps its accuracy,
# 3. noise while it learns, and noise when it is read,
# 4. cells that are stuck,
# 5. the yield of many chips, with Clopper's and Pearson's interval,
# 6. the yield after a year.
#
# The data are the 8 x 8 digits bundled with scikit-learn.

# %%
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
SEEDS = 2 if QUICK else 8
PCM, COARSE = "pcm-nandakumar-2018", "rram-hfo2-om-2022"
COLOUR = {"ideal": "#222222", "PCM": "C0", "RRAM": "C1"}

torch.set_num_threads(1)
plt.style.use("neurosim.report.notebook")

# %% [markdown]
# ## 1. The noise of one output
#
# Each cell of a card has a read noise of its own, $\sigma(G_{ij})$, and the currents of a bit line add. So the variance of an
# output must be $\sum_i x_i^2\,\sigma^2(G_{ij})$, summed over both devices of each pair. We read one input vector
# over and over, and hold the spread that is seen against this prediction, which is made from the conductances
# and the two noise parameters of the card alone.

# %%
ROWS, COLS, REPEATS = 128, 64, 500 if QUICK else 4000
draws = np.random.default_rng(1)
weights = draws.normal(0, 0.25, (ROWS, COLS)).clip(-1, 1)
x = draws.random((1, ROWS))

array = ns.Crossbar((ROWS, COLS), PCM, seed=3, read=ns.ReadPath(read_noise="card"))
array.program(weights, w_max=1.0)
seen = array.forward(np.tile(x, (REPEATS, 1)))

card = array.device
cell_sigma_uS = card.read_noise_relative * array.conductance_uS() + card.read_noise_floor_uS
pair_variance = np.square(cell_sigma_uS).reshape(ROWS, COLS, 2).sum(axis=2)
predicted = np.sqrt(np.square(x[0]) @ pair_variance) / (card.g_max_uS - card.g_min_uS)  # w_max = 1

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = np.linspace(-4, 4, 61)
standard = (seen - seen.mean(axis=0)) / predicted
left.hist(standard.ravel(), bins, density=True, color="C0", alpha=0.6, label="reads, all outputs")
left.plot(bins, np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi), color="#222222", label="standard normal")
left.set(title="Repeated reads", xlabel="deviation from the mean / predicted σ", ylabel="probability density")
left.set_ylim(0, 0.55)
left.legend(loc="upper right", ncols=2, fontsize=9)
right.plot(predicted, seen.std(axis=0), "o", ms=4, color="C0", label="one output each")
right.axline((predicted.mean(),) * 2, slope=1, color="#222222", lw=1, label="equal")
right.set(
    title="σ of repeated reads",
    xlabel="predicted σ, weight × input units",
    ylabel="observed σ, weight × input units",
)
right.legend(loc="upper left")
plt.show()
ratio = seen.std(axis=0) / predicted
print(f"observed / predicted σ: mean {ratio.mean():.4f}, from {ratio.min():.3f} to {ratio.max():.3f} "
      f"(expected scatter ± {1 / np.sqrt(2 * REPEATS):.3f})")  # fmt: skip
print(f"σ of an output {predicted.mean():.3f}, spread of the outputs {np.std(x @ weights):.3f}")

# %% [markdown]
# The prediction holds, so the noise of a *multiplication* needs no simulation. What it costs a *network* does: a layer
# learns under the noise, its neurons compete under it, and a readout averages over them. That has to be trained and tested.
#
# ## 2. Up to which read noise?
#
# `ns.sweep` trains every arm anew at each level of a setting. Here that is the standard deviation of one read as a share of the
# largest conductance, in place of the card's own noise. The undisturbed level comes first, since the *tolerated level* is the
# last one before the accuracy falls below 99 % of that at the first level. Two controls stand beside it: the same layer
# in ideal arithmetic, which has no read noise, and the same arrays before they learnt.

# %%
ARMS = (ns.Arm(name="PCM", device=PCM), ns.Arm(name="RRAM", device=COARSE))
SETTINGS = {
    "dataset": "digits",
    "train_images": 400 if QUICK else None,
    "neurons": 60,
    "epochs": 2 if QUICK else 6,
    "mode": "mixed",
    "rule_options": {"learning_rate": 0.2},
    "readout_epochs": 5,
    "curve_points": 0,
}


def swept(axis, arms=ARMS, seeds=SEEDS):
    """Levels of one setting, each trained anew with the same seeds."""
    with tempfile.TemporaryDirectory() as folder:
        return ns.sweep(ns.DenseExperiment(arm=arms, seeds=seeds, **SETTINGS), folder, [axis])


def chips(found, arm, level, score="accuracy"):
    """The chips of one arm at one level of the only axis."""
    field = found["axes"][0]["field"]
    rows = [row for row in found["rows"] if row["arm"] == arm and row[field] == level]
    return ns.statistics.chips_of_rows(rows, score)


noise = swept("read_noise=0,0.01,0.05" if QUICK else "read_noise=0,0.01,0.02,0.05,0.1")
noise.table()

# %% [markdown]
# The upper table has the verdicts. Read them literally: "at least *a*, below *b*" means that these chips *show* that the
# level *a* keeps the share, and *show* that the level *b* loses it. Nothing is interpolated between levels.
#
# The readout is a classifier trained behind the layer, and repairs much of what noise spoils. The *vote*, in
# which each neuron answers with the class for which it wins most often, cannot repair anything.


# %%
def curves(found, title):
    """Accuracy of readout and vote against the levels, with both controls."""
    axis = found["axes"][0]
    levels = axis["levels"]
    places = range(len(levels))
    figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
    for axes, score, text in zip(panels, ("accuracy", "vote"), ("Readout", "Vote"), strict=True):
        for arm in found.arms:
            points = [point for point in found["points"] if point["arm"] == arm]
            means = 100 * np.array([point[f"{score}_mean"] for point in points])
            ends = 100 * np.array([point[f"{score}_interval"] for point in points])
            if arm == "ideal":
                axes.axhline(means[0], color=COLOUR[arm], lw=1.2, label=arm)
                continue
            reach = np.abs(ends.T - means)
            axes.errorbar(places, means, reach, fmt="o-", capsize=3, color=COLOUR[arm], label=arm)
            if score == "accuracy":
                untrained = [
                    100 * np.mean([r["untrained"] for r in found["rows"]
                                   if r["arm"] == arm and r[axis["field"]] == level])
                    for level in levels
                ]  # fmt: skip
                axes.plot(places, untrained, "--", color=COLOUR[arm], lw=1.2, label=f"{arm}, untrained")
        axes.set(title=text, xlabel=title, ylim=(0, 100))
        axes.set_xticks(places, [f"{level:g}" for level in levels])
    panels[0].set_ylabel("test accuracy, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    plt.show()


curves(noise, "read noise, share of the largest conductance")

# %% [markdown]
# The gap between a curve and its dashed line is what learning is worth. Where the curve comes down to the dashed line, what
# was learnt is worth nothing any more, however high both still are: to learn under so much noise may even harm.
#
# To keep 99 % is a hard question for few chips. How much easier are 95 or 90 %? The rows are the same,
# `ns.statistics.tolerance` asks them again:

# %%
levels = noise["axes"][0]["levels"]
for arm in ("PCM", "RRAM"):
    for share in (0.99, 0.95, 0.9):
        told = ns.statistics.tolerance(levels, [chips(noise, arm, level) for level in levels], share=share)
        print(f"{arm:5} keeps {100 * share:.0f} % of the readout's accuracy up to: {told.verdict}")

# %% [markdown]
# ## 3. While it learns, or when it is read
#
# Is it the learning that noise disturbs, or the answer? Levels may hold for one alone: `@learning` is learnt with the noise and
# read with the card's, `@reading` is learnt once with the card's noise and read with the level. What was learnt and read with the same
# level stands above already.

# %%
ONLY_PCM = ARMS[:1]
LEVELS = "0,0.05" if QUICK else "0,0.02,0.05,0.1"
when = {
    "both": noise,
    "reading alone": swept(f"read_noise={LEVELS}@reading", ONLY_PCM),
    "learning alone": swept(f"read_noise={LEVELS}@learning", ONLY_PCM),
}
figure, panels = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for axes, score, title in zip(panels, ("accuracy", "vote"), ("Readout", "Vote"), strict=True):
    for (text, found), marker in zip(when.items(), "osv", strict=True):
        levels = found["axes"][0]["levels"]
        points = [point for point in found["points"] if point["arm"] == "PCM"]
        means = [100 * point[f"{score}_mean"] for point in points]
        axes.plot(levels, means, f"{marker}-", label=f"noise in {text}")
        print(f"{title:8}{text:16}" + "".join(f"{level:>8g}: {mean:4.1f} %" for level, mean in zip(levels, means, strict=True)))  # fmt: skip
    ideal = next(point for point in found["points"] if point["arm"] == "ideal")
    axes.axhline(100 * ideal[f"{score}_mean"], color="#222222", lw=1.2, label="ideal arithmetic")
    axes.set(title=title, xlabel="read noise, share of the largest conductance", ylim=(0, 100))
panels[0].set_ylabel("test accuracy on PCM, %")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# Noise in the answer costs the readout far more than noise while the layer learns: a rule that sums over many inputs averages
# noise away, an answer is given once. The vote is hurt by both, because its neurons must tell apart who won. So, to
# spend more on the converter and on longer integration pays first where answers are read.
#
# ## 4. Cells that are stuck
#
# A share of the cells, drawn once for each chip, sits somewhere in the window and takes no notice of pulses. `p_stuck_between` is a
# parameter of any device, and any such name can be an axis.

# %%
stuck = swept("p_stuck_between=0,0.1" if QUICK else "p_stuck_between=0,0.05,0.1,0.2,0.4")
curves(stuck, "share of cells that are stuck")
levels = stuck["axes"][0]["levels"]
for arm in ("PCM", "RRAM"):
    for share in (0.99, 0.9):
        told = ns.statistics.tolerance(levels, [chips(stuck, arm, level) for level in levels], share=share)
        print(f"{arm:5} keeps {100 * share:.0f} % up to: {told.verdict}")

# %% [markdown]
# A layer that learns in place learns *around* broken cells, which a layer that was copied onto them could not. If the verdict is
# "Not enough chips to say", that is an answer too: it says that the fall is less than the spread of these chips and of
# the test images, and that a claim about it needs more of them.
#
# ## 5. Yield
#
# A mean hides the bad chips. We make many, each with devices, start weights and an order of images of its own: `together`
# lets all of them learn as one batch of the torch backend (a thousand of them on a GPU, fewer here), and `votes` asks
# them all. The control is what the same chips answer before they learn.

# %%
ON = "cuda" if torch.cuda.is_available() else "cpu"
CHIPS = 8 if QUICK else 1000 if ON == "cuda" else 100
many = ns.DenseExperiment(
    backend="torch", torch_device=ON, together=CHIPS, seeds=CHIPS,
    arm=(ns.Arm(name="PCM", device=PCM, parameters={"p_stuck_between": 0.05}, write={"pulse_limit": 4, "refresh": None}),),
    **{**SETTINGS, "epochs": 1 if QUICK else 3},
)  # fmt: skip
images, arm = many.data(), many.arms()[1]
batch = ns.Together(lambda seed: many.training(arm, seed, images), many.seed_list)
fit, test = many.splits(images)
before = batch.votes(fit, test)
batch.run()
votes = batch.votes(fit, test)
TESTED = len(test.labels)
print(f"{CHIPS} chips, {TESTED} test images: vote {100 * before.mean():.1f} % untrained, {100 * votes.mean():.1f} % learnt, "
      f"σ over chips {100 * votes.std(ddof=1):.1f} points")  # fmt: skip
print(
    f"of which the finite test set alone would make {100 * np.sqrt(np.mean(votes * (1 - votes) / TESTED)):.1f} points"
)

# %% [markdown]
# Of 1,000 chips, how many stay above an accuracy? Each chip is good or it is not, so the number of good ones is binomial and the
# exact interval of the share is Clopper's and Pearson's. `unsure` chips stand so near the threshold that other test
# images could put them on its other side; the interval does not contain this.

# %%
for threshold in np.round(np.quantile(votes, (0.02, 0.25, 0.5)), 2):
    print(ns.statistics.chip_yield(ns.statistics.Chips(votes, TESTED), threshold).verdict)

# %%
THRESHOLD = float(np.round(np.quantile(votes, 0.1), 2))
COUNTS = [count for count in (5, 10, 20, 50, 100, 200, 500, 1000) if count <= CHIPS]
found = [ns.statistics.chip_yield(ns.statistics.Chips(votes[:count], TESTED), THRESHOLD) for count in COUNTS]
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
edges = np.linspace(0, 100, 51)
left.hist(100 * before, edges, color="#b8b8b8", label="untrained")
left.hist(100 * votes, edges, color="C0", label="learnt")
left.axvline(100 * THRESHOLD, color="#222222", lw=1, ls="--", label=f"threshold {100 * THRESHOLD:.0f} %")
left.set(title=f"{CHIPS} chips", xlabel="accuracy of the vote, %", ylabel="chips")
left.legend()
shares, ends = (100 * np.array(values) for values in ([y.share for y in found], [(y.low, y.high) for y in found]))  # fmt: skip
right.errorbar(COUNTS, shares, np.abs(ends.T - shares), fmt="o-", capsize=4, color="C0", label="yield, 95 %")
right.set(
    title=f"Chips that reach {100 * THRESHOLD:.0f} %",
    xlabel="chips simulated",
    ylabel="share of all chips, %",
    xscale="log",
    ylim=(0, 102),
)
right.set_xticks(COUNTS, [str(count) for count in COUNTS])
right.minorticks_off()
right.legend(loc="lower right")
plt.show()
for count in (10, 40, 100, 300):
    all_good = ns.statistics.chip_yield(ns.statistics.Chips(np.ones(count), TESTED), 0.9)
    print(f"{count:4} good chips of {count:3}: {1000 * all_good.low:.0f} of 1,000 at least")

# %% [markdown]
# The last lines are the arithmetic to remember: even if *every* chip tried is good, few chips promise little. Yields are dear to
# prove, and cheap to claim.
#
# ## 6. After a year
#
# What was learnt drifts. The card gives PCM one drift exponent for all cells; that they differ by 0.02 is an assumption of
# ours, made with `with_parameters`. The axis `age_s` learns once and reads at each age, and ideal arithmetic stays as it is.

# %%
AGED = 6 if QUICK else 40
spread = ns.devices.load(PCM).with_parameters(drift_exponent_sigma=0.02)
aged = swept("age_s=38.6,86400,3.15e7", (ns.Arm(name="PCM", device=spread),), AGED)
ages = dict(zip(aged["axes"][0]["levels"], ("as programmed", "a day", "a year"), strict=True))
ideal = next(point for point in aged["points"] if point["arm"] == "ideal")
young = chips(aged, "PCM", 38.6)
LIMIT = float(np.round(young.accuracies.mean() - 0.03, 2))
print(f"{AGED} chips, readout; ideal arithmetic {100 * ideal['accuracy_mean']:.1f} %, "
      f"untrained on PCM {100 * np.mean([row['untrained'] for row in aged['rows'] if row['arm'] == 'PCM']):.1f} %")  # fmt: skip
for age, text in ages.items():
    old = chips(aged, "PCM", age)
    print(f"{text:14} mean {100 * old.accuracies.mean():.1f} %. {ns.statistics.chip_yield(old, LIMIT).verdict}")  # fmt: skip

# %% [markdown]
# A small loss of the mean can be a large loss of yield, if the threshold lies where many chips are. So a yield is only worth
# something with its threshold, the number of chips, and how many of them are too near to be sure.
#
# ## An exercise
#
# Which is worse for this layer, 5 % of cells stuck at the *largest* conductance or 5 % stuck at the *smallest*? Guess first,
# then sweep both and compare them, with intervals.
#
# *Hint:* the parameters are called `p_stuck_gmax` and `p_stuck_gmin`; `swept(...)` and `chips(...)` above do the rest. To compare
# two settings on the same seeds, `ns.statistics.mean_gap(chips(...), chips(...))` gives the difference with an interval for new
# chips and new images. Think of what a pair of devices does with a plus device that always conducts.
