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
# # Ideal against crossbar
#
# How much does a device cost, and how sure is that?
#
# 1. one learning layer in ideal arithmetic and on two cards, paired seed by seed,
# 2. what intervals and tests say about the gap, with as few seeds as these,
# 3. the crossbar against a second machine, written once more in torch, draw for draw.
#
# With MNIST at hand (`NEUROSIM_DATA`) part 1 uses it, otherwise the digits bundled with scikit-learn.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

import neurosim as ns
from neurosim.reference.agreement import divergence

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
try:
    data = ns.data.load("digits" if QUICK else "mnist")
except ns.errors.DataError:
    data = ns.data.load("digits")
MNIST = data.name == "mnist"
print(f"{data.note}: {data.rows} pixels, {len(data.y_test)} test images")

PCM, FINE, COARSE = "pcm-nandakumar-2018", "rram-hfo2-gong-2018", "rram-hfo2-om-2022"
TITLE = {"ideal": "ideal", PCM: "PCM", FINE: "RRAM, fine steps", COARSE: "RRAM, coarse steps"}
CARDS = (PCM, COARSE) if QUICK else (PCM, FINE, COARSE)
COLOUR = {"ideal": "#222222", PCM: "#0072b2", FINE: "#009e73", COARSE: "#d55e00"}

torch.set_num_threads(1)  # the last bits of torch's sums depend on the number of threads
plt.style.use("neurosim.report.notebook")

# %% [markdown]
# ## 1. One layer, paired
#
# A `DenseExperiment` says what is run, `compare` runs every arm with every seed. A seed fixes the start weights,
# the order of the images and the readout's own randomness, in ideal arithmetic as on a device: whatever
# differs between two runs of one seed comes from the device.

# %%
ARMS = (PCM, COARSE)
experiment = ns.DenseExperiment(
    dataset=data.name,
    train_images=20_000 if MNIST else None,
    neurons=200 if MNIST else 100,
    epochs=1 if MNIST else 2 if QUICK else 20,
    seeds=2 if QUICK else 3,
    device=ARMS,
    mode="mixed",
    rule_options={"learning_rate": 0.1 if MNIST else 0.2},
)
results = ns.compare(experiment)
summary = {entry["arm"]: entry for entry in results["summary"]}
runs = {(run["arm"], run["seed"]): run for run in results["runs"]}
SEEDS = experiment.seed_list
TESTED = results["data"]["test_images"]
print(f"{data.rows} x {experiment.neurons}, {results['data']['train_images']} training images, "
      f"{experiment.epochs} epoch(s), {TESTED} test images, seeds {SEEDS}")  # fmt: skip

# %% [markdown]
# Two scores: a linear *readout* trained on the layer's answers, and the *vote*, in which each neuron answers
# with the class for which it wins most often. A readout is good on an untrained layer already, so read its
# column beside "untrained".

# %%
print(f"{'test accuracy, %':20}{'readout':>9}{'untrained':>11}{'vote':>9}{'untrained':>11}{'mean norm':>11}")
for name, entry in summary.items():
    keys = ("accuracy", "untrained_accuracy", "vote", "untrained_vote")
    cells = [100 * entry[f"{key}_mean"] for key in keys]
    norm = np.mean([runs[name, seed]["norm_mean"] for seed in SEEDS])
    print(f"{TITLE[name]:20}{cells[0]:>9.2f}{cells[1]:>11.2f}{cells[2]:>9.2f}{cells[3]:>11.2f}{norm:>11.2f}")


# %%
def gaps(name, score):
    """Ideal minus device with the same seed, percentage points; positive where the device is worse."""
    return np.array([100 * (runs["ideal", seed][score] - runs[name, seed][score]) for seed in SEEDS])


heads = "".join(f"{f'seed {seed}':>9}" for seed in SEEDS)
print(f"{'gap to ideal, points':30}{heads}{'mean':>9}{'σ':>8}{'σ if unpaired':>16}")
for name in ARMS:
    for score, text in (("accuracy", "readout"), ("vote", "vote")):
        found = gaps(name, score)
        both = [[100 * runs[arm, seed][score] for seed in SEEDS] for arm in ("ideal", name)]
        unpaired = np.sqrt(np.var(both, axis=1, ddof=1).sum())
        cells = "".join(f"{gap:>+9.2f}" for gap in (*found, found.mean()))
        print(f"{TITLE[name]:20}{text:10}{cells}{found.std(ddof=1):>8.2f}{unpaired:>16.2f}")

