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
# # Your own trained torch model
#
# So far layers learnt in place. A network that was trained elsewhere goes onto devices as well: its weights are programmed once,
# with an error, and from then on they drift. What is left of it after a year, and how much of the loss does one number a layer undo?
#
# 1. a network, trained by backpropagation,
# 2. its copy on devices, read after a second, an hour, a day and a year, with and without drift compensation.
#
# With MNIST at hand (`NEUROSIM_DATA`) it is used, otherwise the digits bundled with scikit-learn. The same for weights in a file:
# `neurosim compare --weights FILE.safetensors --device ...`.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
try:
    data = ns.data.load("digits" if QUICK else "mnist")
except ns.errors.DataError:
    data = ns.data.load("digits")
MNIST = data.name == "mnist"
print(f"{data.note}: {data.rows} pixels, {len(data.y_test)} test images")
PCM = "pcm-nandakumar-2018"

torch.set_num_threads(1)  # the last bits of torch's sums depend on the number of threads
plt.style.use("neurosim.report.notebook")

# %% [markdown]
# ## 1. A network, trained
#
# Train whatever you like in torch; here a small perceptron by backpropagation, with validation images left
# out.

# %%
fit = data.training(hold_out=True)
images, labels = torch.from_numpy(data.inputs(fit.images)), torch.from_numpy(fit.labels)
test_images, test_labels = torch.from_numpy(data.inputs(data.x_test)), torch.from_numpy(data.y_test)

torch.manual_seed(0)
mlp = nn.Sequential(nn.Linear(data.rows, 64), nn.ReLU(), nn.Linear(64, data.classes))
adam = torch.optim.Adam(mlp.parameters(), lr=3e-3)
for _ in range(4 if MNIST else 30):
    for chosen in torch.randperm(len(images)).split(64):
        adam.zero_grad()
        nn.functional.cross_entropy(mlp(images[chosen]), labels[chosen]).backward()
        adam.step()


def scores(model):
    """Accuracy in % and cross-entropy in nats on the test images, of each instance of a model."""
    with torch.no_grad():
        y = torch.cat([model(block) for block in test_images.split(1000)], dim=-2)
    y = y.reshape(-1, *y.shape[-2:])
    likelihood = y.log_softmax(dim=-1)[:, torch.arange(len(test_labels)), test_labels]
    right = (y.argmax(dim=-1) == test_labels).double().mean(dim=1)
    return 100 * right.numpy(), -likelihood.mean(dim=1).numpy()


ideal_accuracy, ideal_loss = (values[0] for values in scores(mlp))
print(f"ideal: {ideal_accuracy:.2f} %, cross-entropy {ideal_loss:.4f} nats")

# %% [markdown]
# ## 2. On devices, and left alone for a year
#
# `convert` puts every `nn.Linear` and `nn.Conv2d` of a copy onto an array of its own; nothing learns from
# here on. `calibrate` sets the ranges of the ADCs and keeps a reference read for `compensate`, which
# multiplies the outputs of each layer by one number so that the reference comes out as large as it was.
# Beside the PCM card stands the same card with drift exponents that differ from cell to cell (a spread of
# 0.02, an assumption).

# %%
YEAR_S = 365.25 * 86400.0
TIMES_S = {"1 s": 1.0, "1 h": 3600.0, "1 day": 86400.0, "1 year": YEAR_S}
SEEDS = range(3 if QUICK else 8)
pcm = ns.devices.load(PCM)
file = Path("../results/pcm-drift-spread.toml")
spread = ns.devices.load(str(file)) if file.exists() else pcm.with_parameters(drift_exponent_sigma=0.02)
DEVICES = {"PCM": pcm, "PCM, exponents differ": spread}


def aged(device):
    """Scores (accuracy, loss) by (time, compensated), and the gains of the layers at the end."""
    model = ns.convert(mlp, device, seed=SEEDS, read=ns.ReadPath(dac_bits=8, adc_bits=8))
    model.calibrate(images[:200])
    found, now_s = {("programmed", False): scores(model)}, 0.0
    for text, time_s in TIMES_S.items():
        model.advance(time_s - now_s)
        now_s = time_s
        model.stop_compensation()
        found[text, False] = scores(model)
        gains = [gain.mean().item() for gain in model.compensate().values()]
        found[text, True] = scores(model)
    return found, gains


