"""Wires in an array that learns: which circuit is solved, when it is solved again, and how far off it is between."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_helpers import COLS, close, inputs, made
from helpers import IDEAL, PCM
from wires_helpers import TOPOLOGIES, cells

import neurosim as ns
from neurosim import ReadPath, Tiles, Wires, WritePath
from neurosim.core.errors import ConfigError, InputError
from neurosim.core.hardware import segment_ohm
from neurosim.crossbar.wired import Wired, physical_arrays

OHM = {"r_word_ohm": 4.0, "r_bit_ohm": 3.0, "r_driver_ohm": 20.0, "r_sense_ohm": 10.0}
QUIET = ReadPath(read_noise=None)
SHAPE = (32, 12)


def exact(g, **others):
    return ns.wires.effective_conductance(g, **OHM, **others)


def wired(shape=SHAPE, tiles=None, write=None, **settings) -> Wired:
    wires = Wires(**{**OHM, "method": "exact", **settings})
    return Wired(wires, physical_arrays(shape, tiles, write or WritePath()))


def devices(seed=0, shape=SHAPE) -> np.ndarray:
    return cells("random", (shape[0], 2 * shape[1]), seed).astype(np.float32)


def first_order(g):
    word, bit = ns.wires.line_by_line(g, **OHM)
    return g * word * bit


def column_error(found, solved) -> float:
    return np.abs(found.sum(axis=0) - solved.sum(axis=0)).max() / solved.sum(axis=0).max()


# Which circuit


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("pair", ["interleaved", "separate"])
def test_an_array_reads_the_circuit_as_laid_out(pair, ends):
    """Interleaved: one array of rows x 2 cols; separate: an array of plus and one of minus devices."""
    wires = Wires(**OHM, method="exact", **ends)
    array = made(IDEAL, read=QUIET, wires=wires, write=WritePath(pair=pair))
    g = array.conductance_uS().astype(np.float64)
    if pair == "interleaved":
        m = exact(g, **ends)
        through = m[:, ::2] - m[:, 1::2]
    else:
        through = exact(g[:, ::2], **ends) - exact(g[:, 1::2], **ends)
    x = inputs(20)
    close(array.forward(x), x @ through / 100, 1e-5)
    assert array.wires_report["method"] == "exact"
    assert np.abs(x @ (through - (g[:, ::2] - g[:, 1::2]))).max() > 0.5


def test_tiles_are_solved_each_on_their_own():
    found = wired(tiles=Tiles(word_lines=16, bit_lines=12)).seen(devices())
    for rows in (slice(0, 16), slice(16, 32)):
        for lines in (slice(0, 12), slice(12, 24)):
            close(found[rows, lines], exact(devices()[rows, lines]), 1e-6)


def test_other_wires_on_the_same_devices():
    array = made(IDEAL, read=QUIET)
    other = array.rewired(Wires(**OHM, method="exact"), Tiles(word_lines=12))
    g = array.conductance_uS()
    np.testing.assert_array_equal(other.conductance_uS(), g)
    m = np.concatenate([exact(g[:12]), exact(g[12:])])
    x = inputs(20)
    close(other.forward(x), x @ (m[:, ::2] - m[:, 1::2]) / 100, 1e-5)
    assert array.wires_report == {"method": "perfect"}


# When it is solved again


def test_solved_again_after_so_many_looks():
    layer, counts = wired(every=3, moved=10.0), []
    for step in range(7):
        layer.seen(devices() + np.float32(0.01 * step))
        counts.append(layer.solutions)
    assert counts == [1, 1, 1, 2, 2, 2, 3]


def test_solved_again_when_conductances_have_moved():
    layer, g = wired(moved=0.1), devices()
    layer.seen(g)
    layer.seen(1.09 * g)
    assert layer.solutions == 1
    close(layer.seen(1.11 * g), exact(1.11 * g), 1e-6)
    assert layer.solutions == 2
    layer.solve_next()
    layer.seen(1.11 * g)
    assert layer.solutions == 3


def test_the_followed_error_is_the_true_one():
    """Derived: recomputed from what was followed and the exact circuit of the same cells."""
    layer, g = wired(every=1000, moved=10.0), devices()
    layer.seen(g)
    now = np.where(np.random.default_rng(3).random(g.shape) < 0.3, devices(1), g)
    error = column_error(layer.seen(now), exact(now))
    assert layer.report()["largest_followed_error"] == 0.0
    layer.solve_next()
    layer.seen(now)
    assert layer.report()["largest_followed_error"] == pytest.approx(error, rel=0.02)
    assert 1e-6 < error < 1e-2


def test_auto_takes_first_order_only_where_its_estimated_error_is_small():
    g = devices()
    g[16:] /= 5  # less, and float32 rounds as much as first order errs
    layer = wired(tiles=Tiles(word_lines=16), method="auto", most_error=1e-4)
    found = layer.seen(g)
    first = np.concatenate([first_order(g[:16]), first_order(g[16:])])
    assert layer.exact.tolist() == [True, False]
    assert layer.method == layer.report()["method"] == "mixed"
    close(found[:16], exact(g[:16]), 1e-6)
    np.testing.assert_allclose(found[16:], first[16:], rtol=1e-5)
    for k, rows in enumerate((slice(0, 16), slice(16, 32))):
        error = column_error(first[rows], exact(g[rows]))
        assert error < layer.estimates[k] < 6 * error
    assert layer.report()["largest_estimated_error"] == layer.estimates[1] < 1e-4
    for method, exactly in (("first-order", False), ("exact", True)):
        layer = wired(method=method)
        layer.seen(g)
        assert layer.exact.tolist() == [exactly]
        assert layer.report()["method"] == method


def test_a_restored_array_goes_on_with_the_same_bits():
    def learn(array, steps):
        for step in steps:
            pre = inputs(1, seed=step)
            array.update(pre, inputs(1, COLS, seed=50 + step))
        return array.forward(inputs(5))

    options = {"wires": Wires(**OHM, method="exact", every=4), "read": QUIET}
    array, other = (made(PCM, **options) for _ in range(2))
    learn(array, range(6))
    other.restore(array.snapshot())
    np.testing.assert_array_equal(learn(array, range(6, 12)), learn(other, range(6, 12)))
    assert array.wires_report == other.wires_report


# Read noise


@pytest.mark.parametrize("shape", [(16, 8), (32, 16)])
def test_read_noise_through_wires_is_that_of_noisy_cells_in_the_circuit(shape):
    """sigma^2 (M / G)^2 of each device, against a fresh exact M of freshly drawn cells: 600 draws."""
    g = devices(2, shape).astype(np.float64)
    sigma, volts = 0.03 * g, np.random.default_rng(1).uniform(0, 1, shape[0])
    rng = np.random.default_rng(7)
    drawn = np.array([volts @ exact(g + sigma * rng.standard_normal(g.shape)) for _ in range(600)])
    expected = volts**2 @ np.square(sigma * exact(g) / g)
    perfect = volts**2 @ np.square(sigma)
    error = drawn.var(axis=0).sum() / expected.sum() - 1
    print(f"{shape}: variance off by {error:.2%}; wires took {1 - expected.sum() / perfect.sum():.2%} of it")
    assert abs(error) < 0.1


# Technology nodes


@pytest.mark.parametrize(("node", "ohm"), [(45, 1.34), (22, 2.97), (7, 10.1)])
def test_a_segment_at_a_technology_node(node, ohm):
    """DNN+NeuroSim's table, cells four wire widths apart."""
    assert segment_ohm(node) == pytest.approx(ohm, rel=5e-3)
    assert segment_ohm(node, pitch_F=2.0) == pytest.approx(ohm / 2, rel=5e-3)
    assert Wires.at_node(node).r_bit_ohm == Wires.at_node(node).r_word_ohm == segment_ohm(node)
    with pytest.raises((InputError, ConfigError), match="node_nm"):
        segment_ohm(28)