# %% [markdown]
# The ideal arm has no device, yet its seeds differ too: start weights and order of the images matter. Pairing
# helps as far as a lucky seed is lucky in both arms: then the lines below run in parallel, and σ of the gap
# is smaller than it would be unpaired. Where lines cross, the draw of the devices and of their noise
# outweighs it.

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
places = np.arange(len(summary))
for axes, (score, text) in zip(panels, (("accuracy", "Readout"), ("vote", "Vote")), strict=True):
    for seed in SEEDS:
        values = [100 * runs[name, seed][score] for name in summary]
        axes.plot(places, values, color="#999999", lw=1, label=None if seed else "same seed")
        axes.scatter(places, values, 30, [COLOUR[name] for name in summary], zorder=2)
    axes.set(title=text, ylabel="test accuracy, %", xlim=(-0.3, len(places) - 0.7))
    axes.set_xticks(places, [TITLE[name] for name in summary])
    axes.grid(axis="x", visible=False)
panels[0].legend(loc="lower left")
figure.suptitle(f"The same {len(SEEDS)} seeds in every arm")
plt.show()

# %% [markdown]
# ## 2. Statistics
#
# Three tools, three questions. **Would other chips, asked other images, have the same gap?** An interval of the mean gap for
# new chips and new images: `mean_gap`, of the tables of right answers that `chips_of` makes of runs. **How well does this test
# set measure this one trained network?** Wilson's interval (`wilson`). **Do these two trained networks differ?** McNemar's test
# on the images that only one of them gets right (`mcnemar`).
#
# Why not Student's interval over seeds (`interval`)? It takes the test images as given, and other images would move all chips at once.


# %%
def chips(name, score):
    """Which test images each chip of an arm classified correctly."""
    return ns.statistics.chips_of([runs[name, seed] for seed in SEEDS], score)


print(f"{'gap to ideal, points':30}{'mean':>7}{'95 %':>20}{'p':>9}{'only more chips help':>22}  zero inside")
bars = []
for name in ARMS:
    for score, text in (("accuracy", "readout"), ("vote", "vote")):
        gap = ns.statistics.mean_gap(chips("ideal", score), chips(name, score))
        low, high = 100 * gap.low, 100 * gap.high
        bars.append((name, f"{TITLE[name]}:\n{text}", gaps(name, score), (low, high)))
        print(f"{TITLE[name]:20}{text:10}{100 * gap.value:+7.2f}{low:+10.2f} to {high:+6.2f}{gap.p_value:>9.3f}"
              f"{100 * gap.chips_share:>20.0f} %  {'yes' if low <= 0 <= high else 'no'}")  # fmt: skip

# %% [markdown]
# Do these intervals keep their promise? Both are tried on made-up answers whose true gap is nothing: two arms that find other
# images hard, and chips of different worth. How often is nothing inside?

# %%
TRIALS = 40 if QUICK else 300
COUNTS = (2, 3) if QUICK else (2, 3, 5, 10, 20)
IMAGES = 300
draws = np.random.default_rng(0)


def answers(count):
    """Tables of right answers of two arms of as many chips; images are hard for both, and for one of them."""
    hard = draws.normal(1.5, 1.0, IMAGES)
    worth = hard + draws.normal(0, 0.7, (2, 1, IMAGES)) + draws.normal(0, 0.2, (2, count, 1))
    return worth + draws.normal(0, 0.5, (2, count, IMAGES)) > 0


inside = {"new chips and images": [], "Student": []}
for count in COUNTS:
    hits = dict.fromkeys(inside, 0)
    for _ in range(TRIALS):
        one, other = answers(count)
        gap = ns.statistics.mean_gap(*map(ns.statistics.Chips.of_table, (one, other)))
        pairs = (gap.low, gap.high), ns.statistics.interval(one.mean(axis=1) - other.mean(axis=1))
        for name, (low, high) in zip(inside, pairs, strict=True):
            hits[name] += low <= 0 <= high
    for name, shares in inside.items():
        shares.append(100 * hits[name] / TRIALS)
    print(f"{count:3} chips: nothing is inside in {inside['new chips and images'][-1]:5.1f} %, "
          f"of Student's in {inside['Student'][-1]:5.1f} %")  # fmt: skip

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for row, (name, _, found, ends) in enumerate(bars):
    left.plot(ends, [row] * 2, color="#56106e", lw=3, solid_capstyle="butt", label=None if row else "95 %")
    left.plot(found, [row] * len(found), "o", ms=5, color=COLOUR[name], mfc="white",
              label=None if row else "one seed")  # fmt: skip
