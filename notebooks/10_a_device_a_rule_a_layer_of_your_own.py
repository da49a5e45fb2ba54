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
# # A device, a rule, a layer of your own
#
# What the package brings is a beginning. Each part can be yours, in about fifteen lines, and is then taken wherever a built-in
# one is: in comparisons, sweeps, energies and tests.
#
# 1. a law of devices: what a pulse does,
# 2. a rule: what a neuron makes of its inputs and its current,
# 3. a layer of a deep network: what goes on to the next one,
# 4. a kind of study, with a question of its own.
#
# For each we ask first whether it does what its equation says, and only then what it is worth, beside its controls. The data are
# the 8 x 8 digits bundled with scikit-learn.

# %%
import os
import tempfile
from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np

import neurosim as ns
from neurosim.devices.bipolar import STEPPED, Stepped, kernels, numbers
from neurosim.kernels.jit import inlined

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
SEEDS = 2 if QUICK else 3
PCM, ECRAM = "pcm-nandakumar-2018", "ecram-li-tang-2018"

plt.style.use("neurosim.report.notebook")

# %% [markdown]
# ## 1. A law of devices
#
# First ask whether a *card* is enough: a law of the package with numbers of yours (notebook 03 fits one to measured pulses). If
# no law has the shape of your device, write one. Many devices answer equal pulses up and down by steps that depend
# on where they stand. For these a law is one function, the *share* of the device's own step at the conductance `g`: here
# steps are largest in the middle of the window and shrink with the square of the distance $s$ from it,
#
# $$ \mathrm{share} = 1 - k\,s^2 + c\,\xi, $$
#
# with a normal draw $\xi$ for each pulse. The function is compiled, so it is written in float32 and knows its own cell only.


# %%
@inlined
def share(cell, g, sign, xi, state, params):
    s = (g - params.g_origin_uS) / params.span_uS
    return np.float32(1) - params.knee * s * s + params.cycle_to_cycle * xi


Params = numbers("Params", __name__, *STEPPED, "knee")


class Knee(Stepped):
    """Steps that are largest in the middle of the window."""

    law, own_kernels, params_type = "knee", kernels(share), Params
    knee: float = ns.devices.quantity("1", ge=0, lt=1)


# %% [markdown]
# A device is the law with its numbers. (In a file beside a card it would be `law = "knee.py:Knee"`; the documentation has that form,
# under "your own law".) Spread between devices, programming, write noise, energy of pulses and all effects around a law
# come with the base class.

# %%
NUMBERS = {"g_min_uS": 5.0, "g_max_uS": 45.0, "step": 0.02, "write_voltage_V": 1.5, "write_time_s": 1e-7}
plain = Knee(name="plain", knee=0.6, **NUMBERS)
mine = Knee(name="mine", knee=0.6, cycle_to_cycle=0.3, step_spread=0.1, **NUMBERS)
straight = Knee(name="straight", knee=0.0, **NUMBERS)

UP = 80
pulses = [1] * UP + [-1] * UP
traces = ns.devices.pulse_response(mine, pulses, 200, seed=0)
exact = ns.devices.pulse_response(plain, [1] * UP, 1, seed=0)[:, 0]
centre, span = (plain.g_max_uS + plain.g_min_uS) / 2, (plain.g_max_uS - plain.g_min_uS) / 2
expected = 1 - plain.knee * ((exact[:-1] - centre) / span) ** 2
steps = np.diff(exact)
inside = exact[1:] < plain.g_max_uS - 1e-3  # the last step ends at the bound

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
mean, sigma = traces.mean(axis=1), traces.std(axis=1)
left.fill_between(
    range(len(mean)), mean - sigma, mean + sigma, color="C0", alpha=0.25, lw=0, label="mean ± σ"
)
left.plot(mean, color="C0", lw=2, label="mean of 200 devices")
left.plot(traces[:, :3], color="#777777", lw=0.7)
left.plot([], [], color="#777777", lw=0.7, label="three of them")
left.plot(
    ns.devices.pulse_response(straight, pulses, 1)[:, 0], color="C1", ls="--", label="without a knee or noise"
)
left.set(title="Pulses up, then down", xlabel="pulse number", ylabel="conductance, µS", ylim=(0, 60))
left.legend(loc="upper right", ncols=2, fontsize=8)
right.plot(
    exact[:-1][inside], steps[inside], "o", ms=5, color="C0", label="steps of the device without noise"
)
right.plot(exact[:-1], steps[0] / expected[0] * expected, color="#222222", lw=1, label="the equation")
right.set(title="A step against where it begins", xlabel="conductance, µS", ylabel="step, µS", ylim=(0, None))
right.legend(loc="lower left", fontsize=9)
plt.show()
off = steps[inside] / (steps[0] / expected[0] * expected[inside]) - 1
print(f"largest deviation of a step from the equation: {100 * np.abs(off).max():.3f} %")

