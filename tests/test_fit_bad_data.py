"""Bad and biased data: what spoils reads is found, counted and kept out of the numbers, or the file is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from fit_helpers import RAMPS, soft, within, write, write_drift, write_programming, write_pulses
from fit_helpers import uncorrected as fit
from helpers import check_mean, check_std
from test_cli import neurosim, refused

from benchmarks.coverage import pulses_of, studies
from benchmarks.fit_laws import drawn_pcm
from neurosim import devices
from neurosim.core import registry
from neurosim.core.errors import ConfigError, DataError
from neurosim.devices.fitting import Drift, Programming, Pulses, Trace, read_tables
from neurosim.devices.fitting.aging import fit_drift, fit_programming
from neurosim.devices.fitting.reads_left_out import without, without_doubtful_reads
from neurosim.devices.fitting.stuck import without_stuck
from neurosim.reference.agreement import compare_operations

SOFT = ("g_min_uS", "g_max_uS", "step", "cycle_to_cycle", "write_noise", "asymmetry_spread")
PCM = ("mean_slope", "mean_offset_uS", "mean_first_uS", "sigma_slope", "sigma_offset_uS", "sigma_first_uS",
       "memory_pulses", "reset_mean_uS", "reset_sigma_uS")  # fmt: skip


def spoilt(pulses: Pulses, how) -> Pulses:
    """The same pulses, every trace's reads through `how`."""
    traces = (replace(t, conductance_uS=how(t.conductance_uS)) for t in pulses.traces)
    return replace(pulses, traces=tuple(traces))


def fitted(law: str, pulses: Pulses):
    return registry.find("law fitter", law)(pulses).numbers


@pytest.fixture(scope="module")
def clean():
    """Soft-bounds data, and the numbers fitted to them."""
    pulses = pulses_of(soft(), RAMPS, 24, seed=1)
    return pulses, fitted("soft-bounds", pulses)


def like(found, expected, names) -> None:
    """Numbers lie within the 95 % intervals of those of undisturbed data."""
    for name in names:
        assert expected[name].low <= found[name].value <= expected[name].high, (
            name,
            found[name],
            expected[name],
        )


# Programming errors


def biased(by: float, n: int = 30, seed: int = 0, slope: float = 0.0) -> Programming:
    targets = np.repeat(np.linspace(10, 80, 10), n)
    error = np.random.default_rng(seed).normal(by + slope * targets, 0.5)
    return Programming(targets, targets + error, "errors.csv")


def test_a_systematic_programming_error_is_apart_from_the_spread(tmp_path):
    data = biased(3.0)
    file = write(tmp_path / "errors.csv", ["target_uS,achieved_uS", *(
        f"{t:.6g},{g:.8g}" for t, g in zip(data.target_uS, data.achieved_uS, strict=True))])  # fmt: skip
    found = fit([file])
    within(found.intervals["bias_uS[0]"], 3.0, widths=1.5)
    assert any(re.match(r"errors\.csv: written states are off by \+(2\.9|3\.0)", n) for n in found.card.notes)
    targets = np.array([20.0, 60.0])
    again = devices.programmed(found.card.device(), targets, [1.0], 4000)[0]
    np.testing.assert_allclose(again.mean(axis=1) - targets, 3.0, atol=0.12)
    np.testing.assert_allclose(again.std(axis=1), 0.5, atol=0.08)


@pytest.mark.slow
def test_a_law_without_a_systematic_error_has_the_spread_alone_and_a_note(tmp_path):
    pulses = write_pulses(tmp_path / "p.csv", devices.pulse_response(soft(), RAMPS, 6, seed=9), RAMPS)
    targets = np.linspace(45, 65, 4)
    reached = devices.programmed(soft(program_tolerance=0.03), targets, [1.0], 50, seed=5)[0] - 4.0
    found = fit([pulses, write_programming(tmp_path / "e.csv", targets, reached)], "soft-bounds")
    window = found.card.device().g_max_uS - found.card.device().g_min_uS
    within(found.intervals["program_tolerance"].times(window / 70), 0.03)
    assert any(
        "e.csv: written states are off by -4" in n and "soft-bounds has no" in n for n in found.card.notes
    )