left.axvline(0, color="#222222", lw=1)
left.set(title=f"Mean gap to ideal, {len(SEEDS)} seeds", xlabel="ideal − device, percentage points")
left.set_yticks(range(len(bars)), [label for _, label, *_ in bars], fontsize=9)
left.invert_yaxis()
left.grid(axis="y", visible=False)
left.legend(loc="best", fontsize=8)
for method, colour in zip(inside, ("#56106e", "#e69f00"), strict=True):
    right.plot(COUNTS, inside[method], "o-", color=colour, ms=4, label=method)
right.axhline(95, color="#222222", lw=1, ls="--", label="promised")
right.set(title=f"Intervals that hold the true gap, of {TRIALS}", ylim=(50, 100), xticks=COUNTS)
right.set(xlabel="chips", ylabel="share of the trials, %")
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# More chips make Student's interval narrower around a gap that is that of these images alone; that is why it holds the true gap ever
# less often. If the interval for new chips and images holds zero, this study does not show a gap; the column "only more chips help" says
# whether chips or test images are lacking.
#
# **One seed.** Wilson's interval takes the test images as draws and the trained network as given. McNemar's
# test does so too, but uses that both networks saw the *same* images: those that both get right, or both get
# wrong, drop out.


# %%
def right_images(name, seed, score="accuracy"):
    """Which test images this run classified correctly."""
    return ns.statistics.chips_of([runs[name, seed]], score).correct[0]


print("readout; Wilson 95 % in %, images that only one of the two gets right")
tests = []
for name in ARMS:
    for seed in SEEDS:
        ideal_right, device_right = right_images("ideal", seed), right_images(name, seed)
        test = ns.statistics.mcnemar(ideal_right, device_right)
        tests.append((f"{TITLE[name]}, seed {seed}", test))
        ends = [ns.statistics.wilson(found.mean(), TESTED) for found in (ideal_right, device_right)]
        shown = ["{:.2f} to {:.2f}".format(*(100 * end for end in pair)) for pair in ends]
        overlap = "overlap" if ends[1][1] >= ends[0][0] and ends[0][1] >= ends[1][0] else "apart"
        print(f"{TITLE[name]:20}seed {seed}: ideal {shown[0]}, device {shown[1]} ({overlap}); "
              f"{test['ideal_only']:>4} : {test['device_only']:<4} p = {test['p_value']:.1e}")  # fmt: skip

figure, axes = plt.subplots(figsize=(9, 0.6 + 0.42 * len(tests)), layout="constrained")
for row, (_, test) in enumerate(tests):
    axes.barh(row, -test["ideal_only"], 0.65, color=COLOUR["ideal"], alpha=0.75,
              label=None if row else "only ideal is right")  # fmt: skip
    axes.barh(row, test["device_only"], 0.65, color="#bbbbbb",
              label=None if row else "only the device is right")  # fmt: skip
    axes.text(test["device_only"], row, f"  p = {test['p_value']:.1g}", va="center", fontsize=9)
widest = max(max(test["ideal_only"], test["device_only"]) for _, test in tests)
axes.axvline(0, color="#222222", lw=1)
axes.set(title="McNemar's test of the readout: images that tell the two apart", xlabel="test images")
axes.set_xlim(-1.1 * widest, 1.5 * widest)
axes.set_yticks(range(len(tests)), [label for label, _ in tests])
axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.legend(loc="lower right", fontsize=8)
plt.show()

# %% [markdown]
# | what it says | and what it does not |
# |---|---|
# | `mean_gap`: where the mean gap lies for other chips and other images | whether these very chips differ |
# | Wilson: how far the finite test set blurs one accuracy | other seeds; a difference of paired networks |
# | McNemar: whether two trained networks differ on these images | whether other seeds would lose as well |
#
# A tiny p in one seed and an interval that holds zero are no contradiction: McNemar's test judges
# the one pair that was trained, and so few pairs say little about the mean of all.

# %% [markdown]
# ## 3. Two machines
#
# `Crossbar` (numba) and `TorchCrossbar` share parameters, keys and the order of the chain, and no kernel.
# Every draw is a function of (key, event, cell, draw), so they must agree *with the noise on*. Nothing is
# copied from one to the other here: each draws its devices, is programmed, read and updated by itself.

