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
# # Wires and converters
#
# Between a stored weight and the number that leaves the array stand wires, amplifiers and converters. What
# does each of them cost, how large may an array be, and does a layer learn around it?
#
# 1. what a wire takes, exactly, by place, size, technology node and topology,
# 2. the range of a converter and its bits,
# 3. how inputs are encoded, and weights mapped,
# 4. electronic noise, counted in steps of the converter,
# 5. tiles: error against energy,
# 6. learning through wires.
#
# With MNIST at hand (`NEUROSIM_DATA`) part 6 uses it, otherwise the digits bundled with scikit-learn.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import neurosim as ns

QUICK = os.environ.get("NEUROSIM_QUICK") == "1"
PCM, COARSE = "pcm-nandakumar-2018", "rram-hfo2-om-2022"
TITLE = {"ideal": "ideal", PCM: "PCM", COARSE: "RRAM, coarse steps"}
BLUE, RED, GREEN, PURPLE = "C0", "C1", "C2", "C3"

warnings.simplefilter("ignore", ns.cautions.ClippingWarning)  # clipping is counted and printed below
plt.style.use("neurosim.report.notebook")
draw = np.random.default_rng(0)

# %% [markdown]
# ## 1. What a wire takes
#
# Word lines are driven at the left, bit lines held at 0 V and sensed at the bottom. `effective_conductance`
# solves the whole circuit: with its matrix M, currents are `volts @ M` whatever the input, as with G through
# perfect wires. The map shows what is left of each cell.

# %%
SIZE = 64 if QUICK else 128
g_uS = draw.uniform(1, 25, (SIZE, SIZE))
ENDS = {
    "one driver, one sense input": {},
    "sensed at both ends": {"sense": "double"},
    "driven at both ends": {"drive": "double"},
    "both at both ends": {"drive": "double", "sense": "double"},
}
figure, panels = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for axes, (text, ends) in zip(panels, ENDS.items(), strict=True):
    m_uS = ns.wires.effective_conductance(g_uS, 1.0, 1.0, **ends)
    picture = axes.imshow(100 * m_uS / g_uS, vmin=70, vmax=100, cmap="viridis")
    loss = (g_uS - m_uS).max() / g_uS.max()
    axes.set(title=f"{text}\nworst loss {100 * loss:.1f} % of $G_{{max}}$", xlabel="bit line")
    axes.grid(visible=False)
panels[0].set_ylabel("word line")
figure.colorbar(picture, ax=panels, label="M / G, %")
figure.suptitle(f"{SIZE} × {SIZE} cells of 1 to 25 µS, 1 Ω from cell to cell")
plt.show()

# %% [markdown]
# The loss grows much faster than the array, since more cells send more current through more segments. A
# technology node fixes the ohms: thin wires of dense nodes cannot carry large arrays of conductive devices.

# %%
SIZES = (16, 32, 64) if QUICK else (16, 32, 64, 128, 256)
AT_NODE = {f"{node} nm": ns.Wires.at_node(node).r_word_ohm for node in (45, 22, 7)}
OHMS = {"1 Ω": 1.0, **{f"{node}: {ohm:.2f} Ω": ohm for node, ohm in AT_NODE.items()}}
figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for axes, top_uS in zip(panels, (25.0, 90.0), strict=True):
    for (text, ohm), colour in zip(OHMS.items(), (BLUE, GREEN, RED, PURPLE), strict=True):
        lost = []
        for size in SIZES:
            cells = np.random.default_rng(1).uniform(0.04, 1, (size, size)) * top_uS
            m_uS = ns.wires.effective_conductance(cells, ohm, ohm)
            lost.append(100 * (1 - m_uS.sum() / cells.sum()))
        axes.plot(SIZES, lost, "o-", color=colour, label=text)
    axes.set(title=f"devices up to {top_uS:g} µS", xlabel="word and bit lines", xscale="log")
    axes.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
    axes.set_xticks([], minor=True)
panels[0].set_ylabel("current lost, all inputs on, %")
panels[0].legend(title="cell to cell")
figure.suptitle("How large an array may be")
plt.show()

