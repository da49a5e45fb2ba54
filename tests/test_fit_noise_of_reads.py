"""Noise of repeated reads recovered from data drawn with numpy alone: white, 1/f, both; and beside other measurements."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from fit_drawn import repeated_reads
from fit_helpers import drawn_in_numpy, uncorrected, within, write, write_traces
from scipy import stats

from neurosim.core.errors import CapabilityError, DataError
from neurosim.devices.fitting import Pulses, Reads, read_tables
from neurosim.devices.fitting.maximum import maximise
from neurosim.report.fit_sheet import fit_sheet

LEVELS = np.linspace(12, 80, 12)


def test_white_noise_alone_has_no_slow_part(tmp_path):
    found = uncorrected([repeated_reads(tmp_path / "r.csv", LEVELS[::3], 200, 0.5, 1, relative=0.03)])
    within(found.intervals["read_noise_relative"], 0.03)
    assert found.reads.flicker is None
    assert "flicker" not in found.card.parameters
    device = found.card.device()
    assert device.has_read_noise
    assert not device.flickers
    assert any("no 1/f noise beyond chance" in note for note in found.card.notes)


@pytest.mark.parametrize(("count", "interval", "seed"), [(200, 0.5, 1), (700, 1e-3, 2)])
def test_white_and_flicker_noise_are_told_apart(tmp_path, count, interval, seed):
    known = {"relative": 0.02, "flicker": 0.01}
    found = uncorrected([repeated_reads(tmp_path / "r.csv", LEVELS[::2], count, interval, seed, **known)])
    within(found.intervals["read_noise_relative"], 0.02)
    within(found.intervals["flicker"], 0.01)
    device = found.card.device()
    assert device.flicker_read_s == pytest.approx(interval)
    assert device.flicker_power == 0
    assert found.reads.corner_Hz == pytest.approx(0.01**2 / (2 * 0.02**2 * interval), rel=0.6)
    if found.reads.exponent is not None:
        within(found.reads.exponent, 1.0)


def test_a_floor_and_a_share_and_the_power_of_flicker_noise(tmp_path):
    known = {"relative": 0.01, "floor": 0.3, "flicker": 0.012, "power": 0.5}
    found = uncorrected([repeated_reads(tmp_path / "r.csv", LEVELS, 300, 0.1, 3, **known)])
    for name, value in (
        ("read_noise_relative", 0.01), ("read_noise_floor_uS", 0.3), ("flicker_power", 0.5)
    ):  # fmt: skip
        within(found.intervals[name], value)
    within(found.intervals["flicker"], 0.012 * (found.card.device().g_max_uS / 90) ** -0.5)
    device = found.card.device()
    low = 0.012 * (12 / 90) ** -0.5
    assert device.flicker_most == pytest.approx(low, rel=0.4)


@pytest.mark.slow
def test_intervals_of_reads_hold_what_they_promise(tmp_path):
    held = []
    for seed in range(20):
        file = repeated_reads(tmp_path / "r.csv", LEVELS[::4], 120, 1.0, seed, relative=0.02, flicker=0.015)
        intervals = uncorrected([file]).intervals
        held += [
            intervals[name].low <= known <= intervals[name].high
            for name, known in (("read_noise_relative", 0.02), ("flicker", 0.015)) if name in intervals
        ]  # fmt: skip
    assert len(held) >= 30
    assert sum(held) >= stats.binom.ppf(1e-4, len(held), 0.95)


def test_a_spectrum_that_falls_faster_is_said(tmp_path):
    file = repeated_reads(
        tmp_path / "r.csv", LEVELS[::2], 500, 0.5, 4, flicker=0.02, exponent=1.3, relative=0.005
    )
    found = uncorrected([file])
    assert found.reads.exponent.low > 1
    assert any("the spectrum falls as f to the power -1." in note for note in found.card.notes)


def test_read_noise_is_not_counted_twice(tmp_path):
    """Write noise is fitted to reads, so it contains read noise; measured apart, that is taken off."""
    pulses = drawn_in_numpy("soft-bounds", 0.06, 0.3, 50, 2, 8, 4)
    draws = np.random.default_rng(1)
    noisy = Pulses(
        tuple(
            type(t)(t.device, t.sign, t.conductance_uS + 1.5 * draws.standard_normal(t.sign.size))
            for t in pulses.traces
        ),
        "noisy",
    )
    file = write_traces(tmp_path / "p.csv", noisy)
    reads = repeated_reads(tmp_path / "r.csv", [40.0, 55.0, 70.0], 300, 1.0, 2, floor=1.5)
    alone, both = (uncorrected(files, "soft-bounds") for files in ([file], [file, reads]))
    unit = alone.card.device().step * alone.card.device().span_uS
    before, after = (found.card.device().write_noise * unit for found in (alone, both))
    middle = np.mean([t.conductance_uS.mean() for t in noisy.traces])
    assert after**2 == pytest.approx(before**2 - both.reads.sigma_uS(middle) ** 2, rel=1e-3)
    assert before == pytest.approx(np.hypot(1.5, 0.5 * 0.06 * 35), rel=0.2)
    within(both.intervals["write_noise"].times(unit), 0.5 * 0.06 * 35)
    assert any("contains read noise" in note for note in both.card.notes)


def test_devices_of_several_files_are_matched_by_name(tmp_path):
    file = write_traces(tmp_path / "p.csv", drawn_in_numpy("soft-bounds", 0.06, 0.3, 40, 2, 4, 4))
    same = repeated_reads(tmp_path / "same.csv", [40.0, 300.0], 60, 1.0, 2, relative=0.02)
    text = same.read_text().replace("\n0,", "\nother,").replace("\n1,", "\nanother,")
    strange = write(tmp_path / "strange.csv", text.splitlines())
    (matched,) = (
        n for n in uncorrected([file, same], "soft-bounds").card.notes if "devices are among the" in n
    )
    assert matched.startswith("same.csv: 2 of its 2 devices are among the 4 of p.csv (0, 1).")
    notes = uncorrected([file, same], "soft-bounds").card.notes
    assert any(
        note.startswith("same.csv: devices that stand where pulses never brought them in p.csv: 1;")
        for note in notes
    )
    notes = uncorrected([file, strange], "soft-bounds").card.notes
    assert any("none of its devices is among those of p.csv by name" in note for note in notes)


def test_many_reads_of_drift_tell_their_noise_too(tmp_path):
    draws, rows = np.random.default_rng(3), ["device,time_s,conductance_uS"]
    times = np.geomspace(20, 1e4, 60)
    for k in range(4):
        g = (20 + 15 * k) * (times / 20) ** -0.05 * (1 + 0.02 * draws.standard_normal(times.size))
        rows += [f"{k},{t:.8g},{value:.8g}" for t, value in zip(times, g, strict=True)]
    found = uncorrected([write(tmp_path / "drift.csv", rows)])
    within(found.intervals["drift_table_exponent"], 0.05)
    within(found.intervals["read_noise_relative"], 0.02)
    assert found.reads.flicker is None


def test_states_of_one_device_are_told_by_times_that_begin_anew(tmp_path):
    draws, rows = np.random.default_rng(0), ["time_s,conductance_uS"]
    for level in (20.0, 50.0):
        rows += [f"{0.1 * k:.6g},{level * (1 + 0.02 * draws.standard_normal()):.8g}" for k in range(40)]
    (table,) = read_tables([write(tmp_path / "two.csv", rows)])
    assert isinstance(table, Reads)
    assert [times.size for _, times, _ in table.states] == [40, 40]
    assert "repeated reads: 1 device, 80 reads" in table.said[2]
    assert all(a < b for _, times, _ in table.states for a, b in pairwise(times))


def test_reads_that_cannot_be_fitted_say_why(tmp_path):
    still = ["time_s,conductance_uS", *(f"{k},50" for k in range(40))]
    with pytest.raises(CapabilityError, match="do not differ"):
        uncorrected([write(tmp_path / "still.csv", still)])
    few = ["time_s,conductance_uS", *(f"{k},{50 + k % 3}" for k in range(12))]
    with pytest.raises(DataError, match="above zero and grow"):
        uncorrected([write(tmp_path / "few.csv", few)])


def test_reads_are_in_the_figure(tmp_path):
    found = uncorrected(
        [repeated_reads(tmp_path / "r.csv", LEVELS[::4], 100, 0.5, 1, relative=0.03, flicker=0.02)]
    )
    assert [axes.get_title(loc="left") for axes in fit_sheet(found).axes] == ["Repeated reads"]


def test_flicker_noise_that_grows_with_the_conductance_is_a_table(tmp_path):
    """The power of the law is that of a fall: a card could not have it, and the whole fit failed."""
    file = repeated_reads(tmp_path / "r.csv", LEVELS, 300, 0.1, 3, relative=0.01, flicker=0.03, power=-0.7)
    device = uncorrected([file]).card.device()
    assert device.flicker is None
    levels = np.interp(
        [20.0, 70.0], np.array(device.flicker_table_share) * device.g_max_uS, device.flicker_table
    )
    np.testing.assert_allclose(levels, 0.03 * (np.array([20.0, 70.0]) / 90) ** 0.7, rtol=0.25)


def test_the_wider_covariance_is_one():
    """Where devices make some numbers less certain, it was put together of columns of two matrices: not symmetric."""
    draws, devices = np.random.default_rng(1), np.repeat(np.arange(15), 20)
    x = draws.uniform(0, 2, devices.size)
    y = 1 + 0.5 * x + 0.3 * draws.standard_normal(15)[devices] + 0.1 * draws.standard_normal(devices.size)

    def terms(numbers):
        return -0.5 * ((y - numbers[0] - numbers[1] * x) / np.exp(numbers[2])) ** 2 - numbers[2]

    found = maximise(terms, np.array([0.5, 0.2, -1.0]), devices)
    np.testing.assert_allclose(found.covariance, found.covariance.T, rtol=1e-9)
    assert (np.linalg.eigvalsh(found.covariance) > 0).all()
    one_by_one = maximise(terms, np.array([0.5, 0.2, -1.0]), devices // 2)
    assert one_by_one.covariance[0, 0] < found.covariance[0, 0] / 3