# %%
ROWS, COLS, BATCH = 128, 64, 16
rng = np.random.default_rng(5)
weights = rng.normal(0, 0.2, (ROWS, COLS)).clip(-1, 1)
x = rng.random((BATCH, ROWS))
post = 0.02 * rng.normal(0, 1, (BATCH, COLS))
decay = rng.uniform(0, 0.1, COLS)


def chain(machine, name, seed=7):
    """Program, read, update with decay, on either machine in float64; the results of each step."""
    read = ns.ReadPath(dac_bits=8, adc_bits=8)
    array = machine((ROWS, COLS), name, seed=seed, precision="float64", read=read)
    array.program(weights, w_max=1.0)
    before, y = np.asarray(array.conductance_uS()).copy(), np.asarray(array.forward(x))
    array.update(x, post, decay, mode="accumulate")
    return {"programmed": before, "read": y, "updated": np.asarray(array.conductance_uS())}


print(f"{'largest difference':20}{'programmed, uS':>16}{'read, weight x input':>22}{'updated, uS':>13}"
      f"{'cells moved':>13}{'other seed, uS':>16}")  # fmt: skip
for name in CARDS:
    one, other = chain(ns.Crossbar, name), chain(ns.TorchCrossbar, name)
    apart = {step: np.abs(one[step] - other[step]).max() for step in one}
    moved = 100 * np.mean(one["updated"] != one["programmed"])
    stranger = np.abs(one["updated"] - chain(ns.TorchCrossbar, name, seed=8)["updated"]).max()
    print(f"{TITLE[name]:20}{apart['programmed']:>16.1e}{apart['read']:>22.1e}{apart['updated']:>13.1e}"
          f"{moved:>11.1f} %{stranger:>16.2f}")  # fmt: skip

# %% [markdown]
# What remains is the last bit of double precision; the last column is what another seed would look like.
#
# **Free running.** Now both machines learn by themselves from one state, in single precision, and nobody puts
# them right. Matrix products add in another order; once in a long while a count therefore falls on the other
# side of a rounding, and what follows from it differs for good.

# %%
STEPS = 20 if QUICK else 120
marks = tuple(mark for mark in (1, 2, 5, 10, 20, 30, 40, 50, 60, 80, 100, 120) if mark <= STEPS)
SHOWN = (1, 20, 50, 100, 120)
digits = ns.data.load("digits")
images = digits.inputs(digits.training(hold_out=False).images)
order = np.random.default_rng(0)
batches = np.stack([images[order.permutation(len(images))[:32]] for _ in range(STEPS)])
cases = [(PCM, "mixed", "o-"), (FINE, "accumulate", "s--"), (FINE, "mixed", "s-")][: 1 if QUICK else 3]
paths = {}
for name, mode, _ in cases:
    rule = ns.rules.SoftHebb(learning_rate=0.2)
    paths[name, mode] = divergence(ns.devices.load(name), rule, mode, batches, 100, marks)
    shown = [f"{100 * share:.3g} % after {mark}" for mark, share in paths[name, mode] if mark in SHOWN]
    print(f"{TITLE[name]}, {mode}: " + ", ".join(shown))

figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
cells = digits.rows * 200
for (name, mode, style), size in zip(cases, (4, 7, 10), strict=False):
    updates, share = np.array(paths[name, mode]).T
    axes.plot(updates, share, style, ms=size, color=COLOUR[name], mfc="white", zorder=5 - size / 10,
              label=f"{TITLE[name]}, {mode}")  # fmt: skip
axes.axhline(1 / cells, color="#999999", lw=1, ls=":", label="one cell")
axes.set_xscale("log")
axes.set_yscale("symlog", linthresh=1 / cells, linscale=0.5)
axes.set_yticks([0, 1e-4, 1e-3, 1e-2, 1e-1, 1], ["0", *(f"{share:g}" for share in (0.01, 0.1, 1, 10, 100))])
axes.set_xticks([1, 2, 5, 10, 20, 50, 100][: 5 if QUICK else 7])
axes.xaxis.set_major_formatter("{x:g}")
axes.minorticks_off()
axes.set(title="Two machines learning freely: conductances that differ", ylim=(-0.3 / cells, 2))
axes.set(xlabel="updates", ylabel="share of the cells, %")
axes.legend(loc="upper left", fontsize=9)
plt.show()

# %% [markdown]
# Zero means that not one conductance differs by more than 1e-5 of itself. Where the paths part, is one
# machine wrong? The same updates once more, but now the second machine starts each of them from the state of
# the first:

