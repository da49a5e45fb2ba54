"""Word lines driven and bit lines sensed at one end or both: by hand, by nodal analysis, by laws of circuits."""

from __future__ import annotations

import numpy as np
import pytest
from wires_helpers import RESISTANCES, TOPOLOGIES, WIRES, Nodal, agrees, cells

import neurosim as ns
from neurosim.core.errors import InputError

SHAPES = ((1, 1), (1, 7), (7, 1), (2, 2), (20, 9), (9, 20), (13, 12))
BOTH = {"drive": "double", "sense": "double"}
LOSSY = (20.0, 30.0, 100.0, 50.0)


# Circuits solved by hand


@pytest.mark.parametrize("ends", TOPOLOGIES)
def test_one_cell_between_terminals_in_parallel(ends):
    driven, sensed = 310.0, 60.0
    line = driven / (2 if ends["drive"] == "double" else 1) + sensed / (2 if ends["sense"] == "double" else 1)
    m = ns.wires.effective_conductance([[20.0]], 10.0, 20.0, 300.0, 40.0, **ends)
    assert m == pytest.approx(1e6 / (1e6 / 20 + line), rel=1e-13)


def test_two_cells_on_a_word_line_driven_at_both_ends():
    """Two nodes a segment apart, each behind a driver and its segment: 2 x 2 nodal equations by Cramer's rule."""
    r, driver, left, right = 1e3, 500.0, 100e-6, 50e-6
    end, between = 1 / (r + driver), 1 / r
    one, other = end + between + left, end + between + right
    determinant = one * other - between**2
    node = np.array([end * other + between * end, end * one + between * end]) / determinant
    found = ns.wires.effective_conductance([[100, 50]], r, 0, driver, drive="double")
    np.testing.assert_allclose(found, [1e6 * node * [left, right]], rtol=1e-13)
    mirrored = ns.wires.effective_conductance([[50], [100]], 0, r, 0, driver, sense="double")
    np.testing.assert_allclose(mirrored[::-1].T, found, rtol=1e-13)


def test_two_by_two_of_equal_cells_driven_and_sensed_at_both_ends():
    """All inputs alike, every node has its mirror image: no current passes between the two cells of a line."""
    g, word, bit, driver, sense = 40.0, 100.0, 200.0, 300.0, 50.0
    expected = 1e6 / (1e6 / g + word + driver + bit + sense)
    m = ns.wires.effective_conductance(np.full((2, 2), g), word, bit, driver, sense, **BOTH)
    np.testing.assert_allclose(m.sum(axis=0), 2 * expected, rtol=1e-13)
    one = ns.wires.solve(np.full((2, 2), g), np.ones(2), word, bit, driver, sense, **BOTH)
    np.testing.assert_allclose(one.cell_uA, expected, rtol=1e-12)
    np.testing.assert_allclose(one.word_V, 1 - 1e-6 * expected * (word + driver), rtol=1e-12)
    np.testing.assert_allclose(one.bit_V, 1e-6 * expected * (bit + sense), rtol=1e-12)


@pytest.mark.parametrize(("ends", "resistors"), list(zip(TOPOLOGIES, (0, 2, 3, 5), strict=True)))
def test_a_netlist_has_every_node_and_every_resistor(ends, resistors):
    """3 x 2 with all resistances: 6 nodes on each kind of line, a resistor more for each further terminal."""
    text = ns.wires.netlist(np.ones((3, 2)), np.ones(3), *LOSSY, **ends)
    parts = [line.split() for line in text.splitlines() if line[0] == "R"]
    assert len(parts) == 3 * 6 + resistors
    assert len({part[0] for part in parts}) == len(parts)
    nodes = {node for part in parts for node in part[1:3]}
    assert sum(node[0] == "w" for node in nodes) == sum(node[0] == "b" for node in nodes) == 6


