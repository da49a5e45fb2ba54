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
# # Your own device
#
# From a probe station's CSV to a card, and from the card to an accuracy:
#
# 1. the data: two CSV files, as a parameter analyser would write them,
# 2. the fit: laws ranked, numbers with intervals, the figure of data over fit,
# 3. the card, and what it predicts for pulses that were never measured,
# 4. a layer that learns on that card, beside ideal arithmetic.
#
# **The data here are synthetic**: made with known numbers, so that the fit can be checked against them. Put
# your own files in their place. `make notebooks` executes this page; with `NEUROSIM_QUICK=1` it takes fewer
# devices, epochs and seeds.

# %%
import csv
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from rich.console import Console

import neurosim as ns
from neurosim.report.fit_sheet import fit_sheet, fit_tables
from neurosim.report.style import to_png

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
DEVICES, CYCLES, RAMP = (8, 1, 50) if QUICK else (24, 2, 50)
EPOCHS, SEEDS = (2, 1) if QUICK else (15, 5)
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(1)
plt.rcParams.update({"figure.dpi": 80, "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e4e4e4"})

# %% [markdown]
# ## 1. The data
#
# The device behind the files: RRAM with soft bounds, spreads over devices, noise from pulse to pulse. Only
# this cell and the last section know it. Each device is pulsed up and down and read after each pulse, with
# 1 % read noise of the instrument.

# %%
BASE = "rram-hfo2-om-2022"
KNOWN = {
    "g_min_uS": 15.0, "g_max_uS": 85.0, "step": 0.08, "step_spread_lognormal": 0.35, "state_max_spread": 0.2,
    "state_min_spread": 0.2, "cycle_to_cycle": 0.4, "write_noise": 0.8, "corrupt_share": None,
    "corrupt_range": None, "program_tolerance": 0.03,
}  # fmt: skip
truth = ns.devices.load(BASE).with_parameters(**KNOWN)

polarity = ([1] * RAMP + [-1] * RAMP) * CYCLES
conductance_uS = ns.devices.pulse_response(truth, polarity, DEVICES, seed=7)
measured_uS = conductance_uS * (1 + 0.01 * rng.standard_normal(conductance_uS.shape))
targets_uS = np.linspace(35, 65, 7)
achieved_uS = ns.devices.programmed(truth, targets_uS, [1.0], DEVICES, seed=8)[0]