# %%
name, mode, _ = cases[-1]
device, rule = ns.devices.load(name), ns.rules.SoftHebb(learning_rate=0.2)
highest = 2.5 * np.sqrt(3 / digits.rows)
settings = {"read": ns.ReadPath(dac_bits=8, adc_bits=8), "write": ns.WritePath(w_max=1.3 * highest)}
one = ns.Crossbar((digits.rows, 100), device, **settings)
other = ns.TorchCrossbar((digits.rows, 100), device, **settings)
one.program(highest * np.random.default_rng(1).random(one.shape))
one.calibrate(batches[0])
layers = ns.Dense(one, rule, mode), ns.TorchDense(other, rule, mode)
differing = []
for batch in batches:
    other.restore(one.snapshot())
    for layer in layers:
        layer.learn(batch)
    a, b = one.conductance_uS(), np.asarray(other.conductance_uS())
    differing.append(np.count_nonzero(np.abs(a - b) > 1e-5 * np.maximum(a, b)))
print(f"{TITLE[name]}, {mode}: {sum(differing)} of {STEPS} x {cells} conductances differ after one update "
      f"from the same state; {max(differing)} in the worst update")  # fmt: skip

# %% [markdown]
# Where that counts none, each update agrees by itself, and what parts free paths is the last bits, carried
# from one update to the next. `neurosim validate` tries every operation, card, rule and precision.
#
# **Many instances at once.** `seed=range(16)` makes sixteen arrays that run as one batch, each with devices
# of its own; the instance of seed s is `Crossbar(..., seed=s)`. Here one input vector is read once by each.

# %%
INSTANCES = range(4 if QUICK else 16)
READ = ns.ReadPath()
currents_uA = {}
for name in CARDS:
    arrays = ns.TorchCrossbar((ROWS, COLS), name, seed=INSTANCES, read=READ)
    arrays.program(weights)
    alone = ns.Crossbar((ROWS, COLS), name, seed=INSTANCES[-1], read=READ)
    alone.program(weights)
    uA = READ.read_voltage_V * (alone.device.g_max_uS - alone.device.g_min_uS) / np.abs(weights).max()
    uA /= x[0].max()  # the largest input of a vector is applied as the full read voltage
    exact_uA, read_uA = uA * (x[0] @ weights), uA * arrays.forward(x[:1])[:, 0].numpy()
    currents_uA[name] = exact_uA, read_uA
    same = np.abs(read_uA[-1] - uA * alone.forward(x[:1])[0]).max()
    sigma = read_uA.std(axis=0, ddof=1).mean()
    print(f"{TITLE[name]:20}σ over arrays {sigma:6.3f} uA, {100 * sigma / exact_uA.std():5.1f} % of the "
          f"spread between columns; instance {INSTANCES[-1]} and Crossbar: {same:.0e} uA apart")  # fmt: skip

figure, panels = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
columns = np.arange(12)
for axes, name in zip(panels, (PCM, COARSE), strict=True):
    exact_uA, read_uA = (values[..., columns] for values in currents_uA[name])
    axes.hlines(exact_uA, columns - 0.35, columns + 0.35, color="#222222", lw=2, label="exact product")
    places = np.tile(columns, len(INSTANCES))
    axes.plot(
        places, read_uA.ravel(), "o", ms=4, color=COLOUR[name], alpha=0.5, mew=0, label="one array each"
    )
    axes.set(title=f"{TITLE[name]}: one vector, {len(INSTANCES)} arrays", xticks=columns)
    axes.set(xlabel="column", ylabel="current of the pair, µA")
panels[1].legend(loc="best", fontsize=8)
plt.show()

# %% [markdown]
# The spread holds programming and read noise; `ReadPath(read_noise=None)` leaves programming alone.
# Many chips that *learn* as one batch, and the share of them that is good: notebook 09.
#
# ## An exercise
#
# How many seeds would it take until the interval of the gap leaves zero, for the vote on PCM and for the readout? Guess from the half
# widths and from the share that only more chips make smaller, both printed in section 2, then try it.
#
# *Hint:* more seeds are `experiment.model_copy(update={"seeds": 6})`; `chips` must then go over its `seed_list`. What only more chips make
# smaller of the squared half width falls as one over their number; the rest stays until there are more images. On the command line the
# same is `neurosim compare FILE.toml --out DIR --workers 2`.