# %% [markdown]
# The device does what its equation says. Whether it is a *device* as the simulator needs one, `ns.devices.check` asks with a million
# pulses: bounds, energies, the same bits from the same seed, and no cell that touches its neighbour. And since the
# torch backend reads the same function, both machines can be held against each other, draw for draw.

# %%
for clause in ns.devices.check(mine):
    print(f"{'yes' if clause.holds else 'NO':4}{clause.clause}: {clause.found}")


# %%
draws = np.random.default_rng(0)
weights, x = draws.uniform(-1, 1, (32, 16)), draws.random((8, 32))
change = 0.05 * draws.standard_normal((8, 16))
states = []
for machine, seed in ((ns.Crossbar, 1), (ns.TorchCrossbar, 1), (ns.Crossbar, 2)):
    array = machine((32, 16), mine, seed=seed, precision="float64")
    array.program(weights, w_max=1.0)
    array.update(x, change, mode="accumulate")
    states.append(np.asarray(array.conductance_uS()).reshape(-1))
print(f"after programming and an update: {np.abs(states[0] - states[1]).max():.0e} uS between the two machines, "
      f"{np.abs(states[0] - states[2]).max():.1f} uS to another seed")  # fmt: skip

# %% [markdown]
# ## 2. A rule
#
# A rule sees the inputs `x`, the column currents `u` and its own state. It answers with `pre`, `post` and, if it has one, a
# `decay`; the array makes $\Delta w_{ij} = \sum_b \mathrm{pre}_{bi}\,\mathrm{post}_{bj} - \mathrm{decay}_j\,w_{ij}$ of them, by pulses. It
# never sees a weight. The rule of Bienenstock, Cooper and Munro (1982), in the form of Intrator and Cooper (1992), is
#
# $$ \Delta w_{ij} = \frac{\eta}{B} \sum_b x_{bi}\, y_{bj} (y_{bj} - \theta_j), \qquad y = \mathrm{relu}(u), \qquad \theta_j = \overline{y_j^2}. $$
#
# It strengthens what moves a neuron more than usual and weakens what moves it less. The threshold is a running mean, so it
# is *state*: an array whose last axis has an element for each column.


# %%
class Bcm(ns.Frozen):
    """What moves a neuron more than usual is strengthened."""

    name: ClassVar[str] = "bcm"
    ideal_only: ClassVar[bool] = False
    learning_rate: float = 0.001
    memory: float = 0.99

    def state(self, rows, cols):
        return {"theta": np.zeros(cols, np.float32)}

    def observe_norms(self, norms, state):
        pass

    def __call__(self, x, u, state):
        y, theta = np.maximum(u, 0), state["theta"]
        square = np.square(y).mean(axis=0)
        theta += (1 - self.memory * (theta > 0)) * (square - theta)
        return ns.LocalUpdate(x, y * (y - theta) * (self.learning_rate / len(x)))


# %% [markdown]
# Does it do what the equation says? One neuron and two inputs that never come together: theory says that the neuron ends
# up silent for one of them and answers the other with $y = 1/p$, where $p$ is how often that one comes, since there $y = \theta = p y^2$.

# %%
array = ns.IdealArray((2, 6))
array.program(np.random.default_rng(3).uniform(0.2, 0.6, (2, 6)))
one = ns.Dense(array, Bcm(learning_rate=0.02, memory=0.95))
history = [array.weights().copy()]
patterns = np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)  # each comes half of the time
for _ in range(1500):
    one.learn(patterns)
    history.append(array.weights().copy())