# %% [markdown]
# ## 2. The range of a converter
#
# An ADC has few codes, and where they lie decides. `full-scale` covers all inputs on and all devices at
# $G_{max}$, which never happens; the default expects what `program` wrote, and `calibrate(x)` measures typical
# inputs once; `granular` makes one code one programming step of one device read by the smallest input. Inputs
# come bit by bit here, each bit converted. Error: RMS of the output's deviation from the stored weights times
# the input, over its RMS.

# %%
ROWS, COLS = 512, 32
weights = draw.normal(0, 0.2, (ROWS, COLS)).clip(-1, 1)
x = draw.uniform(0, 1, (200, ROWS)).astype(np.float32)


def error(array, inputs=x):
    """RMS deviation of forward reads from stored weights times inputs, relative."""
    wanted = inputs @ array.weights()
    return float(np.sqrt(np.mean((array.forward(inputs) - wanted) ** 2) / np.mean(wanted**2)))


def programmed(read=None, device=COARSE, **options):
    """An array with the weights above; read noise off unless asked for."""
    read = ns.ReadPath(**{"read_noise": None, **(read or {})})
    write = options.pop("write", None)
    array = ns.Crossbar((ROWS, COLS), device, seed=0, read=read, write=write, **options)
    array.program(weights)
    return array


BITS = (4, 6, 8, 10, 12)
MODES = {"full-scale": RED, "granular": PURPLE, "as programmed (default)": GREEN, "calibrated": BLUE}
figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
print(f"{'error, %':26}" + "".join(f"{bits:>8} bits" for bits in BITS) + "   clipped at 8 bits, %")
for mode, colour in MODES.items():
    found, clipped = [], 0.0
    for bits in BITS:
        fixed = {"adc_range": mode} if mode in ("full-scale", "granular") else {}
        array = programmed({"encoding": "bit-serial", "dac_bits": 8, "adc_bits": bits, **fixed})
        if mode == "calibrated":
            array.calibrate(x[:50])
        found.append(100 * error(array))
        if bits == 8:
            clipped = 100 * array.ledger.clipped_share
    print(f"{mode:26}" + "".join(f"{value:>13.2f}" for value in found) + f"{clipped:>14.2f}")
    axes.plot(BITS, found, "o-", color=colour, label=mode)
axes.set(yscale="log", xlabel="bits of the ADC", ylabel="RMS error, %", title=f"{ROWS} word lines")
axes.set_xticks(BITS)
_ = axes.legend()
# %% [markdown]
# A granular range is clipped where codes are few, and wastes them where they are many. What is left at many
# bits is the last bit of the inputs.
#
# ## 3. Encoding and mapping
#
# An input can be the height of a read pulse, its length, or its bits one after the other, each converted on
# its own and shifted digitally: no DAC, but more conversions. Joules of a read are with periphery, a lower bound. A
# bit line that has not settled when it is sampled takes the same share off everything.

# %%
ENCODINGS = ("amplitude", "pulse-width", "bit-serial")
print(f"{'':14}{'error, %':>10}{'settling 20 ns, %':>20}{'conversions a read':>20}{'pJ a read':>11}")
for encoding in ENCODINGS:
    quick = programmed({"encoding": encoding, "dac_bits": 6, "adc_bits": 8})
    slow = programmed({"encoding": encoding, "dac_bits": 6, "adc_bits": 8, "settling_time_s": 20e-9})
    for array in (quick, slow):
        array.calibrate(x[:50])
    before = quick.ledger.conversions
    errors = 100 * error(quick), 100 * error(slow)
    reads = len(x)
    joules = (quick.ledger.read_J + quick.ledger.read_periphery_J) / reads
    conversions = (quick.ledger.conversions - before) / reads
    print(f"{encoding:14}{errors[0]:>10.2f}{errors[1]:>20.2f}{conversions:>20.0f}{1e12 * joules:>11.0f}")

# %% [markdown]
# A weight can be a pair of devices, interleaved in one array or in two arrays, one device against a reference
# column, or digits spread over several pairs (for weights that are programmed, not learnt). Writing errs; the
# table shows how far the *stored* weights are from those asked for, and how far a read is from what is stored.


# %%
def wrote(array):
    """RMS difference between stored and wanted weights, relative to the wanted ones."""
    return float(np.sqrt(np.mean((array.weights() - weights) ** 2) / np.mean(weights**2)))


