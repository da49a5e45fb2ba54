"""The spiking soft winner-take-all has rate SoftHebb as its oracle: winners, one step in the mean, trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

import neurosim as ns
from neurosim import LIF, IdealArray, Soft, SpikingLayer
from neurosim.rules import SpikingSoftHebb

ROWS, COLS, DRAWS, SHARPNESS = 20, 6, 100_000, 3.0


class Watched(IdealArray):
    """Sums what updates would change instead of changing anything."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__(shape, "float64")
        self.total = np.zeros(shape)

    def update(self, pre, post, decay=None, mode="accumulate"):
        self.total += pre.T @ post - (0 if decay is None else decay * self.weights())
        return 0


def layer_on(array, rate=0.02, seed=1):
    """Potentials are answers in units of a weight: the gain takes the mean trace out."""
    made = SpikingLayer(
        array, SpikingSoftHebb(learning_rate=rate, rate_power=0.0, row_trace_s=20e-3), LIF(membrane_s=20e-3),
        Soft(temperature_mV=1.0), highest_Hz=100.0, seed=seed, norm_every=10**9,
    )  # fmt: skip
    gain = SHARPNESS / made.full_trace
    made.constants = made.constants._replace(gain=gain)
    return made


@pytest.fixture
def weights():
    return np.random.default_rng(5).normal(0, 0.3, (ROWS, COLS))


@pytest.fixture
def x():
    return np.random.default_rng(6).random(ROWS).astype(np.float32)


def softmax(u):
    e = np.exp(SHARPNESS * (u - u.max()))
    return e / e.sum()


def test_winners_are_as_frequent_as_the_softmax_says(weights, x):
    array = Watched((ROWS, COLS))
    array.program(weights)
    wins = layer_on(array).drawn(x, DRAWS, learn=False)
    assert wins.sum() == DRAWS
    expected = DRAWS * softmax(x.astype(float) @ weights)
    assert expected.min() > 50
    assert chisquare(wins, expected).pvalue > 1e-4


@pytest.mark.parametrize("draws", [10_000, pytest.param(DRAWS, marks=pytest.mark.slow)])
def test_the_mean_change_over_draws_is_one_rate_step_of_softhebb(weights, x, draws):
    """Each draw changes its winner alone: the variance of the mean change of a weight is that of a binomial share."""
    array, rate = Watched((ROWS, COLS)), 0.02
    array.program(weights)
    layer = layer_on(array, rate)
    layer.drawn(x, draws)
    u = x.astype(float) @ weights
    rule = ns.rules.SoftHebb(inverse_temperature=SHARPNESS, learning_rate=rate, rate_power=0.0)
    step = rule(x[None].astype(np.float64), u[None].copy(), rule.state(ROWS, COLS))
    expected = step.pre.T @ step.post - step.decay * weights
    y = softmax(u)
    one = rate * (x[:, None] - u * weights)
    error = np.abs(one) * np.sqrt(y * (1 - y) / draws)
    found = array.total / draws
    assert np.abs(found - expected).max() > 0, "drawn, not computed"
    assert (np.abs(found - expected) <= 5 * error + 1e-6).all()
    assert (np.abs(expected) > 5 * error).mean() > 0.5, "the steps are far larger than the bounds"