history = np.array(history)
figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
for row, colour in ((0, "C0"), (1, "C1")):
    axes.plot(history[:, row], color=colour, lw=1.2)
    axes.plot([], [], color=colour, label=f"answer to input {row}")
axes.axhline(2, color="#222222", lw=1, ls="--", label="1 / p = 2")
axes.axhline(0, color="#222222", lw=1, ls=":", label="silent")
axes.set(
    title="Six neurons choose one of two inputs", xlabel="update", ylabel="weight = answer", ylim=(-0.4, 3.2)
)
axes.legend(loc="upper right", ncols=2, fontsize=9)
plt.show()
chosen = history[-1].max(axis=0)
print(
    f"answers to the chosen input: {chosen.min():.3f} to {chosen.max():.3f}, to the other {history[-1].min(axis=0).max():+.3f} at most"
)

# %% [markdown]
# Now on devices, yours among them: 100 neurons on digits, with the same seeds in every arm. Three controls: ideal arithmetic, the
# same arrays before they learn, and the readout on raw pixels, without any layer.

# %%
spec = ns.DenseExperiment(
    dataset="digits",
    rule=Bcm,
    neurons=100,
    epochs=3 if QUICK else 20,
    seeds=SEEDS,
    mode="mixed",
    curve_points=0,
    arm=(
        ns.Arm(name="mine", device=mine),
        ns.Arm(name="straight", device=straight),
        ns.Arm(name="ECRAM", device=ECRAM),
        ns.Arm(name="PCM", device=PCM),
    ),
)
results = ns.compare(spec)
print(f"{'readout, %':12}{'learnt':>9}{'95 %':>16}{'untrained':>11}   as good as ideal?")
for entry in results["summary"]:
    ends = "{:.1f} to {:.1f}".format(*(100 * end for end in entry["accuracy_interval"]))
    verdict = entry["verdict"]["answer"] if entry["verdict"] else ""
    print(f"{entry['arm']:12}{100 * entry['accuracy_mean']:>9.1f}{ends:>16}{100 * entry['untrained_accuracy_mean']:>11.1f}   {verdict}")  # fmt: skip
raw = results["baselines"][0]
print(f"the same readout on {raw['name']}: {100 * raw['accuracy']:.1f} %")
results.plot("accuracy")

# %% [markdown]
# The layer learns, on every device, and the raw pixels of such small images are no worse: on digits this is a test of
# the machinery, no argument for the rule. (The vote is low because nothing makes these neurons compete: a vote asks for
# winners.)
#
# ## 3. A layer
#
# A layer of a deep network is an array, a rule, and what goes on to the next layer. That last part is digital and can be
# yours: a `pass_on` of your own, with fields of your own. This one lets only the strongest few neurons of each position through.


# %%
class Sparse(ns.Layer):
    """What is not among the strongest is zero; activation and pooling of the layer follow."""

    winners: int = 4

    def pass_on(self, currents):
        least = np.partition(currents, -self.winners)[..., [-self.winners]]
        return super().pass_on(np.where(currents < least, 0, currents))


FIRST = {
    "neurons": 16, "kernel": 5, "pad": 2, "learning_rate": 0.08, "inverse_temperature": 1.0,
    "activation": "relu", "pool": "max", "pool_kernel": 4, "pool_stride": 2, "pool_pad": 1,
}  # fmt: skip
SECOND = ns.Layer(neurons=64, kernel="all", learning_rate=0.02, inverse_temperature=0.5)
u = np.random.default_rng(0).normal(size=(1, 8, 8, 16)).astype(np.float32)
alone = Sparse(neurons=16, kernel=5, learning_rate=0.08, inverse_temperature=1.0, activation="relu")
passed = alone.pass_on(u)
print(f"of 16 neurons at a position, at most {(passed > 0).sum(axis=-1).max()} go on")

# %% [markdown]
# The same network with the built-in layer, and with two numbers of winners; every arm has a control whose weights stay random.

