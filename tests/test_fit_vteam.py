"""Amplitude and width in the data: columns read, VTEAM fitted to what numpy alone has drawn, never a silent average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fit_helpers import within

from neurosim import devices
from neurosim.core.errors import CapabilityError, DataError
from neurosim.devices import fitting
from neurosim.devices.measurements import measured
from neurosim.report.fit_sheet import fit_sheet

TRUTH: dict[str, float] = {
    "g_min_uS": 10.0, "g_max_uS": 90.0, "threshold_up_V": 0.8, "threshold_down_V": 0.9, "voltage_exponent_up": 2.0,
    "voltage_exponent_down": 1.5, "switching_up_s": 4e-7, "switching_down_s": 3e-7, "cycle_to_cycle": 0.4,
}  # fmt: skip
VOLTS, WIDTHS = (0.95, 1.1, 1.3, 1.5), (2e-8, 4e-8)
Row = tuple[str, int, float, float, float]


def drawn(
    seed: int = 0,
    count: int = 8,
    train: int = 15,
    spread: float = 0.25,
    write_uS: float = 0.3,
    power: float = 1.0,
) -> list[Row]:
    """Trains of SET, then of RESET, of every amplitude and width, by the equation of the law, in numpy alone.

    Rows are device, pulse, signed voltage, width and the conductance read after it; drives go with width**power.
    """
    rng, p, rows = np.random.default_rng(seed), TRUTH, []
    for device in range(count):
        rate, g, pulse = np.exp(spread * rng.standard_normal()), 50.0, 0
        rows.append((f"d{device}", 0, 0.0, 0.0, g + write_uS * rng.standard_normal()))
        for volts in VOLTS:
            for width in WIDTHS:
                for sign, word in ((1, "up"), (-1, "down")):
                    over = max(volts / p[f"threshold_{word}_V"] - 1, 0.0)
                    drive = rate * over ** p[f"voltage_exponent_{word}"] / p[f"switching_{word}_s"]
                    drive *= 4e-8 * (width / 4e-8) ** power
                    bound = p["g_max_uS"] if sign > 0 else p["g_min_uS"]
                    for _ in range(train):
                        noisy = drive * (1 + p["cycle_to_cycle"] * rng.standard_normal())
                        g = float(np.clip(bound + (g - bound) * np.exp(-noisy), p["g_min_uS"], p["g_max_uS"]))
                        pulse += 1
                        seen = g + write_uS * rng.standard_normal()
                        rows.append((f"d{device}", pulse, sign * volts, width, seen))
    return rows


def write(
    file: Path, rows: list[Row], header: str = "DUT,Pulse,Amplitude (V),Pulse width (ns),G (uS)"
) -> Path:
    lines = [header, *(f"{d},{n},{v:g},{w * 1e9:g},{g:.6f}" for d, n, v, w, g in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = write(tmp_path_factory.mktemp("v") / "wafer.csv", drawn())
    return fitting.fit([file], name="mine", model="vteam", resamples=0)


@pytest.mark.slow
def test_it_is_chosen_from_the_laws_that_can_be_fitted(tmp_path):
    ranked = fitting.fit([write(tmp_path / "a.csv", drawn(count=2, train=12))], resamples=0)
    assert ranked.card.law == "vteam"
    assert len(ranked.ranking) > 1
    assert ranked.ranking[1].bic - ranked.ranking[0].bic > 50


def test_amplitude_and_width_are_read_with_their_units(tmp_path):
    file = write(tmp_path / "a.csv", drawn(count=1)[:40])
    table = measured(file)
    assert "polarity from the sign" in table.said[1]
    assert 'width of the pulse "Pulse width (ns)"' in table.said[1]
    assert set(np.unique(table.table["pulse_s"])) == {0.0, 2e-8, 4e-8}
    assert table.table["pulse_V"].max() == 0.95
    words = file.read_text().replace("Amplitude (V)", "Amplitude (mV),Polarity")
    lines = [words.splitlines()[0]]
    for line in words.splitlines()[1:]:
        d, n, v, w, g = line.split(",")
        lines.append(f"{d},{n},{abs(float(v)) * 1000:g},{'SET' if float(v) >= 0 else 'RESET'},{w},{g}")
    beside = tmp_path / "b.csv"
    beside.write_text("\n".join(lines) + "\n")
    again = measured(beside).table
    np.testing.assert_allclose(again["pulse_V"], table.table["pulse_V"])
    np.testing.assert_array_equal(again["polarity"][1:], table.table["polarity"][1:])
    file.write_text(file.read_text().replace("Pulse width (ns)", "Pulse width"))
    with pytest.raises(DataError, match="Pulse width has no unit; give it: --column pulse_width_s"):
        measured(file)
    assert measured(file, columns={"pulse_width_ns": "Pulse width"}).table["pulse_s"].max() == 4e-8


def test_the_law_of_the_data_is_found_with_its_numbers(found):
    """Numbers behind data drawn by numpy alone, within 2.5 of their intervals."""
    assert found.card.law == "vteam"
    for name, known in TRUTH.items():
        within(found.intervals[name], known)
    within(found.intervals["switching_spread"], 0.25)
    device = found.card.device()
    write = found.intervals["write_noise"].times(device.nominal_step_uS)
    within(write, 0.3)
    for name in ("threshold_up_V", "threshold_down_V", "g_max_uS"):
        assert found.intervals[name].value == pytest.approx(TRUTH[name], rel=0.1), name
    assert not any("taken for alike" in note for note in found.card.notes)
    assert not any("power of" in note for note in found.card.notes)
    good = found.law.goodness()
    assert good["residual_spread"] == pytest.approx(1, abs=0.05)
    assert abs(good["residual_correlation"]) < 0.05


def test_the_cards_step_follows_amplitude_and_width_as_the_data_do(found):
    """Mean changes of single amplitudes and widths, against the card's own pulses of that kind."""
    rows = drawn(seed=5, count=30, write_uS=0.0, spread=0.0)
    before, after = np.array([r[4] for r in rows[:-1]]), np.array([r[4] for r in rows[1:]])
    volts, width = np.array([r[2] for r in rows[1:]]), np.array([r[3] for r in rows[1:]])
    for level, wide in ((1.1, 2e-8), (1.3, 4e-8), (-1.5, 2e-8), (-1.1, 4e-8)):
        at = (volts == level) & (width == wide) & (np.abs(before - 50) < 8)
        device = found.card.device().without_noise()
        pulse = {
            "write_voltage_V": abs(level),
            "reset_voltage_V": abs(level),
            "write_time_s": wide,
            "reset_time_s": wide,
        }
        device = device.with_parameters(**pulse)
        drive = device.drive_up if level > 0 else device.drive_down
        bound = device.g_max_uS if level > 0 else device.g_min_uS
        expected = ((bound - before[at]) * -np.expm1(-drive)).mean()
        assert (after - before)[at].mean() == pytest.approx(expected, rel=0.12), (level, wide)