def test_a_systematic_error_may_depend_on_the_target_and_is_not_seen_where_there_is_none():
    found = fit_programming(biased(1.0, slope=-0.03), 0.0, 80.0)
    (low, first), (high, last) = found.bias_at
    within(first, 1.0 - 0.03 * low, widths=1.5)
    within(last, 1.0 - 0.03 * high, widths=1.5)
    assert not any(fit_programming(biased(0.0, 10, seed), 0.0, 80.0).bias for seed in range(12))


def test_the_law_writes_its_systematic_error_and_so_does_its_twin():
    law = devices.load("pcm-joshi-2020").with_parameters(
        flicker=None, flicker_table=None, bias_uS=(0.5, -2.0, 3.0)
    )
    targets = np.array([10.0, 15.0, 25.0])
    share = targets / law.g_max_uS
    expected = np.polynomial.polynomial.polyval(share, (0.5, -2.0, 3.0)) * law.error_scale
    sigma = np.polynomial.polynomial.polyval(share, law.error_uS[0]) * law.error_scale
    for sample, mean, spread in zip(
        devices.programmed(law, targets, [1.0], 40_000)[0], targets + expected, sigma, strict=True
    ):
        check_mean(sample, mean, spread)
        check_std(sample, spread)
    for line in compare_operations(law, "float32", True, operations=("program",)):
        assert line.holds, line


# Ramps that run the wrong way


def test_a_reset_ramp_that_rises_is_refused(tmp_path):
    rising = 3 + 40 * (1 - np.exp(-np.arange(60) / 20))
    for name in ("set.csv", "reset.csv"):
        write(tmp_path / name, [f"{g:.5g}e-9" for g in rising])
    refused(
        neurosim("fit", "set.csv", "reset.csv", "--out", "c.toml", cwd=tmp_path),
        "reset.csv: RESET pulses raise", "turn the ramp round",
    )  # fmt: skip
    assert not (tmp_path / "c.toml").exists()


def test_one_device_of_many_with_swapped_polarities_is_named(tmp_path):
    traces = devices.pulse_response(soft(), RAMPS, 8, seed=3)
    middle = traces[0, 5]
    traces[:, 5] = np.maximum(2 * middle - traces[:, 5], 0)
    with pytest.raises(DataError, match=r"lower the conductance of device 5.*--column polarity"):
        read_tables([write_pulses(tmp_path / "d.csv", traces, RAMPS)])


@pytest.mark.parametrize("name", ["rram-hfo2-gong-2018", "rram-hfo2-om-2022", "pcm-nandakumar-2018"])
def test_honest_noise_and_saturation_are_not_refused(name, tmp_path):
    law = devices.load(name)
    sequence = [1] * 30 + [-1] * 120 if law.steps_down else [1] * 20 + [-1] + [1] * 20
    for seed in range(4):
        traces = devices.pulse_response(law, sequence, 12, seed)
        (pulses,) = read_tables([write_pulses(tmp_path / "d.csv", traces, sequence)])
        assert len(pulses.traces) == 12


# Reads at a limit of the instrument


def test_reads_at_compliance_are_counted_and_not_taken_for_noiseless(clean):
    pulses, numbers = clean
    limited = spoilt(pulses, lambda g: np.minimum(g, 75.0))
    count = sum(int((t.conductance_uS == 75).sum()) for t in limited.traces)
    treated = without_doubtful_reads(limited)
    (note,) = treated.notes
    assert f"{count:,} of 3,864 reads are exactly 75 uS, a limit of the instrument" in note
    found = fitted("soft-bounds", treated)
    like(found, numbers, ("g_min_uS", "step", "cycle_to_cycle", "write_noise"))
    naive = fitted("soft-bounds", limited)
    assert naive["cycle_to_cycle"].value > numbers["cycle_to_cycle"].high


