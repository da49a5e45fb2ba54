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
# 4. bits of the ADC: joules against accuracy,
# 5. joules and seconds until an accuracy is reached,
# 6. wear and refresh,
# 7. the same step on digital hardware, exact gradients, and measured chips,
# 8. which order of devices survives the ranges.
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
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import neurosim as ns
from neurosim.energy.digital import digital, weight_transport
from neurosim.energy.stacks import stack

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
BLUE, RED, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, WINE, GREY = "#e69f00", "#56b4e9", "#882255", "#b8b8b8"

warnings.simplefilter("ignore", ns.cautions.ClippingWarning)  # converters are set anew every hundred updates
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

# %%
DEVICES = {
    "PCM": {
        "device": "pcm-nandakumar-2018",
        "window": 1.0,
        "parameters": {"nominal_set_step_uS": 1.1},
    },
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
#
# ## 4. Bits of the ADC
#
# The same counts at other widths are priced at once. The list holds the converters of its survey: what it does not have
# it does not invent.

# %%
arm = "ECRAM: batch sum"
print(f"{arm}, the same counts\nbits{'ADC a sample':>14}{'range':>24}{'all a sample':>14}   without a price")
priced_at = {}
for bits in range(4, 11):
    events = [{**each, "adc_bits": bits} for each in first[arm]["events"]]
    at = ns.price(events, BASE, sources=results["devices"][arm]["numbers"]).learnt()
    adc, low, high = (end / samples for end in at.total(lambda line: line.what == "ADC"))
    missing = [what for what in at.not_priced if "bits" in what]
    priced_at[bits] = None if missing else (adc, low, high)
    told = (
        f"{text(adc):>14}{text(low) + ' to ' + text(high):>24}{text(at.joules / samples):>14}"
        if not missing
        else f"{'':52}"
    )
    print(f"{bits:>4}{told}   {', '.join(missing)}")

# %% [markdown]
# What fewer bits do to the accuracy only a training knows: a sweep, each level with counts of its own.

# %%
BITS = (4, 6, 8) if QUICK else (4, 5, 6, 8, 10)
swept_arms = [{"name": name, "mode": "accumulate", **DEVICES[name]} for name in ("PCM", "ECRAM")]
with tempfile.TemporaryDirectory() as folder:
    swept = ns.sweep(
        ns.DenseExperiment(arm=swept_arms, curve_points=0, **SMALL),
        folder,
        [f"adc_bits={','.join(map(str, BITS))}"],
    )
found = swept.costs(BASE)
figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
known = {bits: ends for bits, ends in priced_at.items() if ends}
panels[0].fill_between(
    list(known), *(np.array([ends[k] for ends in known.values()]) * 1e9 for k in (1, 2)),
    color=GREEN, alpha=0.2, lw=0, label="range of the list",
)  # fmt: skip
panels[0].plot(list(known), [1e9 * ends[0] for ends in known.values()], "o-", color=GREEN, label=arm)
panels[0].set(ylim=(0, None), xlabel="bits of the ADC", ylabel="joules of the ADC a sample, nJ")
panels[0].set_title("The same counts at other widths")
panels[0].legend(loc="upper left")
for name in ("PCM", "ECRAM"):
    points = []
    for each in found.only(name):
        level = next(iter(each.levels.values()))
        rows = [
            row["accuracy"]
            for row in swept["rows"]
            if row["arm"] == name and row[next(iter(each.levels))] == level
        ]
        joules = 1e9 * each.bill.learnt().joules / each.samples
        points.append((joules, 100 * each.accuracy))
        panels[1].errorbar(
            *points[-1], yerr=100 * np.std(rows, ddof=1), fmt="o", color=COLOUR[name], capsize=3, lw=1
        )
        beside = (-16, -9) if level == 6 else (7, 4)
        panels[1].annotate(
            f"{level}", points[-1], textcoords="offset points", xytext=beside, color=COLOUR[name]
        )
    panels[1].plot(*zip(*points, strict=True), "-", lw=1.2, color=COLOUR[name], label=f"{name}, batch sum")
panels[1].set(xlabel="joules of learning a sample, nJ", ylabel="accuracy of the readout, %")
panels[1].legend(loc=(0.21, 0.4))
panels[1].margins(x=0.1)
panels[1].set_title("Learnt at so many bits; bars: deviation of seeds")

# %% [markdown]
# A layer that sees too little need not cost less: what it forms, pulses and reads back changes with its answers. Counts of a
# sample, means over seeds:

# %%
field = swept["axes"][0]["field"]
print(f"{'':8}{'bits':>6}{'products':>12}{'pulses':>10}{'ADC':>10}{'all':>10}{'accuracy':>12}")
for each in sorted(found, key=lambda each: each.arm):
    rows = [row for row in swept["rows"] if (row["arm"], row[field]) == (each.arm, each.levels[field])]
    products, given = (
        np.mean([row["events"][0]["counts"][name] for row in rows]) for name in ("macs", "pulses")
    )
    learnt = each.bill.learnt()
    adc = learnt.total(lambda line: line.what == "ADC")[0]
    print(
        f"{each.arm:8}{each.levels[field]:>6}{products / samples:>12,.0f}{given / samples:>10,.0f}"
        f"{text(adc / samples):>10}{text(learnt.joules / samples):>10}{100 * each.accuracy:>10.1f} %"
    )

# %% [markdown]
# ## 5. Joules and seconds until an accuracy is reached
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
# ## 6. Wear and refresh
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
# ## 7. The same step on digital hardware
#
# A local step has two matrix products, forward and the outer product; weights are read and written once a mini-batch of 32.
# Both sides are sums of components: clock, control, buffers and moving data are in neither, and a GPU at its peak rate
# and power limit is a floor that a layer of this size never reaches.

# %%
SHAPE = [(one["rows"], one["cols"])]
bars = []
for name in DEVICES:
    each = next(found for found in generic if found.arm == f"{name}: batch sum")
    bars.append(
        (f"{name} array, batch sum", [end / samples for end in each.bill.learnt().total()], COLOUR[name])
    )
    exact = weight_transport(first[each.arm]["events"], BASE)
    ends = [(a + b) / samples for a, b in zip(each.bill.learnt().total(), exact.total(), strict=True)]
    bars.append((f"{name} array, exact gradients", ends, COLOUR[name]))
for prices, colour in (("digital-45nm", ORANGE), ("digital-7nm", SKY)):
    for precision in ("int8", "bf16", "fp32"):
        twin = digital(SHAPE, precision, prices, step="local", batch=32)
        bars.append((f"{prices}, {precision}", twin.total(), colour))
floor = digital(SHAPE, "bf16", "gpu-h100", step="local", batch=32)
bars.append(("gpu-h100, bf16, a floor", floor.total(), GREY))
figure, axes = plt.subplots(figsize=(10, 4.6), layout="constrained")
for place, (words, (joules, low, high), colour) in enumerate(bars):
    axes.barh(place, 1e9 * joules, 0.65, color=colour, alpha=0.55 if "exact" in words else 1.0)
    axes.plot([1e9 * low, 1e9 * high], [place, place], color="#222222", lw=1.3, marker="|", ms=7)
    axes.annotate(
        text(joules), (1e9 * max(high, joules), place), xytext=(6, 0), textcoords="offset points", va="center"
    )
axes.set_yticks(range(len(bars)), [words for words, _, _ in bars])
axes.set(xscale="log", xlabel="joules of a learning step of one sample, nJ; black: known range")
axes.set_xlim(right=3 * max(1e9 * high for _, (_, _, high), _ in bars))
axes.invert_yaxis()
axes.grid(visible=False, axis="y")
axes.set_title(f"One layer of {one['rows']} x {one['cols']}, arrays at generic-28nm")

# %% [markdown]
# Pale: the same step with what exact gradients would add to it, a second read direction with converters, the outer
# product of every sample, and program-and-verify of every pulsed cell. The additions alone, as sentences:

# %%
print(
    textwrap.fill(digital(SHAPE, "int8", "digital-7nm", batch=32).sentence(1, "the digital twin, int8"), 118),
    "\n",
)
for name in DEVICES:
    extra = weight_transport(first[f"{name}: batch sum"]["events"], BASE)
    print(textwrap.fill(f"{name}, added by exact gradients: {extra.sentence(samples)}", 118), "\n")

# %% [markdown]
# How far may sums of components be trusted? Two chips have been measured. Each bar is what components come to as a share
# of the measured energy of a multiply-accumulate; the rest is unexplained, and no constant is fitted to hide it. So an
# array's bar above is a floor as well, and these chips tell how far below the truth it may lie.

# %%
chips = [stack("neurram", bits=bits) for bits in (1, 6, 8)] + [
    stack("hermes", phases=phases) for phases in (1, 4)
]
whats = list(dict.fromkeys(part.what.split(",")[0] for chip in chips for part in chip.parts))
tints = dict(zip(whats, (BLUE, GREEN, RED, PURPLE, ORANGE, SKY, WINE, "#999933"), strict=False))
figure, axes = plt.subplots(figsize=(10, 3.4), layout="constrained")
for place, chip in enumerate(chips):
    start = 0.0
    for part in chip.parts:
        share = 100 * part.joules / chip.measured_J
        axes.barh(place, share, 0.62, left=start, color=tints[part.what.split(",")[0]])
        start += share
    axes.barh(place, 100 - start, 0.62, left=start, color="white", edgecolor=GREY, hatch="////", lw=0.8)
    axes.annotate(
        f"measured {text(chip.measured_J)}",
        (100, place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
    )
for what, colour in tints.items():
    axes.barh([0], [0], color=colour, label=what)
axes.barh([0], [0], color="white", edgecolor=GREY, hatch="////", label="unexplained")
axes.set_yticks(
    range(len(chips)), [chip.chip.replace(", 8 bits,", ",").replace(", 130 nm RRAM", "") for chip in chips]
)
axes.set(
    xlim=(0, 122), xticks=range(0, 101, 20), xlabel="share of the measured joules of a multiply-accumulate, %"
)
axes.invert_yaxis()
axes.grid(visible=False, axis="y")
figure.legend(loc="outside lower center", ncols=5)
for chip in chips:
    low, high = (end / chip.measured_J for end in chip.total[1:])
    print(f"{chip.chip:52} components / measured {chip.ratio:.2f} ({low:.2f} to {high:.2f})")

# %% [markdown]
# ## 8. What survives the ranges
#
# *A pulse of ECRAM takes less than one of RRAM, and that less than one of PCM*: in a simulation this is an input. The cell
# prints a pulse of every card that learns pulse by pulse, upwards and in mid window, from the card's own voltage, current
# and time.


# %%
def pulse_J(law):
    """Joules of a pulse upwards in mid window; None of a law that is programmed, not pulsed."""
    if getattr(law, "gate_energy_J", None):
        return law.gate_energy_J
    if getattr(law, "set_current_A", None):
        return law.set_voltage_V * law.set_current_A * law.set_time_s
    if not hasattr(law, "write_energy_per_uS"):
        return None
    return law.write_voltage_V**2 * law.write_time_s * 0.5e-6 * (law.g_min_uS + law.g_max_uS)


pulses = {name: {} for name in DEVICES}
for card in ns.devices.cards():
    technology, joules = card.split("-")[0].upper(), pulse_J(ns.devices.load(card))
    if technology in pulses and joules is not None:
        pulses[technology][card] = joules
pulses = {
    technology: dict(sorted(found.items(), key=lambda pair: pair[1])) for technology, found in pulses.items()
}
for technology, found in pulses.items():
    print(
        textwrap.fill(
            f"{technology}: {', '.join(f'{card} {text(joules)}' for card, joules in found.items())}", 118
        )
    )

# %% [markdown]
# Cards of RRAM and of PCM lie further apart among themselves than the two technologies do. The cards of ECRAM agree
# because they share one assumption, 5 fJ at the gate without any periphery, for which the card itself says 1 to 10 fJ. So besides the two price lists,
# a third bill lets a pulse cost anything between the extremes of its technology.

# %%
SPANS = {name: (min(found.values()), max(found.values())) for name, found in pulses.items()}
SPANS["ECRAM"] = (1e-15, 10e-15)


def any_card(name):
    """The generic list, a pulse anywhere among those of its technology."""
    low, high = SPANS[name]
    joules = pulses[name][DEVICES[name]["device"]]
    pulse = ns.energy.Pulse(
        joules=joules, low=low, high=high, source="all cards of the technology", mark="assumed"
    )
    return BASE.changed(name="any card's pulse", pulse_up=pulse, pulse_down=pulse)


rows = []
for name in DEVICES:
    for each in results.costs(*LISTS, any_card(name)).only(f"{name}: batch sum"):
        rows.append((name, each.bill.prices, each.bill.learnt()))
figure, panels = plt.subplots(
    1, 3, figsize=(12, 4), layout="constrained", width_ratios=(2, 2, 3), sharey=True
)
SIGNS = dict(zip(dict.fromkeys(prices for _, prices, _ in rows), ("o", "s", "D"), strict=True))
for place, name in enumerate(DEVICES):
    used = DEVICES[name]["device"]
    others = [joules for card, joules in pulses[name].items() if card != used]
    panels[0].plot(others, [place] * len(others), "o", mfc="none", color=COLOUR[name])
    panels[0].plot(pulses[name][used], place, "o", color=COLOUR[name])
    own = [(prices, bill) for which, prices, bill in rows if which == name]
    panels[1].plot(own[0][1].device_J / samples, place, "o", color=COLOUR[name])
    for (prices, bill), offset in zip(own, (-0.22, 0.0, 0.22), strict=True):
        total, low, high = (end / samples for end in bill.total())
        panels[2].plot([low, high], [place + offset] * 2, color=COLOUR[name], lw=1.6, marker="|", ms=8)
        panels[2].plot(total, place + offset, SIGNS[prices], color=COLOUR[name], ms=5)
for prices, sign in SIGNS.items():
    panels[2].plot([], [], sign, color="#666666", label=prices)
figure.legend(loc="outside lower center", ncols=3)
TITLES = ("A pulse; filled: the card used", "Devices alone, a sample", "All of it, a sample, with range")
for axes, title in zip(panels, TITLES, strict=True):
    axes.set(xscale="log", title=title, xlabel="joules")
panels[1].set_xlim(*(np.array(panels[1].get_xlim()) * (0.3, 3)))
panels[0].set(yticks=range(len(DEVICES)), yticklabels=list(DEVICES), ylim=(len(DEVICES) - 0.5, -0.5))
figure.suptitle(
    f"One layer of {one['rows']} x {one['cols']}, batch sum; ranges are those that somebody states"
)

# %%
for prices in SIGNS:
    print(f"{prices}:")
    mine = [(name, bill) for name, which, bill in rows if which == prices]
    for name, bill in mine:
        total, low, high = (text(end / samples) for end in bill.total())
        print(
            f"  {name:6}{total:>10} ({low} to {high}), for {100 * bill.unranged_share:.0f} % no range is known"
        )
    for (one_name, a), (other, b) in combinations(mine, 2):
        overlap = a.total()[1] <= b.total()[2] and b.total()[1] <= a.total()[2]
        print(f"  {one_name} and {other}: ranges {'overlap' if overlap else 'are apart'}")

# %% [markdown]
# The order of pulses is not the order of trainings: a device of fine steps takes many pulses for the same change. Ranges as
# stated leave out what nobody states, which is most of the joules of this RRAM; with the spread of its technology no two
# ranges are apart.
#
# Ranges that overlap hide what two arms share: the same multiply-add is not cheap in one and dear in the other. So, last, paired
# comparisons: of how many of two lists, each with all its lows, values and highs, does a sentence hold?

# %%
CLAIMS = [
    ("ECRAM: batch sum", "PCM: batch sum"),
    ("ECRAM: batch sum", "RRAM: batch sum"),
    ("RRAM: batch sum", "PCM: batch sum"),
    *((f"{name}: batch sum", f"{name}: accumulator") for name in DEVICES),
    *((f"{name}: pulse trains", f"{name}: batch sum") for name in DEVICES),
]
ends = {(each.arm, each.bill.prices): each.bill.learnt().total() for each in costs}
for less, more in CLAIMS:
    held = [a < b for prices in LISTS for a, b in zip(ends[less, prices], ends[more, prices], strict=True)]
    print(f"{less + ' takes less than ' + more:52} {sum(held)} of {len(held)}")

# %% [markdown]
# What survives here is a statement about the work beside the arrays: an accumulator in memory takes more than rounding at once,
# on every device. Whether pulse trains save anything depends on the device and on what lines cost; which of two technologies
# takes less depends on the cards that stand for them. Accuracy is another column: an arm that takes less and learns less has
# not won (section 5).