# %%
STACKS = {
    "all 16 go on": ns.Layer(**FIRST),
    "4 go on": Sparse(**FIRST),
    "1 goes on": Sparse(**FIRST, winners=1),
}
ON_PCM = {
    "device": PCM, "rule": "softhebb", "mode": "mixed", "settings": {"adaptive_gain": True},
    "write": {"decay_mode": "gain"}, "window": 5.0,
}  # fmt: skip
table = {}
for name, first in STACKS.items():
    deep = ns.DeepExperiment(
        dataset="digits",
        layer=[first, SECOND],
        train_images=300 if QUICK else 1000,
        head_epochs=5 if QUICK else 20,
        seeds=SEEDS,
        arm=(
            ns.DeepArm(name="ideal"),
            ns.DeepArm(name="ideal, random", learns=False),
            ns.DeepArm(name="PCM", **ON_PCM),
            ns.DeepArm(name="PCM, random", learns=False, **ON_PCM),
        ),
    )
    for entry in ns.compare(deep)["summary"]:
        table[name, entry["arm"], entry["depth"]] = 100 * entry["accuracy_mean"], entry["accuracy_interval"]
arms = [arm.name for arm in deep.arm]
print(f"{'head on depth 1 / 2, %':24}" + "".join(f"{arm:>16}" for arm in arms))
for name in STACKS:
    cells = "".join(f"{table[name, arm, 1][0]:>9.1f} / {table[name, arm, 2][0]:.1f}" for arm in arms)
    print(f"{name:24}{cells}")
widths = [50 * (high - low) for _, (low, high) in table.values()]
print(f"half widths of the 95 % intervals: {min(widths):.1f} to {max(widths):.1f} points")

# %% [markdown]
# Look at the control before the winners: a head on *random* weights does about as well, for a linear head on many features
# reads digits from almost anything. Differences within the half widths are none. What a layer of yours is worth shows on
# harder data (notebook 05), and the control goes with it.
#
# ## 4. A kind of study
#
# What if the *question* is yours? A kind of study says its settings and returns a training; arms, seeds, checkpoints, sweeps,
# statistics and the page come with the base class. The example of the documentation asks about forgetting: a layer learns the digits 0
# to 4, then the others. How much is left of the first? The file has a hundred lines; here it is used as any other kind.

# %%
EXAMPLES = Path("../docs/examples")
settings = (EXAMPLES / "forgetting.toml").read_text(encoding="utf-8")
settings = settings.replace("forgetting.py:", f"{EXAMPLES}/forgetting.py:")
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "forgetting.toml"
    file.write_text(settings, encoding="utf-8")
    forgetting = ns.compare(ns.load_experiment(file))
print(f"{'accuracy, %':24}{'first classes, before':>24}{'first classes, after':>24}{'all ten':>10}")
for arm in forgetting.arms:
    runs = [run for run in forgetting["runs"] if run["arm"] == arm]
    cells = [100 * np.mean([run[key] for run in runs]) for key in ("first classes, before", "first classes", "accuracy")]  # fmt: skip
    print(f"{arm:24}{cells[0]:>24.1f}{cells[1]:>24.1f}{cells[2]:>10.1f}")

# %% [markdown]
# The control is ideal arithmetic: what it forgets is the rule's, and only what is lost beyond that is the device's. (Among the first
# classes chance is one in five, among all one in ten.)
#
# ## An exercise
#
# Write the rule of Oja (1982), $\Delta w_{ij} = \frac{\eta}{B} \sum_b y_{bj} (x_{bi} - y_{bj} w_{ij})$ with $y = u$, in fifteen lines, and show that
# a single column of it comes to the first principal component of its inputs. Then put it on your own device. How near does it come, and
# what stops it?
#
# *Hint:* the second term is a decay, `(post * u).sum(axis=0)`. Train `ns.Dense(ns.IdealArray((64, 1)), Oja())` on the digits and
# compare the weights with the first right singular vector of the images (`np.linalg.svd`, without taking the mean away) by their cosine.
# `ns.rules.Oja` is the built-in one: with the same start weights both must agree.