def test_reads_at_the_floor_of_the_instrument_are_left_out_too(clean):
    pulses, numbers = clean
    found = fitted("soft-bounds", without_doubtful_reads(spoilt(pulses, lambda g: np.maximum(g, 32.0))))
    like(found, numbers, ("g_max_uS", "step", "cycle_to_cycle", "write_noise"))


def test_devices_that_stop_at_their_own_bound_are_left_as_they_are():
    pulses = pulses_of(devices.load("pcm-nandakumar-2018"), [1] * 20 + [-1] + [1] * 20, 20, seed=1)
    bipolar = pulses_of(studies()["constant-step"].device.with_parameters(
        write_noise=None, state_max_spread=None, state_min_spread=None), [1] * 60 + [-1] * 60, 8, seed=1)  # fmt: skip
    for one in (pulses, bipolar):
        treated = without_doubtful_reads(one)
        assert treated.count == one.count
        assert any("taken for the devices' own bound" in note for note in treated.notes)


def test_pulses_before_a_read_that_is_left_out_are_still_counted():
    sign = np.array([0, 1, 1, 1, -1, 1, 1, 1], np.int8)
    trace = Trace("a", sign, np.arange(8.0))
    kept = np.array([True, False, True, True, False, False, True, True])
    left = without(trace, kept)
    assert left.sign.tolist() == [0, 0, 1, 0, 1]
    assert left.missed == ((1, 2), (3, -2))
    again = without(left, np.array([True, False, True, True, True]))
    assert again.sign.tolist() == [0, 0, 0, 1]
    assert again.missed == ((1, 3), (2, -2))
    first = without(trace, np.array([False] + [True] * 7))
    assert first.missed == ((0, -1),)


# Glitches


def glitched(seed: int):
    """What replaces 0.2 % of reads by up to six times their value."""
    rng = np.random.default_rng(seed)

    def spoil(g):
        at = rng.random(g.size) < 0.002
        return np.where(at, g * rng.uniform(0, 6, g.size), g)

    return spoil


def test_glitches_change_no_number_of_a_bipolar_law(clean):
    pulses, numbers = clean
    bad = spoilt(pulses, glitched(3))
    treated = without_doubtful_reads(bad)
    assert re.search(r"\d of 3,864 reads left out as glitches, .* the worst on device", treated.notes[0])
    like(fitted("soft-bounds", treated), numbers, SOFT)
    assert fitted("soft-bounds", bad)["write_noise"].value > 2 * numbers["write_noise"].high


def drawn_memory(train: tuple[int, int, int], seed: int) -> Pulses:
    """Phase-change memory drawn with numpy alone."""
    reads, sign = drawn_pcm(train, np.random.default_rng(seed))
    signs = np.array([0, *sign], np.int8)
    return Pulses(tuple(Trace(str(k), signs, reads[:, k].copy()) for k in range(reads.shape[1])), "drawn")


def glitch_of_memory(kind: str, seed: int):
    """What replaces 0.2 % of reads: by up to six times their value, by an open contact, or far above the window."""
    rng = np.random.default_rng(seed + 1000)

    def spoil(g):
        at, size = rng.random(g.size) < 0.002, rng.random(g.size)
        return np.where(
            at, {"times": 6 * g * size, "open": 1e-3 * size, "above": 12 * (1.2 + 4.8 * size)}[kind], g
        )

    return spoil


@pytest.mark.parametrize("kind", ["times", "open", "above"])
@pytest.mark.parametrize(
    ("train", "seed"), [((100, 20, 2), 1), ((30, 20, 6), 2), ((10, 20, 12), 1), ((5, 40, 10), 11)]
)
def test_glitches_change_no_number_of_phase_change_memory(train, seed, kind):
    """Also where the noise of a pulse is as large as the glitch, and in the reads after RESET, which lie close together."""
    pulses = drawn_memory(train, seed)
    numbers = fitted("pcm-accumulative", without_doubtful_reads(pulses))
    bad = without_doubtful_reads(spoilt(pulses, glitch_of_memory(kind, seed)))
    like(fitted("pcm-accumulative", bad), numbers, PCM)