WAYS = {
    "pair, interleaved": {},
    "pair, separate arrays": {"pair": "separate"},
    "pair, two-sided": {"sides": "two"},
    "reference device": {"mapping": "reference"},
    "offset column": {"mapping": "offset"},
    "pair, scaled by column": {"scale": "max", "scale_by": "column"},
}
DEVICE = "pcm-joshi-2020"
print(f"{DEVICE:26}{'written, error %':>18}{'read, error %':>16}{'devices':>10}")
for text, way in WAYS.items():
    array = programmed({"dac_bits": 8, "adc_bits": 8}, DEVICE, write=ns.WritePath(**way))
    array.calibrate(x[:50])
    print(f"{text:26}{100 * wrote(array):>18.1f}{100 * error(array):>16.2f}{array.conductance_uS().size:>10}")
sliced = ns.SlicedCrossbar(
    (ROWS, COLS),
    DEVICE,
    bits=2,
    slices=3,
    read=ns.ReadPath(dac_bits=8, adc_bits=8, read_noise=None),
    write=ns.WritePath(scale="max"),
)
sliced.program(weights)
sliced.calibrate(x[:50])
devices = sum(part.conductance_uS().size for part in sliced.slices)
print(f"{'3 slices of 2 bits':26}{100 * wrote(sliced):>18.1f}{100 * error(sliced):>16.2f}{devices:>10}")

# %% [markdown]
# Where plus and minus are converted apart, the ADC must hold the common current of both, and its steps grow: by
# little for separate arrays of devices that mostly rest near zero, by far for an offset column whose devices
# rest in mid window.
#
# ## 4. Electronic noise
#
# Each source alone, as the standard deviation of repeated reads (offsets: over columns) in steps of the
# calibrated 8-bit ADC. Noise of the devices themselves is there for comparison.

# %%
SOURCES = {
    "read noise of the devices": {"read_noise": "card"},
    "thermal noise, 300 K": {"thermal_noise_K": 300.0},
    "shot noise": {"shot_noise": True},
    "amplifier offset, 1 mV": {"amplifier_offset_V": 1e-3},
    "converter offset, 1 step": {"adc_offset_lsb": 1.0},
    "converter gain, 1 %": {"adc_gain_spread": 0.01},
}
same = np.repeat(x[:1], 400, axis=0)
print(f"{'deviation, ADC steps':28}" + "".join(f"{TITLE[device]:>22}" for device in (PCM, COARSE)))
for text, source in SOURCES.items():
    cells = ""
    for device in (PCM, COARSE):
        exact = programmed({}, device)
        exact.calibrate(x[:50])
        noisy = programmed(source, device)
        noisy.calibrate(x[:50])
        step = 1.25 * np.abs(x[:50] @ exact.weights()).max() / 127
        cells += f"{np.std(noisy.forward(same) - exact.forward(same)) / step:>22.3f}"
    print(f"{text:28}{cells}")

# %% [markdown]
# Thermal and shot noise hide below a step at 100 ns of integration. An amplifier's offset does not: it drives
# *every* device of its bit line, whatever they store, so devices that rest at high conductance suffer most.
#
# ## 5. Tiles
#
# A layer larger than an array is spread over several, partial sums are added digitally. Small tiles lose
# little in wires and convert more often.

# %%
TILES = (64, 128, 256) if QUICK else (32, 64, 128, 256, 512)
figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for axes, device in zip(panels, (PCM, COARSE), strict=True):
    for ohm, colour in ((0.0, GREEN), (1.0, BLUE), (5.0, RED)):
        points = []
        for size in TILES:
            array = programmed(
                {"dac_bits": 8, "adc_bits": 8},
                device,
                tiles=ns.Tiles(word_lines=size, bit_lines=size),
                wires=ns.Wires(r_word_ohm=ohm, r_bit_ohm=ohm, method="exact") if ohm else None,
            )
            array.calibrate(x[:50])
            off = 100 * error(array)
            joules = (array.ledger.read_J + array.ledger.read_periphery_J) / (len(x) * ROWS * COLS)
            points.append((1e15 * joules, off))
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=f"{ohm:g} Ω")
        if ohm == 5.0:
            for size, (joules, off) in zip(TILES, points, strict=True):
                axes.annotate(f"{size}", (joules, off), textcoords="offset points", xytext=(5, 5))
    axes.set(yscale="log", title=TITLE[device], xlabel="energy of a multiply-accumulate, fJ (lower bound)")
