"""Wires, weakened pulses and half-selected devices at another reading delay: what they see is the device as it is read.

PCM without noise: a programmed conductance is met at the delay, and from there falls as (age / delay)^-0.04. So the
conductances behind the wires are written down by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_helpers import COLS, ROWS, close, inputs
from helpers import quiet_pcm
from wires_helpers import Nodal

from neurosim import Crossbar, wires

OHM = {"r_word_ohm": 4.0, "r_bit_ohm": 3.0, "r_driver_ohm": 20.0, "r_sense_ohm": 10.0}
LONG = {"r_word_ohm": 20.0, "r_bit_ohm": 20.0}
DELAYS = (1e-3, 3000.0)
STATED_S, NU = 38.6, 0.04
G_MIN, G_MAX = 0.1, 12.0
WEIGHTS = np.random.default_rng(7).uniform(-0.6, 0.6, (ROWS, COLS))

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.ExtrapolationWarning")


def array(delay_s: float, **options) -> Crossbar:
    read = {"read_noise": None, "reading_delay_s": delay_s}
    made = Crossbar((ROWS, COLS), quiet_pcm(), read=read, **options)
    made.program(WEIGHTS, w_max=1.0)
    return made


def by_hand(delay_s: float, age_s: float) -> np.ndarray:
    """Conductances (rows, 2 cols) of the weights at an age: one of each pair at rest, the other above it."""
    low, high = (g * (delay_s / STATED_S) ** -NU for g in (G_MIN, G_MAX))
    g = np.empty((ROWS, 2 * COLS))
    for arm, sign in ((0, 1), (1, -1)):
        g[:, arm::2] = low + np.maximum(sign * WEIGHTS, 0) * (high - low)
    return g * (max(age_s, delay_s) / delay_s) ** -NU


def span_uS(delay_s: float) -> float:
    return (G_MAX - G_MIN) * (delay_s / STATED_S) ** -NU


@pytest.mark.parametrize("delay_s", DELAYS)
@pytest.mark.parametrize("method", ["exact", "first-order"])
def test_wires_carry_the_currents_of_devices_at_their_age(method: str, delay_s: float) -> None:
    """At the delay and a day later, against a nodal analysis (or each line on its own) of conductances by hand."""
    behind, x = array(delay_s, wires={**OHM, "method": method}), inputs(20)
    for age_s in (0.0, 86_400.0):
        behind.advance(age_s)
        g = by_hand(delay_s, age_s)
        if method == "exact":
            behind.solve_wires()
            m = Nodal(g, *OHM.values()).matrix_uS()
        else:
            word, bit = wires.line_by_line(g, **OHM)
            m = g * word * bit
        m = m.reshape(ROWS, 2 * COLS)
        expected = x @ (m[:, ::2] - m[:, 1::2]) / span_uS(delay_s)
        close(behind.forward(x), expected, 2e-5)
        perfect = x @ (g[:, ::2] - g[:, 1::2]) / span_uS(delay_s)
        assert np.abs(perfect - expected).max() > 1e-3 * np.abs(perfect).max()


@pytest.mark.parametrize("delay_s", DELAYS)
@pytest.mark.parametrize("method", ["exact", "first-order"])
def test_wires_change_nothing_of_how_devices_learn_and_age(method: str, delay_s: float) -> None:
    """The same devices without wires: the same conductances, and the circuit of these is what is read."""
    found = [array(delay_s, wires=given) for given in ({**OHM, "method": method}, None)]
    for each in found:
        each.update(np.ones((1, ROWS)), np.linspace(-0.1, 0.1, COLS)[None])
        each.advance(86_400.0)
        each.update(np.ones((1, ROWS)), np.linspace(-0.1, 0.1, COLS)[None])
    behind, bare = found
    g = bare.conductance_uS().astype(np.float64)
    np.testing.assert_array_equal(behind.conductance_uS(), bare.conductance_uS())
    behind.solve_wires()
    m = wires.effective_conductance(g, **OHM)
    if method == "first-order":
        word, bit = wires.line_by_line(g, **OHM)
        m = g * word * bit
    x = inputs(20)
    close(behind.forward(x), x @ (m[:, ::2] - m[:, 1::2]) / span_uS(delay_s), 2e-5)


def strength(g: np.ndarray) -> np.ndarray:
    word, bit = wires.line_by_line(g, **LONG)
    return np.exp(-quiet_pcm().pulse_voltage_V * (1 - (word + bit) / 2) / 0.2)


@pytest.mark.parametrize("delay_s", DELAYS)
@pytest.mark.parametrize("age_s", [0.0, 86_400.0])
def test_the_strength_of_pulses_follows_conductances_at_their_age(delay_s: float, age_s: float) -> None:
    """exp(-lost / 0.2 V), the lost voltage line by line through the conductances by hand."""
    weak = array(delay_s, wires=LONG, write={"pulse_sensitivity_V": 0.2})
    weak.advance(age_s)
    weak.update(np.ones((1, ROWS)), np.full((1, COLS), 1e-6))
    found = weak._cells.strength
    expected, stated = (strength(by_hand(delay, age_s)) for delay in (delay_s, STATED_S))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.abs(found - stated).max() > 2e-3 or age_s > 0, "the card's own delay would not do"


@pytest.mark.parametrize("delay_s", DELAYS)
def test_half_selected_devices_move_and_are_charged_as_they_are_read(delay_s: float) -> None:
    """Every half pulse is as good as a whole one here (1e9 V an e-fold): neighbours move as if pulsed themselves.

    Charged for each half is (V / 2)^2 t of its conductance at the delay, by hand; for the pulse, what it costs alone.
    """
    half = array(delay_s, write={"pulse_sensitivity_V": 1e9, "half_select": True})
    pre, post = np.zeros((1, ROWS)), np.zeros((1, COLS))
    pre[0, 5], post[0, 3] = 1.0, half.weight_per_pulse
    assert half.update(pre, post, mode="mixed") == 1
    beside = np.zeros((ROWS, 2 * COLS), bool)
    beside[5], beside[:, 6] = True, True
    alone, once = array(delay_s), array(delay_s)
    alone.update(pre, post, mode="mixed")
    for sign in (1.0, -1.0):  # one pulse to every device of a pair
        once.update(np.ones((1, ROWS)), np.full((1, COLS), sign * once.weight_per_pulse), mode="mixed")
    before = by_hand(delay_s, 0.0)
    expected = np.where(beside, once.conductance_uS(), before)
    np.testing.assert_allclose(half.conductance_uS(), expected, rtol=2e-5)
    assert half.ledger.disturbs == ROWS + 2 * COLS - 2
    beside[5, 6] = False
    charged = (half.device.pulse_voltage_V / 2) ** 2 * half.device.pulse_time_s * 1e-6 * before[beside].sum()
    assert half.ledger.write_J == pytest.approx(alone.ledger.write_J + charged, rel=1e-5)
