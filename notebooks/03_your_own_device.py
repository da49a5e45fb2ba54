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
# From a laboratory's export, as untidy as they are, to a card, and from the card to an accuracy:
#
# 1. the file: German decimal commas, a block of settings, gaps, overflows, reads in compliance, glitches, a dead cell,
# 2. reading it: columns named, three lines that say what was understood,
# 3. the fit: laws ranked, numbers with intervals, notes, the figure of data over fit,
# 4. the card, and cards drawn from what the fit leaves open,
# 5. a layer that learns on all of them, beside ideal arithmetic.
#
# **The data are made up**: drawn with known numbers, so that the fit can be held against them. Put your own file in
# their place. `make notebooks` executes this page; with `NEUROSIM_QUICK=1` it takes fewer devices, epochs and seeds.

# %%
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
DEVICES, CYCLES, RAMP = (8, 1, 50) if QUICK else (12, 2, 40)
EPOCHS, SEEDS, DRAWS, RESAMPLES = (2, 1, 1, 0) if QUICK else (6, 3, 3, ns.fitting.RESAMPLES)
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(2)
plt.style.use("neurosim.report.notebook")

# %% [markdown]
# ## 1. The file
#
# The device behind the file: RRAM with soft bounds, spreads over devices, noise from pulse to pulse. Only this cell and
# the comparisons below know it. Each device is pulsed up and down and read after each pulse with 200 mV. Then happens
# what happens in a laboratory:
#
# * the instrument is in compliance at 18.2 µA, which is 91 µS, and marks these reads with a C;
# * some reads overflow (9.9E+37, status V), some cells are empty;
# * 0.2 % of the reads are glitches of a bad contact;
# * one cell is open;
# * a spreadsheet has saved it all with decimal commas, in Windows' encoding.

# %%
BASE = "rram-hfo2-om-2022"
KNOWN = {
    "g_min_uS": 15.0, "g_max_uS": 85.0, "step": 0.08, "step_spread_lognormal": 0.35, "state_max_spread": 0.15,
    "state_min_spread": 0.15, "cycle_to_cycle": 0.4, "write_noise": 0.5, "corrupt_share": None,
    "corrupt_range": None,
}  # fmt: skip
truth = ns.devices.load(BASE).with_parameters(**KNOWN)
polarity = ([1] * RAMP + [-1] * RAMP) * CYCLES
conductance_uS = ns.devices.pulse_response(truth, polarity, DEVICES, seed=7).astype(float)
conductance_uS[:, 5] = 0.3 + 0.02 * rng.standard_normal(len(polarity) + 1)  # an open cell
glitch = rng.random(conductance_uS.shape) < 0.002
seen_uS = np.where(glitch, conductance_uS * rng.uniform(0, 3, glitch.shape), conductance_uS)
COMPLIANCE_uS = 91.0
limited = seen_uS >= COMPLIANCE_uS
gap, overflow = (rng.random(seen_uS.shape) < 0.002 for _ in range(2))


def with_comma(value: float) -> str:
    return f"{value:.5E}".replace(".", ",")


lines = [
    "Parameteranalysator;4200A-SCS",
    "Projekt;Wafer 7, Los 12",
    "Temperatur;23,5 °C",
    "",
    "Bauteil;Puls Nr.;V_Puls (V);I_Lesen [µA];U_Lesen (mV);Status",
]
for device in range(DEVICES):
    for pulse, sign in enumerate([0, *polarity]):
        current = 0.2 * min(seen_uS[pulse, device], COMPLIANCE_uS)
        status = "C" if limited[pulse, device] else "N"
        cell = with_comma(current)
        if overflow[pulse, device]:
            cell, status = "9,90000E+37", "V"
        if gap[pulse, device]:
            cell = ""
        lines.append(
            f"B{device:02};{pulse};{'-' * (sign < 0)}{1.6 * abs(sign):.1f};{cell};200;{status}".replace(
                ".", ",", 1
            )
        )
lines += ["", "Ende der Messung"]
export = folder / "wafer7.csv"
export.write_text("\n".join(lines) + "\n", encoding="cp1252")
print(*lines[:12], "...", *lines[-3:], sep="\n")

# %% [markdown]
# ## 2. Reading it
#
# What the reader does not know, it asks for, with the option that gives it:

# %%
try:
    ns.fitting.fit([export])
except ns.NeurosimError as error:
    print(str(error).replace(str(folder) + os.sep, ""))

# %% [markdown]
# The German headers are mapped once; on the command line each is an option, `--column device="Bauteil"`. Three lines say
# what was understood before anything is fitted. What a column may be called without a word: `docs/fit.md`.