def test_honest_phase_change_memory_loses_no_read():
    """Neither to its own law nor to a value at which SET pulses stop, and half of all RESETs do not."""
    pulses = drawn_memory((5, 40, 10), 11)
    treated = without_doubtful_reads(pulses)
    assert treated.count == pulses.count
    found = registry.find("law fitter", "pcm-accumulative")(treated)
    assert found.notes == ()
    assert found.steps.change_uS.size == 5 * 40 * 10


def test_glitches_within_the_noise_of_phase_change_memory_are_counted_and_named():
    pulses = drawn_memory((30, 20, 6), 2)
    g = pulses.traces[3].conductance_uS
    after, far = 21, 27
    g[after], g[far] = 0.4, 0.0
    found = registry.find("law fitter", "pcm-accumulative")(pulses)
    (note,) = found.notes
    assert "2 read(s) left out as glitches" in note
    assert f"of device 3 that of pulse {after}" in note


@pytest.mark.parametrize("name", ["soft-bounds", "constant-step", "linear-step", "pcm-accumulative"])
def test_honest_reads_are_no_glitches(name):
    assert not any("glitches" in note for note in without_doubtful_reads(studies()[name].pulses(5)).notes)


def test_heavy_tails_are_left_in_but_for_few_and_noise_of_single_reads_is_refused(clean):
    pulses, _ = clean
    rng = np.random.default_rng(0)
    heavy = spoilt(pulses, lambda g: np.maximum(g + 4 * rng.standard_t(3, g.size), 0))
    assert pulses.count - without_doubtful_reads(heavy).count < 0.004 * pulses.count
    noisy = spoilt(pulses, lambda g: np.where(rng.random(g.size) < 0.05, 6 * g, g))
    with pytest.raises(DataError, match=r"of 3,864 reads \(.* %\) jump away and back.*mend the contact"):
        without_doubtful_reads(noisy)


# Devices that do not answer


def test_a_fit_with_stuck_devices_is_corrected_by_devices_that_answer(tmp_path):
    traces = devices.pulse_response(soft(), RAMPS, 6, seed=6)
    traces[:, 0] = 1.2
    found = fit([write_pulses(tmp_path / "d.csv", traces, RAMPS)], "soft-bounds", resamples=2)
    assert "p_stuck_measured" in found.intervals
    within(found.intervals["step"], 0.06)


def test_stuck_devices_stand_on_the_card_where_they_were_measured(tmp_path):
    traces = devices.pulse_response(soft(), RAMPS, 24, seed=6)
    stuck = np.array([1.2, 1.4, 120.0])
    traces[:, :3] = stuck * (1 + 0.02 * np.random.default_rng(0).standard_normal((len(traces), 3)))
    found = fit([write_pulses(tmp_path / "d.csv", traces, RAMPS)], "soft-bounds")
    share = found.intervals["p_stuck_measured"]
    assert share.value == pytest.approx(3 / 24)
    assert share.low < 0.1 < share.high
    assert "corrupt_share" not in found.card.parameters
    assert any("3 of 24 devices" in note and "1.2 (device 0)" in note for note in found.card.notes)
    law = found.card.device()
    fresh = devices.pulse_response(law, [1, -1] * 3, 4000, seed=1)
    still = np.ptp(fresh, axis=0) == 0
    assert still.mean() == pytest.approx(3 / 24, abs=0.03)
    np.testing.assert_allclose(np.unique(fresh[0, still]), stuck, rtol=0.01)
    _, counts = np.unique(fresh[0, still], return_counts=True)
    assert counts.min() > 0.25 * counts.sum()


