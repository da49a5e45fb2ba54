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
# # Which comparison of energies holds?
#
# "Device A learns with less energy than device B", "the array beats the GPU": sentences that rest on prices which are partly
# assumed, on bits that were chosen, and on what is left out. This page takes the counts of one training (as notebook 07 makes
# them) and asks of each comparison whether it survives.
#
# 1. bits of the ADC: joules against accuracy,
# 2. the same step on digital hardware, and with exact gradients,
# 3. sums of components against measured chips,
# 4. which order of devices survives the ranges.
#
# With MNIST at hand (`NEUROSIM_DATA`) it is used, otherwise the digits bundled with scikit-learn. A demonstration on few
# images: accuracies are those of short trainings. Joules are those of learning with periphery, unless a line says "devices
# alone", and a lower bound: clock, control and leakage have no price.

# %%
import os
import tempfile
import textwrap
import warnings
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np

import neurosim as ns
from neurosim.energy.digital import digital, weight_transport
from neurosim.energy.stacks import stack

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
BLUE, RED, GREEN, PURPLE, ORANGE, SKY, WINE, OLIVE = (f"C{k}" for k in range(8))
GREY = "#b8b8b8"

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
# One layer of SoftHebb on three cards, each written in three ways (notebook 07 explains them), and the
# control: what the readout says of the same arrays before they learn. PCM's controller counts pulses by a nominal step of 1.1 µS, as in the kept studies of this card, so that
# figures compare (the card says 0.75); the devices stay those of the card, and
# get fewer pulses for the same change.

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
    results = ns.compare(ns.DenseExperiment(arm=arms, curve_points=0, **SMALL), folder)
LISTS = ("hermes-14nm", "generic-28nm")
BASE = ns.energy.price_list("generic-28nm")
costs = results.costs(*LISTS)
generic = results.costs("generic-28nm")
samples = costs[0].samples
first = {arm: next(run for run in results["runs"] if run["arm"] == arm) for arm in results.arms[1:]}
one = first["ECRAM: batch sum"]["events"][0]
print(f"{'readout, %':24}{'learnt':>10}{'untrained':>12}{'learning a sample':>20}")
bills = {each.arm: text(each.bill.learnt().joules / samples) for each in generic}
for entry in results["summary"]:
    cells = (100 * entry[f"{key}_mean"] for key in ("accuracy", "untrained_accuracy"))
    print(f"{entry['arm']:24}{next(cells):>10.1f}{next(cells):>12.1f}{bills.get(entry['arm'], ''):>20}")

# %% [markdown]
# ## 1. Bits of the ADC
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
plt.show()

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
# ## 2. The same step on digital hardware
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
plt.show()

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
# ## 3. Measured chips
#
# How far may sums of components be trusted? Two chips have been measured. Each bar is what components come to as a share
# of the measured energy of a multiply-accumulate; the rest is unexplained, and no constant is fitted to hide it. So an
# array's bar above is a floor as well, and these chips tell how far below the truth it may lie.

# %%
chips = [stack("neurram", bits=bits) for bits in (1, 6, 8)] + [
    stack("hermes", phases=phases) for phases in (1, 4)
]
whats = list(dict.fromkeys(part.what.split(",")[0] for chip in chips for part in chip.parts))
tints = dict(zip(whats, (BLUE, GREEN, RED, PURPLE, ORANGE, SKY, WINE, OLIVE), strict=False))
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
plt.show()
for chip in chips:
    low, high = (end / chip.measured_J for end in chip.total[1:])
    print(f"{chip.chip:52} components / measured {chip.ratio:.2f} ({low:.2f} to {high:.2f})")

# %% [markdown]
# ## 4. What survives the ranges
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
plt.show()

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
# not won (notebook 07).
#
# ## An exercise
#
# Somebody claims: "an ECRAM array learns a sample with less energy than a digital chip at 7 nm". Find the price of a single component that
# decides the sentence, and the value at which it turns over.
#
# *Hint:* the bars of section 2 give both sides, each with its range; `BASE.changed(name=..., prices={**BASE.prices, ...})` gives a list with one
# price replaced, and `ns.energy.Price(value=..., low=..., high=..., unit="J", source="what if", mark="assumed")` a price. The largest line of
# the array's bill (`bill.where("what")`) is the one to try first. What does the sentence leave out that section 3 shows?
