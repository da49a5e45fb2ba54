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
# # Energy per update
#
# A training counts its events once: reads, conversions, pulses, charged lines, multiply-adds. Joules and seconds are made
# of the counts afterwards, by price lists, so that another converter, another node or another pulse is a matter of
# milliseconds and never of a second training.
#
# 1. what was counted,
# 2. two price lists, and what of them is assumed,
# 3. prices swapped live,
# 4. joules and seconds until an accuracy is reached,
# 5. wear and refresh.
#
# Which comparisons hold, between devices and with digital hardware, is the subject of notebook 12.
#
# With MNIST at hand (`NEUROSIM_DATA`) it is used, otherwise the digits bundled with scikit-learn. A demonstration on few
# images: accuracies are those of short trainings.

# %%
import os
import tempfile
import textwrap
import time
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
BLUE, RED, GREEN, GREY = "C0", "C1", "C2", "#b8b8b8"

warnings.simplefilter("ignore", ns.cautions.ClippingWarning)  # converters are set anew every hundred updates
plt.style.use("neurosim.report.notebook")
try:
    data = ns.data.load("digits" if QUICK else "mnist")
except ns.errors.DataError:
    data = ns.data.load("digits")
print(data.note)


def text(joules):
    """Joules with a prefix."""
    for scale, prefix in ((1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f")):
        if joules >= scale:
            return f"{joules / scale:.3g} {prefix}J"
    return f"{joules:.2g} J"


# %% [markdown]
# ## 1. What was counted
#
# One layer of SoftHebb learns on three cards, in three ways to write: `batch sum` (mode `accumulate`) forms the outer
# product of a mini-batch digitally and rounds it to pulses, `pulse trains` (mode `online`) let pulses on both lines
# coincide in the cell, sample by sample, and `accumulator` (mode `mixed`) keeps a digital number for each weight and
# gives a pulse when a whole one is due. With `curve_points` the counts are kept at each look at the curve as well.
# PCM's controller counts pulses by a nominal step of 1.1 µS, as in the kept studies of this card, so that figures compare (the card says
# 0.75); the devices stay those of the card, and get fewer pulses for the same change.

# %%
DEVICES = {
    "PCM": {"device": "pcm-nandakumar-2018", "window": 1.0, "parameters": {"nominal_set_step_uS": 1.1}},
    "RRAM": {"device": "rram-hfo2-gong-2018"},
    "ECRAM": {"device": "ecram-li-tang-2018"},
}
WAYS = {"batch sum": "accumulate", "pulse trains": "online", "accumulator": "mixed"}
COLOUR = {"PCM": BLUE, "RRAM": RED, "ECRAM": GREEN}
arms = [
    {"name": f"{name}: {way}", "mode": mode, **settings}
    for name, settings in DEVICES.items()
    for way, mode in WAYS.items()
]
SMALL = {
    "dataset": data.name,
    "train_images": 400 if QUICK else 2000,
    "test_images": 200 if QUICK else 1000,
    "neurons": 40 if QUICK else 100,
    "seeds": 2 if QUICK else 3,
    "readout_epochs": 5,
}
with tempfile.TemporaryDirectory() as folder:
    results = ns.compare(ns.DenseExperiment(arm=arms, curve_points=12, **SMALL), folder)
display(results.plot("accuracy"))

# %% [markdown]
# What one run of each way counted, on ECRAM. Evaluation is not in it: looking is not learning.

# %%
COUNTS = {
    "input vectors read": "reads",
    "conversions of forward reads": "conversions",
    "conversions that serve updates": "readback_conversions",
    "pulses": "pulses",
    "pulses without effect": "pulses_lost",
    "cells along pulsed lines": "pulse_line_cells",
    "pulse trains": "trains",
    "products formed digitally": "macs",
    "products that follow the norms": "norm_macs",
    "accesses of accumulators": "memory_accesses",
}
first = {arm: next(run for run in results["runs"] if run["arm"] == arm) for arm in results.arms[1:]}
layer = {way: first[f"ECRAM: {way}"]["events"][0] for way in WAYS}
one = layer["batch sum"]
print(
    f"{one['device']}: {one['rows']} x {one['cols']} weights of two devices; a pulse of {one['pulse_up'][0]:g} V and"
)
print(
    f"{1e9 * one['pulse_up'][1]:g} ns, reads of {one['read_voltage_V']:g} V and {1e9 * one['integration_time_s']:g} ns\n"
)
print(f"{'':34}" + "".join(f"{way:>15}" for way in WAYS))
for words, count in COUNTS.items():
    print(f"{words:34}" + "".join(f"{layer[way]['counts'][count]:>15,.0f}" for way in WAYS))

# %% [markdown]
# ## 2. Two price lists
#
# A list says what one event of each kind costs, with a range, a node, a source and a mark: *measured*, *published*,
# *computed*, *assumed*, *from memory*. The table sets two side by side.

# %%
LISTS = ("hermes-14nm", "generic-28nm")
lists = {name: ns.energy.price_list(name) for name in LISTS}
print(f"{'':8}" + "".join(f"{name:>44}" for name in LISTS))
for component in ("adc", "dac", "line", "train", "mac", "memory", "neuron"):
    cells = ""
    for prices in lists.values():
        unit = prices.cost_of(component, 8, 4.0 * one["rows"] * one["cols"] if component == "memory" else 0.0)
        if unit is None:
            cells += f"{'no price':>44}"
            continue
        scale, prefix = (1e12, "p") if unit.unit == "J" else (1e15, "f")
        value, low, high = (f"{scale * end:.2g}" for end in (unit.value, unit.low, unit.high))
        cells += f"{f'{value} {prefix}{unit.unit} ({low} to {high}, {unit.mark})':>44}"
    print(f"{component:8}{cells}")

# %%
costs = results.costs(*LISTS)
display(costs.only("PCM: batch sum", "RRAM: batch sum", "ECRAM: batch sum").plot()["where"])
for told in costs.only("ECRAM: batch sum").sentences():
    print(textwrap.fill(told, 118), "\n")

# %% [markdown]
# No device stands alone in such a sentence: whoever quotes it quotes the periphery, the digital work, the range and the
# share that is assumed. What happened and has no price is named, since nothing is zero in silence; pulse trains need
# drivers that neither list prices. A strict bill refuses joules that rest on assumed or remembered numbers:

# %%
try:
    results.costs("generic-28nm", strict=True)
except ns.energy.AssumedError as error:
    print(textwrap.fill(textwrap.shorten(str(error), 700, placeholder=" ..."), 118))

# %% [markdown]
# What an update comes to depends on what is meant by it. A bill has the units that can be compared; an *effective pulse* is
# all that learning costs beside forward reads, for each pulse that took effect.

# %%
UNITS = {
    "sample": "sample",
    "synapse and sample": "synapse_and_sample",
    "effective pulse": "effective_pulse",
    "inference": "inference",
}
samples = costs[0].samples
print(f"{'':24}{'prices':14}" + "".join(f"{words:>20}" for words in UNITS))
for each in costs.only(*(f"{name}: batch sum" for name in DEVICES)):
    per = each.bill.per(each.samples)
    print(
        f"{each.arm:24}{each.bill.prices:14}" + "".join(f"{text(per[unit]):>20}" for unit in UNITS.values())
    )

# %% [markdown]
# Where the joules of one arm go, line by line, the largest first:

# %%
bill = next(
    each for each in costs.only("ECRAM: batch sum") if each.bill.prices == "generic-28nm"
).bill.learnt()
print(f"{'phase':10}{'kind':11}{'what':26}{'a sample':>10}{'low':>10}{'high':>10}   of the joules")
for (phase, kind, what), (joules, low, high) in list(bill.where("phase", "kind", "what").items())[:9]:
    ends = "".join(f"{text(end / samples):>10}" for end in (joules, low, high))
    print(f"{phase:10}{kind:11}{what:26}{ends}{100 * joules / bill.joules:>13.1f} %")

# %% [markdown]
# ## 3. Prices swapped live
#
# A price list is an object. Change what you know better, and price the kept run again. (A list of one's own may lie in a
# TOML file as well: `results.costs("mine.toml")`, or `neurosim energy DIR --prices mine.toml`.)


# %%
def term(value, unit="J", low=None, high=None, mark="assumed", source="what if", **more):
    """One price."""
    low, high = value if low is None else low, value if high is None else high
    return (ns.energy.Price(value=value, low=low, high=high, unit=unit, source=source, mark=mark, **more),)


BASE = lists["generic-28nm"]


def changed(name, **terms):
    """The generic list with some of its prices replaced."""
    return BASE.changed(name=name, prices={**BASE.prices, **terms})


short = ns.energy.Pulse(voltage_V=3.0, width_s=10e-9, source="what if", mark="assumed")
WHAT_IF = {
    "as the list has it": BASE,
    "ADC ten times dearer": changed("adc", adc=term(13.3e-12)),
    "lines of 2.1 fF a cell": changed("line", line=term(2.1e-15, "F")),
    "multiply-add of 20 fJ": changed("mac", mac=term(20e-15)),
    "pulses of 3 V and 10 ns": BASE.changed(name="pulse", pulse_up=short, pulse_down=short),
    "10 fJ a slot of a train": changed("train", train=term(10e-15)),
}
started = time.perf_counter()
swapped = results.costs(*WHAT_IF.values())
took_ms = 1e3 * (time.perf_counter() - started)
limit = next(limit for limit in (20, 100, 1000, 10_000) if took_ms / len(swapped) < limit)
print(f"{len(swapped)} bills of {len(first)} arms, each in less than {limit} ms\n")
SHOWN = [f"{name}: {way}" for name in DEVICES for way in ("batch sum", "pulse trains")]
for line in zip(*(arm.split(": ") for arm in SHOWN), strict=True):
    print(f"{'':26}" + "".join(f"{word:>14}" for word in line))
for words, prices in WHAT_IF.items():
    row = {each.arm: each for each in swapped if each.bill.prices == prices.name}
    print(f"{words:26}" + "".join(f"{text(row[arm].bill.learnt().joules / samples):>14}" for arm in SHOWN))
print("\njoules of learning a sample")

# %% [markdown]
# A shorter pulse of a higher voltage saves joules in the cell, which go with $V^2 t$, and takes more on the lines that it
# charges, which go with $V^2$ whatever the width. On ECRAM, whose cells take next to nothing, the lines decide.
#
# Bills are linear in each price, so two lists give the whole line. How much of the joules do multiply-adds
# take as these become cheaper, and converters as these become dearer?

# %%
MAC = np.geomspace(1e-15, 1e-12, 13 if QUICK else 25)
ADC = np.geomspace(1e-13, 1e-10, 13 if QUICK else 25)
PANELS = (
    ("mac", MAC, ("multiply and add", "following the norms", "the rule's answers"), "multiply-adds"),
    ("adc", ADC, ("ADC",), "converters"),
)
figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
for axes, (component, values, names, words) in zip(panels, PANELS, strict=True):
    found = results.costs(*(changed(f"{value:g}", **{component: term(value)}) for value in values))
    for name in DEVICES:
        for way, style in (("batch sum", "-"), ("pulse trains", "--")):
            shares = []
            for each in found.only(f"{name}: {way}"):
                learnt = each.bill.learnt()
                part = learnt.total(lambda line, names=names: line.what in names)[0]
                shares.append(100 * part / learnt.joules)
            axes.plot(1e12 * values, shares, style, color=COLOUR[name], label=f"{name}, {way}")
    listed = BASE.cost_of(component, 8)
    axes.axvspan(
        1e12 * listed.low, 1e12 * listed.high, color=GREY, alpha=0.35, lw=0, label="range of the list"
    )
    axes.axvline(1e12 * listed.value, color="black", lw=1, ls=":", label="generic-28nm")
    axes.axhline(50, color="black", lw=0.8)
    axes.set(xscale="log", ylim=(0, 100), title=f"What {words} take of the joules of learning")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
panels[0].set(xlabel="price of a multiply-add, pJ", ylabel="share of the joules, %")
panels[1].set(xlabel="price of a conversion of 8 bits, pJ")
plt.show()

# %% [markdown]
# The price at which multiply-adds are half of all, everything else as listed:

# %%
free = results.costs(changed("free", mac=term(0.0)))
print(f"{'':24}{'products':>12}{'norms':>12}{'all else a sample':>20}{'half at':>12}{'listed':>12}")
for each in free:
    counted = {line.what: line.count for line in each.bill.lines if line.kind == "digital"}
    number = sum(counted.get(what, 0.0) for what in PANELS[0][2]) / samples
    rest = each.bill.learnt().joules / samples
    outer, norms = (counted.get(what, 0.0) / samples for what in PANELS[0][2][:2])
    print(
        f"{each.arm:24}{outer:>12,.0f}{norms:>12,.0f}{text(rest):>20}{text(rest / number):>12}{text(BASE.cost_of('mac').value):>12}"
    )

# %% [markdown]
# Pulse trains form no outer product digitally; what remains of their digital work follows the norms that the decay of
# SoftHebb needs. The price of the last column but one is where multiply-adds, of the outer product and of the norms, stop
# dominating: below it, devices, converters and the memory of accumulators are the larger part.

# %% [markdown]
# ## 4. Joules and seconds until an accuracy is reached
#
# The accuracy followed is that of the vote on training images. The table says what had been spent when 95 and 99 % of the
# last look's accuracy were first seen, start programming left out.

# %%
generic = results.costs("generic-28nm")
order = [each for each in generic if each.reached]
print(f"{'':24}{'95 % is':>9}{'reached by':>12}{'images':>9}{'joules':>11}{'range':>24}{'seconds':>11}")
for each in order:
    goal = each.reached[0]
    if not goal.images:
        print(f"{each.arm:24} comes to no more than its start")
        continue
    print(
        f"{each.arm:24}{100 * goal.accuracy:>7.1f} %{f'{goal.seeds} of {goal.of}':>12}{goal.images:>9,.0f}{text(goal.joules):>11}"
        f"{text(goal.low) + ' to ' + text(goal.high):>24}{goal.seconds:>11.2g}"
    )
display(generic.plot()["tradeoff"])
for by in ("joules", "seconds"):
    print(f"nothing beats, by {by}: {', '.join(each.arm for each in generic.best(by))}")

# %% [markdown]
# Each arm has its own goal here, 95 % of what it comes to itself; `neurosim.study.priced.to_reach(runs, prices,
# accuracy=0.8)` asks for one accuracy of all. The line joins arms that nothing beats: none costs less and is at least as
# accurate. Differences in accuracy are those of short trainings with few seeds, so neighbours on it may change places.
#
# ## 5. Wear and refresh
#
# Every device has a counter of its pulses. The busiest ones go first, so the mean says little. None of these cards states an
# endurance; as an assumption, a device stands a million pulses, the logarithm spread by a half between devices.

# %%
ENDURANCE, SPREAD = 1e6, 0.5
figure, axes = plt.subplots(figsize=(10, 4.6), layout="constrained")
print(
    f"{'pulses a device':24}{'mean':>10}{'busiest 1 %':>13}{'busiest':>10}{'epochs until 1 % are worn':>28}"
)
for each in generic:
    name, way = each.arm.split(": ")
    wear = replace(each.wear[0], endurance=ENDURANCE, spread=SPREAD)
    pulses = wear.device_pulses()
    style = dict(zip(WAYS, ("-", "--", ":"), strict=True))[way]
    axes.plot(
        np.maximum(pulses, 0.3),
        100 * (1 - np.arange(len(pulses)) / len(pulses)),
        style,
        color=COLOUR[name],
        label=each.arm,
    )
    epochs = wear.epochs_until(0.01)
    print(
        f"{each.arm:24}{wear.mean:>10.3g}{np.quantile(pulses, 0.99):>13.3g}{wear.most:>10.3g}{epochs:>28,.0f}"
    )
axes.set(
    xscale="log",
    yscale="log",
    ylim=(0.05, 110),
    xlabel="pulses of learning and refresh in one epoch (0 drawn at 0.3)",
)
axes.set_ylabel("devices with at least so many, %")
figure.legend(ncols=3, loc="outside lower center")
axes.set_title("How pulses are spread over the devices")
plt.show()

# %% [markdown]
# PCM is SET step by step and RESET all at once: a pair whose devices are both high is RESET and written anew. The default
# controller looks every 50 updates and refreshes where a device is above three quarters of its window; an early one looks
# every 10 and refreshes above a half. What that takes in a year that goes on like the run, without pause:

# %%
CONTROLLERS = {"default": {}, "early": {"every": 10, "high": 0.5}}
with tempfile.TemporaryDirectory() as folder:
    refreshing = ns.compare(
        ns.DenseExperiment(
            arm=[
                {"name": f"PCM: {name}", "mode": "accumulate", "write": {"refresh": given}, **DEVICES["PCM"]}
                for name, given in CONTROLLERS.items()
            ],
            curve_points=0,
            **SMALL,
        ),
        folder,
        ideal=False,
    )
print(
    f"{'refresh':14}{'accuracy':>10}{'pairs refreshed':>17}{'of the joules':>15}{'images a second':>17}{'J a year':>10}"
)
for each in refreshing.costs(BASE):
    runs = [run for run in refreshing["runs"] if run["arm"] == each.arm]
    pairs = np.mean([run["events"][0]["counts"]["refreshed_pairs"] for run in runs])
    learnt = each.bill.learnt()
    share = 100 * learnt.total(lambda line: line.phase == "refresh")[0] / learnt.joules
    rate = samples / each.times.learning_s
    print(
        f"{each.arm:14}{100 * each.accuracy:>8.1f} %{pairs:>17,.0f}{share:>13.1f} %{rate:>17,.0f}{each.refresh_J_per_year:>10,.0f}"
    )

# %% [markdown]
# Whether an earlier look is worth its joules, accuracy has to say, and here few seeds say it: how early one must look depends on how
# fast pairs climb.
#
# ## An exercise
#
# By how much must conversions become cheaper before devices and lines together are half of what a sample of learning takes, with batch sums
# on ECRAM?
#
# *Hint:* `changed("cheap", adc=term(...))` makes a list with another ADC, and `each.bill.learnt().total(lambda line: ...)` sums chosen
# lines: their `what` names the part, as in the table of section 2. Bills are linear in each price, so two lists are enough to
# solve for it. If no price of the converter suffices, say what stands in the way.