measured = {name: aged(device) for name, device in DEVICES.items()}

# %%
STAGES = ("programmed", *TIMES_S)


def with_half(values):
    """Mean and half of Student's 95 % interval."""
    low, high = ns.statistics.interval(values)
    return f"{values.mean():.2f} ± {(high - low) / 2:.2f}"


print(f"accuracy, %: mean and half of Student's 95 % over {len(SEEDS)} arrays; ideal {ideal_accuracy:.2f}")
print(" " * 36 + "".join(f"{stage:>14}" for stage in STAGES))
for name, (found, _) in measured.items():
    for compensated, text in ((False, "as it is"), (True, "compensated")):
        cells = [found.get((stage, compensated)) for stage in STAGES]
        shown = "".join(f"{with_half(cell[0]) if cell else '':>14}" for cell in cells)
        print(f"{name:24}{text:12}{shown}")

# %% [markdown]
# What compensation wins, array by array, and whether its gains are those of the drift law:

# %%
law = (YEAR_S / pcm.drift_reference_s) ** pcm.drift_exponent
for name, (found, gains) in measured.items():
    won = found["1 year", True][0] - found["1 year", False][0]
    losses = [found[key][1].mean() for key in (("programmed", False), ("1 year", False), ("1 year", True))]
    print(f"{name}, a year: compensation wins {with_half(won)} points; "
          f"gains {gains[0]:.3f} and {gains[1]:.3f}, law {law:.3f}")  # fmt: skip
    print(
        "    cross-entropy, nats: programmed {:.3f}, after a year {:.3f}, compensated {:.3f}".format(*losses)
    )

# %% [markdown]
# The law of this card states conductance some time after the pulse (`drift_reference_s`); the point
# "programmed" stands there, and one second lies *before* it, when conductances are larger.

# %%
figure, panels = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
at_s = {"programmed": pcm.drift_reference_s, **TIMES_S}
for (name, (found, _)), colour in zip(measured.items(), ("C0", "C3"), strict=True):
    for compensated, style in ((False, "o-"), (True, "s--")):
        stages = sorted((stage for stage, state in found if state is compensated), key=at_s.get)
        for score, axes in enumerate(panels):
            values = [found[stage, compensated][score] for stage in stages]
            means = np.array([value.mean() for value in values])
            ends = np.array([ns.statistics.interval(value) for value in values])
            axes.errorbar(
                np.array([at_s[stage] for stage in stages]) * (1.15 if compensated else 1),
                means,
                (means - ends[:, 0], ends[:, 1] - means),
                fmt=style,
                ms=5,
                lw=1.4,
                capsize=2,
                color=colour,
                mfc="white" if compensated else colour,
                label=f"{name}{', compensated' if compensated else ''}",
            )
for axes, ideal, title, unit in (
    (panels[0], ideal_accuracy, "The answers", "test accuracy, %"),
    (panels[1], ideal_loss, "How well the answers are weighed", "cross-entropy, nats"),
):
    axes.axhline(ideal, color="#222222", lw=1.2, label="ideal")
    axes.axvline(pcm.drift_reference_s, color="#999999", lw=1, ls=":", label="as programmed")
    axes.set(title=title, xlabel="time since programming (logarithmic)", ylabel=unit, xscale="log")
    axes.set_xticks(list(TIMES_S.values()), list(TIMES_S))
    axes.minorticks_off()
panels[0].legend(loc="lower left", fontsize=8)
figure.suptitle(f"{data.rows}-64-{data.classes} perceptron on devices, mean and 95 % over arrays")
plt.show()

# %% [markdown]
# Compensation undoes what all cells have in common, and leaves what they differ in. Were every output to
# shrink alike, the largest would stay the largest and accuracy would have nothing to gain; but biases are
# digital and do not drift, so without compensation they come to weigh more. The *size* of an output also says
# how sure an answer is: hence the cross-entropy. Intervals are over arrays, on one trained network and one
# test set.
#
# ## An exercise
#
# Train the perceptron without biases, `nn.Linear(..., bias=False)`. What does compensation still win after a year, in accuracy and in
# cross-entropy?
#
# *Hint:* without biases, and with ReLU between, all outputs shrink by one common factor if all cells drift alike. What does that change
# about which of them is the largest, and what about how sure the softmax is? Then think of the variant whose exponents differ.