# The independent nodal analysis


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("kind", ["random", "bimodal", "log-uniform"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_topology_agrees_with_a_nodal_analysis(kind, shape, ends):
    """Derived: Kirchhoff's laws branch by branch, by a sparse direct solver."""
    g = cells(kind, shape)
    volts = np.random.default_rng(1).uniform(-0.3, 0.3, shape[0])
    for wires in WIRES:
        nodal = Nodal(g, *wires, **ends)
        m = ns.wires.effective_conductance(g, *wires, **ends)
        agrees(m, nodal.matrix_uS())
        one = ns.wires.solve(g, volts, *wires, **ends)
        word, bit, driven, sensed = (part[:, 0] for part in nodal.solve(volts[:, None]))
        for found, expected in (
            (one.word_V.ravel(), word),
            (one.bit_V.ravel(), bit),
            (one.input_uA, 1e6 * driven),
            (one.output_uA, 1e6 * sensed),
            (one.output_uA, volts @ m),
        ):
            scale = max(np.abs(expected).max(), 1e-9 * np.abs(g).sum())
            assert np.abs(found - expected).max() <= 1e-9 * scale


# Laws of linear circuits


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_perfect_lines_and_small_resistances(shape, ends):
    g = cells("random", shape)
    np.testing.assert_array_equal(ns.wires.effective_conductance(g, 0, 0, **ends), g)
    loss = [g - ns.wires.effective_conductance(g, r, r, r, r, **ends) for r in (1e-3, 1e-2)]
    np.testing.assert_allclose(10 * loss[0], loss[1], rtol=1e-4)
    np.testing.assert_allclose(ns.wires.effective_conductance(g, *4 * [1e-9], **ends), g, rtol=1e-11)


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("shape", [(14, 11), (9, 17), (30, 7)])
def test_transposing_swaps_word_and_bit_lines(shape, ends):
    """Reciprocity, which one side of the comparison may have used; `solve` knows nothing of mirrors."""
    g, swapped = cells("log-uniform", shape), {"drive": ends["sense"], "sense": ends["drive"]}
    m = ns.wires.effective_conductance(g, 20.0, 5.0, 100.0, 60.0, **ends)
    mirrored = ns.wires.effective_conductance(g[::-1, ::-1].T, 5.0, 20.0, 60.0, 100.0, **swapped)
    agrees(mirrored[::-1, ::-1].T, m, 1e-12)
    one = ns.wires.solve(g, np.eye(shape[0])[2], 20.0, 5.0, 100.0, 60.0, **ends).output_uA[3]
    back = np.eye(shape[1])[shape[1] - 1 - 3]
    other = ns.wires.solve(g[::-1, ::-1].T, back, 5.0, 20.0, 60.0, 100.0, **swapped)
    assert one == pytest.approx(other.output_uA[shape[0] - 1 - 2], rel=1e-10)


@pytest.mark.parametrize("ends", TOPOLOGIES)
def test_power_and_driving_point_conductance_fall_with_every_resistance(ends):
    """Rayleigh; and power is what the drivers deliver. A further terminal is a resistance made finite."""
    g = cells("random", (8, 6))
    volts = np.random.default_rng(4).uniform(-0.3, 0.3, 8)
    wires = dict(zip(RESISTANCES, LOSSY, strict=True))

    def both(**changed):
        settings = {**wires, **ends, **changed}
        one = ns.wires.solve(g, volts, **settings)
        assert one.power_uW == pytest.approx(volts @ one.input_uA, rel=1e-12)
        return one.power_uW, ns.wires.solve(g, np.eye(8)[3], **settings).input_uA[3]

    before = both()
    for name in RESISTANCES:
        more, none = both(**{name: 2 * wires[name]}), both(**{name: 0.0})
        assert more[0] < before[0] < none[0]
        assert more[1] < before[1] < none[1]
    for name in ends:
        if ends[name] == "single":
            more = both(**{name: "double"})
            assert more[0] > before[0]
            assert more[1] > before[1]


@pytest.mark.parametrize("ends", TOPOLOGIES)
def test_superposition(ends):
    g = cells("random", (14, 11))
    one, other = np.random.default_rng(2).uniform(-0.2, 0.2, (2, 14))
    first, second, both = (
        ns.wires.solve(g, v, *LOSSY, **ends).output_uA for v in (one, other, 2 * one - 3 * other)
    )
    agrees(both, 2 * first - 3 * second, 1e-12)


@pytest.mark.parametrize(("ends", "loss"), list(zip(TOPOLOGIES, (0.19, 0.13, 0.13, 0.054), strict=True)))
def test_second_terminals_save_most_of_the_worst_loss_at_128(ends, loss):
    g = np.random.default_rng(0).uniform(1, 25, (128, 128))
    m = ns.wires.effective_conductance(g, 1.0, 1.0, **ends)
    assert (g - m).max() / g.max() == pytest.approx(loss, abs=0.005)


@pytest.mark.parametrize("name", ["drive", "sense"])
def test_other_ends_are_refused(name):
    with pytest.raises(InputError, match=f"{name}: expected 'single' or 'double', got 'left'"):
        ns.wires.effective_conductance([[1.0]], 1.0, 1.0, **{name: "left"})