def test_the_card_says_its_pulse_and_runs(found, tmp_path):
    assert "sweep it" in found.card.parameters["write_voltage_V"].source
    assert found.card.parameters["write_voltage_V"].value == pytest.approx(1.2)
    assert found.card.parameters["write_time_s"].value == pytest.approx(3e-8)
    file = tmp_path / "mine.toml"
    file.write_text(fitting.to_toml(found.card), encoding="utf-8")
    device = devices.load(file)
    assert not device.pulse_unknown
    assert devices.pulse_response(device, [1] * 5, 10).shape == (6, 10)


def test_a_given_pulse_is_the_cards_and_noise_is_counted_in_its_steps(found, tmp_path):
    file = write(tmp_path / "a.csv", drawn())
    given = fitting.fit([file], model="vteam", write_voltage_V=1.4, write_time_s=1e-7, resamples=0)
    assert given.card.parameters["write_voltage_V"].source == "given with --write-voltage"
    steps = [one.card.device().nominal_step_uS for one in (found, given)]
    noise = [one.intervals["write_noise"].value for one in (found, given)]
    assert noise[0] * steps[0] == pytest.approx(noise[1] * steps[1], rel=1e-3)
    assert steps[1] > 1.5 * steps[0]


def test_noise_that_is_not_there_is_not_on_the_card(tmp_path):
    clean = fitting.fit([write(tmp_path / "a.csv", drawn(count=4, write_uS=0.0))], model="vteam", resamples=0)
    assert clean.card.device().write_noise is None
    assert clean.law.parameters == 9 + 4 - 1, "noise that is held is no number that was fitted"
    within(clean.intervals["cycle_to_cycle"], 0.4)
    within(clean.intervals["threshold_up_V"], 0.8)


