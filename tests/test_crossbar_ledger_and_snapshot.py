"""The crossbar's ledger of energy and counts, and its checkpoints."""

from __future__ import annotations

import helpers
import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, inputs, made
from helpers import BUILT_IN, HFO2, IDEAL, MODES, PCM, local_update, quiet

from neurosim import Crossbar, Periphery, ReadPath, Refresh, WritePath, devices
from neurosim.core.errors import CheckpointError
from neurosim.crossbar.ledger import Ledger

PJ = 1e-12


# Energy


def test_the_energy_of_a_read_is_the_one_computed_by_hand():
    """Devices V^2 x^2 G t; periphery: 3 DACs, 2 ADCs, 3 word lines of 4 cells."""
    weights = [[0.5, -0.5], [0.0, 0.0], [1.0, 0.25]]
    array = made(IDEAL, 3, 2, weights, read=ReadPath(dac_bits=8, adc_bits=8))
    array.ledger.take(Ledger())
    array.forward([[2.0, 1.0, -2.0]])
    volts = np.array([1.0, 64 / 127, -1.0])
    devices_J = 0.2**2 * (np.square(volts) @ [200.0, 200.0, 200.0]) * 1e-6 * 100e-9
    assert array.ledger.read_J == pytest.approx(devices_J, rel=1e-6)
    dac, adc = 50e-15 * 8 * 0.81, (100e-15 * 8 + 0.001e-15 * 4**8) * 0.81
    line = 2.1e-15 * 4 * 0.2**2
    assert array.ledger.read_periphery_J == pytest.approx(3 * dac + 2 * adc + 3 * line, rel=1e-9)
    assert array.ledger.reads == 1
    assert array.ledger.update_J == 0


@pytest.mark.parametrize(("bits", "picojoule"), [(4, 0.324), (6, 0.489), (8, 0.701), (10, 1.66)])
def test_the_adc_costs_what_zigzag_says(bits, picojoule):
    """(100 b + 0.001 4^b) fJ V^2 at 0.9 V (ZigZag); DAC 50 fF b V^2: 0.32 pJ at 8 bits."""
    assert Periphery().adc_J(bits) / PJ == pytest.approx(picojoule, rel=0.005)
    assert Periphery().dac_J(8) / PJ == pytest.approx(0.32, rel=0.02)
    assert Periphery().adc_J(None) == Periphery().adc_J(8)


def test_the_energy_of_learning_pulses_is_the_one_computed_by_hand():
    """Two SET pulses of 6.75 pJ; a bit line of 3 cells charged to 1.5 V for each; one product of 0.3 pJ, one accumulator."""
    array = made(PCM, 3, 2, np.zeros((3, 2)))
    step = 0.75 / (12 - 0.1)
    pre = np.array([[0, 1, 0]])
    assert array.update(pre, [[2 * step + 1e-6, 0]], mode="mixed") == 2
    ledger = array.ledger
    assert (ledger.pulses, ledger.pulsed_cells, ledger.updates) == (2, 1, 1)
    assert ledger.write_J == pytest.approx(2 * 6.75 * PJ, rel=1e-6)
    line = 2.1e-15 * 3 * 1.5**2
    products, memory = 0.3 * PJ, 2 * 5 * PJ
    assert ledger.write_periphery_J == pytest.approx(2 * line + products + memory, rel=1e-6)
    assert ledger.program_J == pytest.approx(12 * 20 * 6.75 * PJ, rel=1e-6)
    assert ledger.programmed_cells == 12


def test_the_energy_of_a_soft_bounds_update_is_the_one_computed_by_hand():
    """V^2 (G_before + G_after) / 2 t for each device of the pair, up and down."""
    law = quiet()
    array = made(law, 1, 1, [[0.0]])
    step = law.step * law.span_uS
    array.update([[1.0]], [[2 * step / 80 + 1e-7]], mode="mixed")
    np.testing.assert_allclose(array.conductance_uS(), [[50 + step, 50 - step]], rtol=1e-6)
    by_hand = 1.6**2 * 50e-9 * 1e-6 * ((50 + 50 + step) / 2 + (50 + 50 - step) / 2)
    assert array.ledger.write_J == pytest.approx(by_hand, rel=1e-6)


def test_the_energy_of_a_product_lies_below_the_measured_chip_and_within_ten_times():
    """256 x 256 pairs at 5 uS, 0.2 V, 100 ns: 2.6 nJ in the devices, 0.18 nJ ADC (ZigZag), 0.083 nJ DAC, by hand.

    0.04 pJ a multiply-accumulate, below the 0.19 to 0.205 pJ of HERMES (Khaddam-Aljameh et al. 2022, Le Gallo et
    al. 2023, 14 nm PCM), which includes clocking, digital units and leakage.
    """
    law = devices.load(IDEAL).with_parameters(g_min_uS=0.0, g_max_uS=10.0)
    array = made(law, 256, 256, np.zeros((256, 256)), read=ReadPath(dac_bits=8, adc_bits=8))
    array.forward(np.ones((1, 256)))
    by_hand = 0.2**2 * 2 * 256 * 256 * 5e-6 * 100e-9
    assert by_hand == pytest.approx(2.6e-9, rel=0.01)
    assert array.ledger.read_J == pytest.approx(by_hand, rel=1e-6)
    converters = 256 * (Periphery().adc_J(8) + Periphery().dac_J(8))
    assert converters == pytest.approx(0.18e-9 + 0.083e-9, rel=0.01)
    lines = 256 * 2.1e-15 * 512 * 0.2**2
    assert array.ledger.read_periphery_J == pytest.approx(converters + lines, rel=1e-9)
    each = (array.ledger.read_J + array.ledger.read_periphery_J) / 256**2
    assert each / PJ == pytest.approx(0.044, rel=0.05)
    assert 0.19 / 10 < each / PJ < 0.19