with open(folder / "wafer7.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["device", "pulse", "polarity", "current_A", "read_voltage_V"])
    for device in range(DEVICES):
        for pulse, name in enumerate(["", *("SET" if p > 0 else "RESET" for p in polarity)]):
            current_A = 0.2 * 1e-6 * measured_uS[pulse, device]
            table.writerow([f"d{device:02}", pulse, name, f"{current_A:.5e}", 0.2])
with open(folder / "wafer7_programming.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["target_uS", "achieved_uS"])
    for target, reached in zip(targets_uS, achieved_uS, strict=True):
        table.writerows([f"{target:.2f}", f"{value:.3f}"] for value in reached)

for name in ("wafer7.csv", "wafer7_programming.csv"):
    lines = (folder / name).read_text().splitlines()
    print(f"{name}, {len(lines) - 1} rows:", *lines[:4], "...", sep="\n    ")

# %% [markdown]
# Other forms of file, and what columns may be called: `docs/fit.md`. What cannot be fitted is refused with the reason:

# %%
text = (folder / "wafer7.csv").read_text()
lines = text.splitlines()
damaged = {
    "a cell that is no number": text.replace(lines[20], "d00,19,SET,1.1.e-5,0.2"),
    "currents in µA": text.replace("e-06,", "e+00,").replace("e-05,", "e+01,"),
    "polarities swapped": text.replace("RESET", "*").replace("SET", "RESET").replace("*", "SET"),
    "too short": "\n".join(lines[:8]),
}
for what, content in damaged.items():
    (folder / "damaged.csv").write_text(content)
    try:
        ns.fitting.fit([folder / "damaged.csv"])
    except ns.NeurosimError as error:
        print(f"{what}: {str(error).replace(str(folder) + os.sep, '')}\n")

# %% [markdown]
# ## 2. The fit
#
# One call, or `neurosim fit wafer7.csv wafer7_programming.csv --write-voltage 1.6 --write-time 5e-8`. Every
# law that the data can tell is fitted and ranked by Schwarz's criterion (BIC); the best makes the card. The
# pulse itself is not in the data, so its voltage and length are given: the joules of the devices follow from them,
# an update and synapse in the table at the end. What stands around the devices takes more
# (`docs/energy.md`).

# %%
files = [folder / "wafer7.csv", folder / "wafer7_programming.csv"]
found = ns.fitting.fit(files, write_voltage_V=1.6, write_time_s=50e-9, name="wafer7")
console = Console(width=110, force_jupyter=False, force_terminal=False)
console.print(*fit_tables(found), sep="\n")
print("notes:", *(found.card.notes or ["none"]), sep="\n")

# %% [markdown]
# `error / expected` is the spread of the errors with which each read is predicted from the reads before it,
# in expected standard deviations; `lag-1` is their correlation from pulse to pulse. A law that describes the
# devices has 1 and 0.
#
# Here the numbers behind the data are known. How do the 95 % intervals do?

# %%
print(f"{'parameter':24}{'known':>9}{'fitted':>9}{'95 % interval':>22}")
held = []
for name, estimate in found.intervals.items():
    known = getattr(truth, name)
    if known is None:
        continue
    held.append(estimate.low <= known <= estimate.high)
    ends = f"{estimate.low:.3g} to {estimate.high:.3g}"
    print(f"{name:24}{known:>9.3g}{estimate.value:>9.3g}{ends:>22}  {'' if held[-1] else 'outside'}")
print(f"{sum(held)} of {len(held)} intervals hold the known number")

# %% [markdown]
# One in twenty may miss; hundreds of data sets of every law are counted in `docs/results/fit-coverage.md`.
# `write_noise` is what a read shows that is gone with the next pulse: the device's own and the instrument's
# together, which no pulse trace can tell apart. Where the instrument's counts, measure it, and take its square
# off that of the card.

# %%
display(Image(to_png(fit_sheet(found), dpi=80)))

# %% [markdown]
# * **Traces**: measured devices (colour) over devices that were simulated with the card (grey), mean and
#   middle 80 %. They must lie on each other in both.
# * **Change by one pulse** against the conductance before: points are data, the line is what the law expects
#   of these very pulses. A bend that the line does not follow is another law.
# * **Single devices**: the bounds of each with its standard error; their spread is device-to-device, and free
#   of the noise of the reads.
# * **Errors of prediction**: on the line if the noise is normal and of the right size.
# * **Programming error** against the target.

# %% [markdown]
# ## 3. The card
#
# A card is a text file in which every number has its unit and its source.

# %%
card = folder / "wafer7.toml"
card.write_text(ns.fitting.to_toml(found.card))
text = card.read_text().splitlines()
print(*(line if len(line) < 150 else f"{line[:147]}..." for line in text[:18]), "...", sep="\n")

# %% [markdown]
# A test that the fit has not seen: pulses in pairs, up and down alternately with a drift upwards (2 SET, 1
# RESET), on fresh devices of the known kind and of the card.

# %%
unseen = [1, 1, -1] * 40
figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
for device, colour, width, name in (
    (truth, "#aaaaaa", 4, "known device"),
    (card, "#d55e00", 1.2, "fitted card"),
):
    response = ns.devices.pulse_response(device, unseen, n_devices=1000, seed=3)
    low, high = np.percentile(response, (10, 90), axis=1)
    axes.plot(response.mean(axis=1), color=colour, lw=width, label=f"{name}: mean, 10 to 90 %")
    axes.plot(np.stack([low, high], axis=1), color=colour, lw=0.6 * width)
axes.set(title="Pulses that were not measured: 2 SET, 1 RESET", xlabel="pulse", ylabel="conductance, µS")
axes.legend(loc="lower right", frameon=False)
plt.show()

# %% [markdown]
# ## 4. From the card to an accuracy
#
# The same layer learns digits in ideal arithmetic, on the known device and on the fitted card, with the same
# seeds. If the fit is good, the difference of the last two is zero within its interval.

# %%
experiment = ns.DenseExperiment(
    dataset="digits",
    neurons=100,
    epochs=EPOCHS,
    seeds=SEEDS,
    mode="mixed",
    rule_options={"learning_rate": 0.2},
    arm=(
        ns.Arm(name="known device", device=BASE, parameters=KNOWN),
        ns.Arm(name="fitted card", device=str(card)),
    ),
)
results = ns.compare(experiment)
summary = {entry["arm"]: entry for entry in results["summary"]}
print(
    f"{'test accuracy, %':20}{'readout':>9}{'untrained':>11}{'vote':>9}{'untrained':>11}{'update, fJ/synapse':>20}"
)
for name, entry in summary.items():
    keys = ("accuracy", "untrained_accuracy", "vote", "untrained_vote")
    cells = "".join(
        f"{100 * entry[f'{key}_mean']:>{w}.1f}" for key, w in zip(keys, (9, 11, 9, 11), strict=True)
    )
    energy = f"{1e15 * entry['energy']['update_J_per_synapse']:>20.2f}" if "energy" in entry else f"{'–':>20}"
    print(f"{name:20}{cells}{energy}")

# %%
COLOUR = {"ideal": "#999999", "known device": "#222222", "fitted card": "#d55e00"}
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for axes, (score, title) in zip(panels, (("accuracy", "Readout"), ("vote", "Vote")), strict=True):
    for place, name in enumerate(summary):
        runs = [100 * run[score] for run in results["runs"] if run["arm"] == name]
        axes.plot([place] * len(runs), runs, "o", ms=7, mfc="white", color=COLOUR[name])
        axes.plot([place - 0.2, place + 0.2], [np.mean(runs)] * 2, color=COLOUR[name], lw=2)
    axes.set(title=title, ylabel="test accuracy, %", xlim=(-0.5, len(summary) - 0.5))
    axes.set_xticks(range(len(summary)), list(summary))
figure.suptitle(f"Digits, 64 x {experiment.neurons}, {EPOCHS} epochs; one point a seed, line: mean")
plt.show()

# %%
for score in ("accuracy", "vote"):
    known, fitted = (
        np.array([100 * run[score] for run in results["runs"] if run["arm"] == name])
        for name in ("known device", "fitted card")
    )
    low, high = ns.statistics.interval(fitted - known) if SEEDS > 1 else (np.nan, np.nan)
    print(
        f"{score}: fitted card − known device {np.mean(fitted - known):+.2f} points, 95 % {low:+.2f} to {high:+.2f}"
    )

# %% [markdown]
# ## What to try
#
# * Your own CSV in section 2; `neurosim compare --dataset mnist --device wafer7.toml --mode mixed --out DIR`.
# * Fewer devices or pulses: which intervals grow first?
# * `fit(files, model="constant-step")`: what does the wrong law cost, in the figure and in accuracy?