def test_numbers_that_hang_together_are_not_drawn_apart(found):
    with pytest.raises(CapabilityError, match="hang together and cannot be drawn apart"):
        fitting.drawn_cards(found, 2)


@pytest.mark.slow
def test_a_law_without_amplitude_says_that_it_mixes_them(tmp_path):
    file = write(tmp_path / "a.csv", drawn(count=4))
    mixed = fitting.fit([file], model="constant-step", resamples=0)
    note = next(note for note in mixed.card.notes if "taken for alike" in note)
    assert "amplitude (0.95 to 1.5 V) and width (2e-08 to 4e-08 s)" in note
    two = [row for row in drawn(count=2) if abs(row[2]) in (0.0, 1.3, 1.5)]
    two = [(d, k, v, w, g) for k, (d, _, v, w, g) in enumerate(two)]
    fewer = fitting.fit([write(tmp_path / "b.csv", two)], resamples=0)
    assert fewer.card.law != "vteam"
    note = next(note for note in fewer.card.notes if "taken for alike" in note)
    assert (
        "vteam, which has both, needs 3 amplitudes of SET to tell threshold and exponent, 2 in the data"
        in note
    )
    with pytest.raises(CapabilityError, match="vteam cannot be fitted: needs 3 amplitudes"):
        fitting.fit([tmp_path / "b.csv"], model="vteam")


def test_without_widths_all_pulses_have_the_one_that_is_given(tmp_path):
    rows = [row for row in drawn(count=4) if row[3] in (0.0, 4e-8)]
    file = tmp_path / "a.csv"
    file.write_text(
        "\n".join(["DUT,Pulse,Amplitude (V),G (uS)"] + [f"{d},{n},{v:g},{g:.6f}" for d, n, v, _, g in rows])
    )
    with pytest.raises(CapabilityError, match="needs the width of each pulse"):
        fitting.fit([file], model="vteam")
    one = fitting.fit([file], model="vteam", write_time_s=4e-8)
    within(one.intervals["threshold_up_V"], 0.8)
    assert any("have one width" in note for note in one.card.notes)


def test_widths_that_do_not_count_in_proportion_are_told(tmp_path):
    bent = fitting.fit([write(tmp_path / "a.csv", drawn(power=0.5))], model="vteam", resamples=0)
    note = next(note for note in bent.card.notes if "to the power of" in note)
    told = float(note.partition("power of ")[2].split()[0])
    assert told == pytest.approx(0.5, abs=0.1)


def test_the_figure_shows_each_kind_of_pulse_beside_the_law(found):
    figure = fit_sheet(found)
    axes = next(axes for axes in figure.axes if "each kind" in axes.get_title("left") + axes.get_title())
    seen = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == len(VOLTS)]
    assert len(seen) == 2 * 2 * len(WIDTHS)  # law and data, both polarities
    law, data = seen[0], seen[1]
    np.testing.assert_allclose(law[:, 0], VOLTS)
    np.testing.assert_allclose(law[:, 1], data[:, 1], rtol=0.2, atol=0.2)


def test_amplitudes_far_above_the_threshold_do_not_tell_it(tmp_path):
    """All three within 5 per cent: a power of the voltage, or one over a threshold, are the same."""
    rows = []
    for d, n, v, w, g in drawn(count=2, train=10):
        near = {0.95: 1.49, 1.1: 1.5, 1.3: 1.51, 1.5: 1.52, 0.0: 0.0}[abs(v)]
        rows.append((d, n, np.sign(v) * near, w, g))
    with pytest.raises(CapabilityError):
        fitting.fit([write(tmp_path / "a.csv", rows)], model="vteam")