def test_row_reads_for_norms_are_counted_with_their_energy():
    array = made(IDEAL, 3, 2, np.zeros((3, 2)), read=ReadPath(adc_bits=6))
    array.column_norms()
    assert array.ledger.rows_read_back == 3
    assert array.ledger.readback_J == pytest.approx(0.2**2 * 3 * 200e-6 * 100e-9, rel=1e-6)
    per_row = 2 * Periphery().adc_J(6) + 2.1e-15 * 4 * 0.2**2
    assert array.ledger.write_periphery_J == pytest.approx(3 * per_row, rel=1e-9)


@pytest.mark.parametrize("name", BUILT_IN)
def test_energies_and_counts_add_up_over_operations(name):
    array, x = made(name, seed=8), inputs(150)
    start = array.ledger.to_array()
    array.forward(x)
    whole = array.ledger.to_array() - start
    parts = np.zeros_like(whole)
    for one in x:
        before = array.ledger.to_array()
        array.forward(one[None])
        parts += array.ledger.to_array() - before
    np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-20)
    total = array.ledger.update_J
    for step in range(4):
        before = array.ledger.update_J
        array.update(*local_update(ROWS, COLS, 4, seed=step, scale=0.1))
        total += array.ledger.update_J - before
    assert array.ledger.update_J == pytest.approx(total, rel=1e-12)
    assert (array.ledger.to_array() >= 0).all()


def test_the_energy_entry_of_results_agrees_with_the_ledger():
    array = made(PCM, write=WritePath(refresh=Refresh(every=2)))
    for step in range(6):
        array.update(*local_update(ROWS, COLS, 4, seed=step, scale=0.3))
    array.forward(inputs(3))
    entry, ledger = array.ledger.energy(ROWS * COLS), array.ledger
    assert entry["update_J"] == ledger.write_J + ledger.refresh_J + ledger.readback_J
    assert entry["update_J_per_synapse"] == pytest.approx(entry["update_J"] / (6 * ROWS * COLS))
    assert entry["periphery_J"] == ledger.write_periphery_J + ledger.read_periphery_J
    assert (entry["pulses"], entry["updates"]) == (ledger.pulses, 6)
    assert made(PCM).ledger.energy(10)["update_J_per_synapse"] == 0


# Checkpoints


def busy(array: Crossbar, start: int, steps: int) -> list[np.ndarray]:
    """Some of everything; returns what was read."""
    seen = []
    for step in range(start, start + steps):
        array.update(*local_update(*array.shape, 5, seed=step, scale=0.1), MODES[step % 3])
        seen.append(array.forward(inputs(7, array.shape[0], seed=step)))
        seen.append(array.column_norms())
        array.advance(float(step))
    return seen


@pytest.mark.filterwarnings("ignore::neurosim.core.cautions.ClippingWarning")
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_restored_array_goes_on_with_the_same_bits(name):
    read, write = ReadPath(dac_bits=6, adc_bits=8), WritePath(refresh=Refresh(every=2))
    array = made(name, seed=9, read=read, write=write)
    busy(array, 0, 5)
    array.calibrate(inputs(9))
    saved = array.snapshot()
    frozen = {key: value.copy() for key, value in saved.items()}
    expected = busy(array, 5, 5)
    for name_, value in saved.items():
        np.testing.assert_array_equal(value, frozen[name_], err_msg="a snapshot is a copy")
    other = Crossbar((ROWS, COLS), name, seed=9, read=read, write=write)
    other.restore(saved)
    found = busy(other, 5, 5)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert helpers.bits(other) == helpers.bits(array)
    array.restore(saved)
    again = busy(array, 5, 5)
    np.testing.assert_array_equal(again[-1], expected[-1])
    assert helpers.bits(other) == helpers.bits(array)


def test_a_snapshot_does_not_disturb_what_follows():
    watched, alone = made(PCM, seed=2), made(PCM, seed=2)
    for step in range(3):
        watched.snapshot()
        busy(watched, step, 1)
        busy(alone, step, 1)
    assert helpers.bits(watched) == helpers.bits(alone)


@pytest.mark.parametrize(
    ("shape", "device"),
    [
        ((COLS, ROWS), PCM),
        ((ROWS, COLS + 1), PCM),
        ((1, ROWS * COLS), PCM),
        ((ROWS * COLS, 1), PCM),
        ((ROWS, COLS), HFO2),
    ],
    ids=["transposed", "larger", "one row", "one column", "other device"],
)
def test_a_snapshot_of_another_array_is_refused_and_changes_nothing(shape, device):
    array, other = made(PCM), Crossbar(shape, device)
    before = helpers.bits(array)
    with pytest.raises(CheckpointError, match="does not fit"):
        array.restore(other.snapshot())
    assert helpers.bits(array) == before


@pytest.mark.parametrize("missing", sorted(Crossbar((2, 2), PCM).snapshot()))
def test_an_incomplete_snapshot_is_refused(missing):
    array = made(PCM)
    saved = array.snapshot()
    del saved[missing]
    with pytest.raises(CheckpointError, match=missing):
        array.restore(saved)