# %%
columns = {
    "device": "Bauteil",
    "pulse": "Puls Nr.",
    "pulse_voltage": "V_Puls (V)",
    "current": "I_Lesen [µA]",
    "read_voltage": "U_Lesen (mV)",
}
found = ns.fitting.fit(
    [export], write_voltage_V=1.6, write_time_s=50e-9, name="wafer7", columns=columns, resamples=RESAMPLES,
    told=lambda line: print(line, end="\n\n"),
)  # fmt: skip

# %% [markdown]
# ## 3. The fit
#
# Every law that the data can tell is fitted and ranked by Schwarz's criterion (BIC); the best makes the card. The pulse
# itself is not in the data, so its voltage and length were given: the joules of the devices follow from them, an update
# and synapse in the table at the end. What stands around the devices, their periphery, takes more: a lower bound stands beside
# them, and `docs/energy.md` has price lists.

# %%
console = Console(width=110, force_jupyter=False, force_terminal=False)
console.print(*fit_tables(found), sep="\n")

# %% [markdown]
# `error / expected` is the spread of the errors with which each read is predicted from the reads before it, in expected
# standard deviations; `lag-1` is their correlation from pulse to pulse. A law that describes the devices has 1 and 0.
#
# The notes are on the card, too. They say what was left out and why, and what the fit is not sure of:

# %%
for note in found.card.notes:
    print(f"- {note}\n")

# %% [markdown]
# Here the numbers behind the data are known. How do the 95 % intervals do, with all that is wrong with the file?

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
# One in twenty may miss. How often they do over many data sets is counted in `results/fit-coverage.md`, and how often
# the right law is chosen in `results/fit-laws.md`. `write_noise` is what a read shows that is gone with the next
# pulse: the device's own and the instrument's together.

# %%
display(Image(to_png(fit_sheet(found), dpi=80)))

# %% [markdown]
# * **Traces**: the runs of equal pulses without a gap, in colour, over devices that were simulated with the card, in grey:
#   mean and middle 80 %. Gaps fall where they like, so these are few here; all of the data follow below.
# * **Change by one pulse** against the conductance before: points are data, the line is what the law expects of these very
#   pulses. A bend that the line does not follow is another law.
# * **Single devices**: the bounds of each with its standard error; their spread is device-to-device, and free of the noise
#   of the reads.
# * **Errors of prediction**: on the line if the noise is normal and of the right size.
#
# The card over the whole file: every read as it was written, among 1,000 fresh devices of the card under the same pulses.
# What lies outside the band on its own is a glitch, the row at the bottom the open cell, the edge on top the compliance.

# %%
card = folder / "wafer7.toml"
card.write_text(ns.fitting.to_toml(found.card), encoding="utf-8")
predicted = ns.devices.pulse_response(card, polarity, n_devices=1000, seed=4)
written = np.where(gap | overflow, np.nan, np.minimum(seen_uS, COMPLIANCE_uS))
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.fill_between(
    range(len(polarity) + 1),
    *np.percentile(predicted, (10, 90), axis=1),
    color="#dddddd",
    label="card: middle 80 %",
)
axes.plot(written, ".", ms=2, color="#0072b2")
axes.plot([], [], ".", color="#0072b2", label="reads")
axes.plot(np.median(predicted, axis=1), color="#d55e00", lw=1.5, label="card: median")
axes.set(title="The card over the file", xlabel="pulse", ylabel="conductance, µS")
figure.legend(loc="outside lower center", frameon=False, ncols=3)
plt.show()

# %% [markdown]
# ## 4. The card, and what the fit leaves open
#
# A card is a text file in which every number has its unit and its source. What the fit leaves open becomes more cards,
# whose numbers are drawn from the intervals (`--draws 3`).

# %%
text = card.read_text(encoding="utf-8").splitlines()
numbers = text[text.index("[parameters]") :]
print(
    *(line if len(line) < 130 else f"{line[:127]}..." for line in [*text[:5], "...", *numbers[:8]]),
    "...",
    sep="\n",
)
drawn = []
for one in ns.fitting.drawn_cards(found, DRAWS, seed=1):
    drawn.append(folder / f"{one.name}.toml")
    drawn[-1].write_text(ns.fitting.to_toml(one), encoding="utf-8")

# %% [markdown]
# What the card and its draws predict for pulses that were never measured: pulses in pairs, 2 SET and 1 RESET, on fresh
# devices. The grey band is the known device, which has no open cells as the card has: medians, therefore.

