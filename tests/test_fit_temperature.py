"""Retention with its activation energy, relaxation, and drift at several temperatures, drawn with numpy alone."""

from __future__ import annotations

import numpy as np
import pytest
from fit_drawn import KT_EV, aged
from fit_helpers import drawn_in_numpy, uncorrected, within, write, write_traces
from test_cli import neurosim

from neurosim import devices
from neurosim.core.errors import DataError
from neurosim.devices.fitting import Drift, RelaxationFit, RetentionFit, read_tables
from neurosim.devices.fitting.retention import by_temperature
from neurosim.report.fit_sheet import fit_sheet

LATE = np.geomspace(100, 3e5, 14)


def losing(energy, tau_300, rest, kelvins, count, seed):
    """Records that fall back to rest, sooner when hot."""
    draws, found = np.random.default_rng(seed), []
    for kelvin in kelvins:
        tau = tau_300 * np.exp(energy / KT_EV * (1 / kelvin - 1 / 300))
        for _ in range(count):
            found.append((kelvin, LATE, rest + (draws.uniform(30, 80) - rest) * np.exp(-LATE / tau)))
    return found


@pytest.mark.parametrize(
    ("energy", "tau", "kelvins", "count", "heading"),
    [
        (1.1, 3e9, (400.0, 425.0, 450.0), 4, "Temperature (°C)"),
        (0.6, 1e6, (300.0, 330.0), 6, "Temperature (K)"),
        (1.5, 1e12, (420.0, 460.0), 2, "Bake temperature [°C]"),
    ],
)
def test_an_activation_energy_is_recovered(tmp_path, energy, tau, kelvins, count, heading):
    records = losing(energy, tau, 5.0, kelvins, count, 1)
    found = uncorrected([aged(tmp_path / "hot.csv", records, 0.02, 2, heading)])
    assert isinstance(found.ageing, RetentionFit)
    within(found.intervals["retention_activation_eV"], energy)
    within(found.intervals["retention_s"], tau)
    within(found.intervals["g_min_uS"], 5.0)
    device = found.card.device()
    assert device.reference_K == 300
    hot = device.with_parameters(temperature_K=kelvins[-1], activation_low_eV=0.0, activation_high_eV=0.0)
    held = devices.programmed(hot, [60.0], [1.0, 1e4], 5)[:, 0].mean(axis=1)
    tau_hot = tau * np.exp(energy / KT_EV * (1 / kelvins[-1] - 1 / 300))
    assert held[1] == pytest.approx(5 + 55 * np.exp(-1e4 / tau_hot), rel=0.05)


def test_intervals_of_an_activation_energy_hold_what_they_promise(tmp_path):
    held = []
    for seed in range(25):
        records = losing(1.0, 1e9, 5.0, (390.0, 420.0, 450.0), 2, seed)
        energy = uncorrected([aged(tmp_path / "hot.csv", records, 0.03, seed)]).intervals[
            "retention_activation_eV"
        ]
        held.append(energy.low <= 1.0 <= energy.high)
    assert np.mean(held) >= 0.8


def test_one_temperature_tells_no_energy(tmp_path):
    found = uncorrected([aged(tmp_path / "warm.csv", losing(1.0, 1e5, 5.0, (300.0,), 6, 3), 0.01, 4)])
    assert "retention_activation_eV" not in found.card.parameters
    within(found.intervals["retention_s"], 1e5)
    assert any("measured at 300 K alone" in note for note in found.card.notes)
    assert fit_sheet(found).axes[0].get_title(loc="left").startswith("Retention: ")


def test_states_fall_back_to_the_rest_of_a_pulsed_device(tmp_path):
    pulses = write_traces(tmp_path / "p.csv", drawn_in_numpy("soft-bounds", 0.06, 0.3, 50, 2, 8, 4))
    rest = uncorrected([pulses], "soft-bounds").card.device().g_rest_uS
    hot = aged(tmp_path / "hot.csv", losing(1.1, 3e9, rest, (400.0, 430.0), 5, 5), 0.01, 6)
    found = uncorrected([pulses, hot], "soft-bounds")
    within(found.intervals["retention_activation_eV"], 1.1)
    assert found.ageing.rest_uS is None
    assert "g_min_uS" in found.intervals


def drifting(exponent, kelvins, count, seed):
    """Records that drift by a power of time, with the mean exponent of each temperature."""
    draws, times = np.random.default_rng(seed), np.geomspace(20, 1e5, 9)
    return [
        (
            kelvin,
            times,
            draws.uniform(10, 60) * (times / 20) ** -(exponent(kelvin) + 0.004 * draws.standard_normal()),
        )
        for kelvin in kelvins
        for _ in range(count)
    ]


def test_an_exponent_of_drift_that_follows_the_temperature_is_said_not_averaged(tmp_path):
    records = drifting(lambda kelvin: 0.03 + 5e-4 * (kelvin - 300), (300.0, 350.0, 400.0), 6, 1)
    found = uncorrected([aged(tmp_path / "d.csv", records, 0.005, 2)])
    within(found.intervals["drift_table_exponent"], 0.03)
    (note,) = (note for note in found.card.notes if "depends on the temperature" in note)
    assert "No law here has that; the card has drift at 300 K alone" in note