panels[0].set_ylabel("RMS error, %")
panels[1].legend(title="cell to cell")
figure.suptitle(f"{ROWS} × {COLS} weights in tiles of so many lines")
plt.show()

# %% [markdown]
# Half the lines cost about half as much again in conversions, and divide the error of the wires by three on
# PCM. RRAM pairs conduct in the middle of their window whatever they store: their tiles must be smaller still, or
# their wires better. (Reads through poor wires take less energy because less current flows.)
#
# ## 6. Learning through wires
#
# A learning layer reads and competes through its wires; the exact matrix is solved now and then, in between
# it is followed (`array.wires_report` says how well).

# %%
try:
    data = ns.data.load("digits" if QUICK else "mnist")
except ns.errors.DataError:
    data = ns.data.load("digits")
MNIST = data.name == "mnist"
LINES = (64, 256) if MNIST else (16, 128)
LEARNT = (0.0, 2.0)
arms = [
    {
        "name": f"{TITLE[device]}, {size} lines, {ohm:g} Ω",
        "device": device,
        "tiles": {"word_lines": size, "bit_lines": size},
        "wires": {"r_word_ohm": ohm, "r_bit_ohm": ohm, "every": 150, "moved": 10.0} if ohm else {},
    }
    for device in ((PCM,) if QUICK else (PCM, COARSE))
    for ohm in LEARNT
    for size in LINES
]
results = ns.compare(
    ns.DenseExperiment(
        dataset=data.name,
        train_images=10_000 if MNIST else None,
        neurons=100,
        epochs=1 if MNIST else 2,
        seeds=1 if QUICK else 2,
        curve_points=0,
        readout_epochs=5,
        mode="mixed",
        arm=arms,
    )
)
print(f"{data.note}, 100 neurons, {results['data']['train_images']} images, {results['data']['reported_on']}")
print(f"{'':34}{'readout, %':>12}{'untrained':>11}{'vote, %':>9}{'untrained':>11}{'neurons that win':>18}{'followed within, %':>20}")  # fmt: skip
for entry in results["summary"]:
    runs = [run for run in results["runs"] if run["arm"] == entry["arm"]]
    used = np.mean([run["neurons_used"] for run in runs])
    errors = [run["wires"]["largest_followed_error"] for run in runs if run.get("wires")]
    within = f"{100 * max(errors):>20.2f}" if errors else f"{'':>20}"
    keys = ("accuracy", "untrained_accuracy", "vote", "untrained_vote")
    readout, before, vote, vote_before = (100 * entry[f"{key}_mean"] for key in keys)
    print(
        f"{entry['arm']:34}{readout:>12.1f}{before:>11.1f}{vote:>9.1f}{vote_before:>11.1f}{used:>18.0f}{within}"
    )

# %% [markdown]
# PCM learns around its wires: differences here are those of seeds. Of the coarse RRAM's neurons in large tiles
# two win everything, those of the columns that lose least: a common gain of its columns decides a competition,
# before anything is learnt, and what these two then learn leaves the layer below its own untrained state. Results with more seeds (`results`) go further: accuracy against ohms and
# tile size, broken lines, pulses that weaken along the wires, and the noise budget.
#
# ## An exercise
#
# An array of RRAM on thin wires is given: 256 lines, 2 Ω from cell to cell. You may change one thing about it, and nothing about its
# devices. What serves a *multiplication* best: sensing at both ends, driving at both ends, tiles of half the lines, or a mapping whose
# devices rest at a low conductance? And does the same serve *learning* best?
#
# *Hint:* `programmed(...)` above takes `wires=ns.Wires(..., drive="double", sense="double")`, `tiles=` and `write=`; compare `error(array)`.
# Wires lose by the current that flows through them, and what flows through all cells alike is a common gain. Which of the four
# lowers that current, and which only its way?