# %%
unseen = [1, 1, -1] * 40
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
response = ns.devices.pulse_response(truth, unseen, n_devices=1000, seed=3)
low, high = np.percentile(response, (10, 90), axis=1)
axes.fill_between(range(len(unseen) + 1), low, high, color="#dddddd", label="known device: 10 to 90 %")
axes.plot(np.median(response, axis=1), color="#888888", lw=4, label="known device: median")
for k, file in enumerate(drawn):
    response = ns.devices.pulse_response(file, unseen, n_devices=1000, seed=3)
    axes.plot(
        np.median(response, axis=1), color="#56b4e9", lw=0.8, label="cards drawn: median" if not k else None
    )
response = ns.devices.pulse_response(card, unseen, n_devices=1000, seed=3)
axes.plot(np.median(response, axis=1), color="#d55e00", lw=1.4, label="fitted card: median")
axes.plot(np.percentile(response, (10, 90), axis=1).T, color="#d55e00", lw=0.8, ls="--")
axes.set(title="Pulses that were not measured: 2 SET, 1 RESET", xlabel="pulse", ylabel="conductance, µS")
figure.legend(loc="outside lower center", frameon=False, ncols=4)
plt.show()

# %% [markdown]
# ## 5. From the card to an accuracy
#
# The same layer learns digits in ideal arithmetic, on the known device, on the fitted card and on the cards drawn from
# it, with the same seeds. How far the draws differ is how much the answer hangs on the fit.

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
        *(ns.Arm(name=f"draw {k}", device=str(file)) for k, file in enumerate(drawn, start=1)),
    ),
)
results = ns.compare(experiment)
summary = {entry["arm"]: entry for entry in results["summary"]}
print(
    f"{'test accuracy, %':20}{'readout':>9}{'untrained':>11}{'vote':>9}{'untrained':>11}"
    f"{'fJ an update and synapse: devices':>36}{'with periphery':>16}"
)
for name, entry in summary.items():
    keys = ("accuracy", "untrained_accuracy", "vote", "untrained_vote")
    cells = "".join(
        f"{100 * entry[f'{key}_mean']:>{w}.1f}" for key, w in zip(keys, (9, 11, 9, 11), strict=True)
    )
    joules = entry.get("energy")
    energy = (
        f"{1e15 * joules['update_J_per_synapse']:>36.0f}{1e15 * joules['update_J_per_synapse_with_periphery']:>16.0f}"
        if joules
        else ""
    )
    print(f"{name:20}{cells}{energy}")

# %%
COLOUR = {"ideal": "#999999", "known device": "#222222", "fitted card": "#d55e00"}
figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for axes, (score, title) in zip(panels, (("accuracy", "Readout"), ("vote", "Vote")), strict=True):
    for place, name in enumerate(summary):
        runs = [100 * run[score] for run in results["runs"] if run["arm"] == name]
        colour = COLOUR.get(name, "#56b4e9")
        axes.plot([place] * len(runs), runs, "o", ms=7, mfc="white", color=colour)
        axes.plot([place - 0.2, place + 0.2], [np.mean(runs)] * 2, color=colour, lw=2)
    axes.set(title=title, ylabel="test accuracy, %", xlim=(-0.5, len(summary) - 0.5))
    axes.set_xticks(range(len(summary)), [name.replace(" ", "\n") for name in summary])
figure.suptitle(f"Digits, 64 x {experiment.neurons}, {EPOCHS} epochs; one point a seed, line: mean")
plt.show()

# %%
for score in ("accuracy", "vote"):
    by_arm = {
        name: np.array([100 * run[score] for run in results["runs"] if run["arm"] == name])
        for name in summary
    }
    low, high = (
        ns.statistics.interval(by_arm["fitted card"] - by_arm["known device"])
        if SEEDS > 1
        else (np.nan, np.nan)
    )
    gap = np.mean(by_arm["fitted card"] - by_arm["known device"])
    means = [by_arm[f"draw {k}"].mean() for k in range(1, DRAWS + 1)]
    print(
        f"{score}: fitted card − known device {gap:+.2f} points, 95 % {low:+.2f} to {high:+.2f}; "
        f"means of the draws {min(means):.1f} to {max(means):.1f} %"
    )

# %% [markdown]
# The gap between the fitted card and the known device is what the fit got wrong, and the range of the draws what it could not know.
# Where both are smaller than the spread of the seeds, better pulses would not change the answer.
#
# ## An exercise
#
# You have a day at the probe station. Is it better spent on twice as many devices, or on twice as many cycles of the same devices?
# Guess which parameters each of them pins down, then try it, and see how far the cards drawn from the fit differ in accuracy.
#
# *Hint:* `DEVICES` and `CYCLES` at the top make the file. Spreads over devices are known from as many numbers as there are devices, however
# often each is pulsed; steps and noise from pulse to pulse are known from all pulses together. Look at the intervals before the
# accuracies. And your own file goes in section 2: `neurosim compare --device wafer7.toml --mode mixed --out DIR` is then the whole of section 5.