def test_an_exponent_of_drift_that_does_not_is_pooled(tmp_path):
    records = drifting(lambda kelvin: 0.03, (300.0, 350.0, 400.0), 6, 3)
    found = uncorrected([aged(tmp_path / "d.csv", records, 0.005, 4)])
    within(found.intervals["drift_table_exponent"], 0.03)
    assert any(
        "does not depend on the temperature (300, 350, 400 K) beyond chance" in note
        for note in found.card.notes
    )


def test_relaxation_is_told_from_drift_where_conductances_differ(tmp_path):
    draws, times, records = np.random.default_rng(2), np.geomspace(1, 1e5, 9), []
    for level in np.linspace(5, 80, 24):
        records.append((300.0, times, level + (-0.09 + 0.04 * draws.standard_normal()) * np.log(times)))
    found = uncorrected([aged(tmp_path / "r.csv", records, 5e-4, 3, "")])
    assert isinstance(found.ageing, RelaxationFit)
    within(found.intervals["relaxation_mean_uS"], -0.09)
    within(found.intervals["relaxation_sigma_slope_uS"], 0.04)
    assert "drift_table_exponent" not in found.card.parameters
    seen = devices.programmed(found.card.device(), [50.0], [1.0, np.exp(8.0)], 2000)[:, 0]
    assert (seen[1] - seen[0]).mean() == pytest.approx(8 * found.ageing.mean_uS.value, rel=0.1)


def test_drift_stays_drift(tmp_path):
    for seed in range(5):
        records = drifting(lambda kelvin: 0.05, (300.0,), 20, seed)
        found = uncorrected([aged(tmp_path / "d.csv", records, 0.01, seed, "")])
        assert found.ageing is None
        within(found.intervals["drift_table_exponent"], 0.05)


def test_temperatures_without_a_unit_are_not_used_and_said(tmp_path):
    file = aged(tmp_path / "d.csv", drifting(lambda kelvin: 0.05, (300.0,), 3, 1), 0.01, 1, "Temp")
    (table,) = read_tables([file])
    assert table.temperature_K == ()
    assert '"Temp" not used, it has no unit (--column temperature_K="Temp" or temperature_C)' in table.said[1]
    (table,) = read_tables([file], columns={"temperature_K": "Temp"})
    assert set(table.temperature_K) == {300.0}
    with pytest.raises(DataError, match="not above absolute zero"):
        read_tables(
            [
                write(
                    tmp_path / "cold.csv",
                    ["time_s,G (uS),T (K)".replace("T (", "temp ("), "1,5,-3", "9,4,-3", "90,3,-3"],
                )
            ]
        )


def test_the_command_writes_a_card_that_ages(tmp_path):
    file = aged(tmp_path / "hot.csv", losing(1.1, 3e9, 5.0, (400.0, 430.0), 4, 1), 0.02, 2)
    done = neurosim("fit", str(file), "--out", "hot.toml", cwd=tmp_path)
    assert "activation energy" in done.stdout.replace("\n", " ")
    assert devices.load(tmp_path / "hot.toml").retention_activation_eV == pytest.approx(1.1, abs=0.1)


def test_the_spread_between_devices_is_no_dependence_on_the_temperature():
    """Two devices, each with its own exponent at both temperatures: all records count. One that follows it is still told."""
    times, draws = np.geomspace(20, 1e5, 9), np.random.default_rng(0)

    def measured(exponents):
        records, kelvins = [], []
        for name, of_device in exponents.items():
            for kelvin, exponent in of_device.items():
                noise = 1 + 0.002 * draws.standard_normal(times.size)
                records.append((name, times, 40 * (times / 20) ** -exponent * noise))
                kelvins.append(kelvin)
        return Drift(tuple(records), "d.csv", temperature_K=tuple(kelvins))

    alike = measured({"a": {300.0: 0.05, 350.0: 0.05}, "b": {300.0: 0.03, 350.0: 0.03}})
    assert by_temperature(alike) == (alike, ())
    apart = measured({"a": {300.0: 0.05, 350.0: 0.07}, "b": {300.0: 0.03, 350.0: 0.05}})
    kept, means = by_temperature(apart)
    assert [name for name, _, _ in kept.devices] == ["a", "b"]
    assert [mean.value for _, mean in means] == pytest.approx([0.04, 0.06], abs=0.003)
    hot = (300.0, 325.0, 350.0)
    many = measured({k: {t: 0.04 + 0.01 * int(k) + 1e-4 * (t - 300) for t in hot} for k in "0123"})
    assert len(by_temperature(many)[1]) == 3


def test_devices_at_one_temperature_each_do_not_tell_it_from_their_spread(tmp_path):
    records = drifting(lambda kelvin: 0.03 + 4e-4 * (kelvin - 300), (300.0, 350.0), 2, 1)
    found = uncorrected([aged(tmp_path / "d.csv", records, 0.001, 2)])
    (note,) = (note for note in found.card.notes if "cannot be told apart" in note)
    assert "Measure devices at several temperatures each" in note