def test_noisy_devices_with_small_steps_are_not_taken_for_stuck():
    pulses = pulses_of(devices.load("rram-hfo2-gong-2018"), [1] * 40 + [-1] * 40, 30, seed=1)
    assert without_stuck(pulses) is pulses


def test_stuck_cells_need_a_place():
    with pytest.raises(ConfigError, match="stuck_measured_uS"):
        soft(p_stuck_measured=0.1)


# Drift


def drifting(levels, exponents, sigma: float, seed: int = 0, count: int = 60) -> Drift:
    """Devices written to levels, each level with its mean exponent; 1 % read noise."""
    rng, times = np.random.default_rng(seed), np.geomspace(20, 1e5, 8)
    g = np.resize(levels, count) * np.exp(0.05 * rng.standard_normal(count))
    nu = np.resize(exponents, count) + sigma * rng.standard_normal(count)
    seen = g * (times[:, None] / times[0]) ** -nu * (1 + 0.01 * rng.standard_normal((8, count)))
    return Drift(tuple((str(k), times, seen[:, k]) for k in range(count)), "drift.csv")


def file_of(data: Drift, file):
    return write_drift(file, data.devices[0][1], np.stack([g for _, _, g in data.devices], axis=1))


def test_the_exponent_of_drift_may_depend_on_the_conductance(tmp_path):
    levels, exponents = np.array([2.0, 6.0, 12.0]), np.array([0.1, 0.06, 0.02])
    found = fit([file_of(drifting(levels, exponents, 0.005), tmp_path / "drift.csv")])
    assert any("the exponent of drift depends on the conductance" in note for note in found.card.notes)
    law = found.card.device()
    held = devices.programmed(law, levels, [20, 2e4], 2000, seed=1)
    after = -np.log(held[1] / held[0]) / np.log(1e3)
    np.testing.assert_allclose(after.mean(axis=1), exponents, atol=0.006)
    np.testing.assert_allclose(after.std(axis=1), 0.005, rtol=0.5)


def test_one_exponent_where_conductances_or_exponents_do_not_differ():
    for levels in ([6.0], [1.0, 3.0, 10.0]):
        assert not any(fit_drift(drifting(levels, [0.05], 0.01, seed)).at for seed in range(20))


@pytest.mark.parametrize("pcm", [False, True])
def test_conductances_that_grow_are_found_said_and_on_the_card(pcm, tmp_path):
    files = [file_of(drifting([6.0], [-0.03], 0.008), tmp_path / "drift.csv")]
    if pcm:
        sequence = [1] * 20 + [-1] + [1] * 20
        traces = devices.pulse_response("pcm-nandakumar-2018", sequence, 30, 1)
        files.append(write_pulses(tmp_path / "p.csv", traces, sequence))
    found = fit(files, "pcm-accumulative" if pcm else None)
    assert found.card.law == ("pcm-accumulative" if pcm else "programmed")
    assert any(
        "drift.csv: conductances grow with time, as t to the power +0.0" in n for n in found.card.notes
    )
    law = found.card.device().with_parameters(
        **({"program_c0": 0, "program_c1": 0, "program_c2": 0} if pcm else {})
    )
    held = devices.programmed(law, [6.0], [20, 2e4], 3000, seed=1)[:, 0]
    exponents = np.log(held[1] / held[0]) / np.log(1e3)
    assert exponents.mean() == pytest.approx(0.03, abs=0.005)
    assert exponents.std() == pytest.approx(0.008, rel=0.3)
    assert (exponents < 0).any() or exponents.mean() > 3 * exponents.std()


def test_the_twin_grows_as_the_law_does():
    law = devices.load("pcm-nandakumar-2018").with_parameters(
        drift_exponent=None, drift_exponent_sigma=None, drift_table_share=(0.2, 1.0),
        drift_table_exponent=(-0.05, 0.02), drift_table_sigma=(0.02, 0.02),
    )  # fmt: skip
    for line in compare_operations(law, "float32", True, operations=("program", "drift, forward")):
        assert line.holds, line
