"""Arrays with wires: hand-solved circuits, an independent nodal analysis, the laws of linear circuits, SPICE."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from wires_helpers import RESISTANCES, SHAPES, TOPOLOGIES, WIRES, Nodal, agrees, cells

import neurosim as ns
from neurosim.core.errors import InputError
from neurosim.kernels.jit import threads

# Circuits solved by hand


def test_one_cell_is_four_resistances_in_series():
    m = ns.wires.effective_conductance([[20.0]], 10.0, 20.0, 300.0, 40.0)
    assert m == pytest.approx(1e6 / (1e6 / 20 + 10 + 20 + 300 + 40), rel=1e-14)


def test_two_cells_on_a_word_line():
    """Cell 0 beside segment and cell 1, perfect bit lines: a divider."""
    r, near, far = 1e3, 100e-6, 50e-6
    behind = far / (1 + r * far)
    node = 1 / (1 + r * (near + behind))
    expected = 1e6 * node * np.array([near, behind])
    np.testing.assert_allclose(ns.wires.effective_conductance([[100, 50]], r, 0), [expected], rtol=1e-14)


def test_two_cells_on_a_bit_line():
    """The mirror image: the last row is beside the sense amplifier, the first one a segment further."""
    r, near, far = 1e3, 100e-6, 50e-6
    behind = far / (1 + r * far)
    node = 1 / (1 + r * (near + behind))
    expected = 1e6 * node * np.array([behind, near])
    found = ns.wires.effective_conductance([[50], [100]], 0, r)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-14)


def test_two_by_two_by_hand():
    """1 S cells, 1 ohm segments: eight nodal equations in whole numbers, eliminated as fractions."""
    found = ns.wires.effective_conductance(np.full((2, 2), 1e6), 1.0, 1.0)
    np.testing.assert_allclose(1e-6 * found, [[7 / 44, 3 / 22], [5 / 22, 7 / 44]], rtol=1e-14)
    one = ns.wires.solve(np.full((2, 2), 1e6), [1.0, 0.0], 1.0, 1.0)
    np.testing.assert_allclose(44 * one.word_V, [[27, 20], [4, 5]], rtol=1e-13)
    np.testing.assert_allclose(44 * one.bit_V, [[17, 13], [7, 6]], rtol=1e-13)
    assert one.power_uW == pytest.approx(1e6 * 17 / 44, rel=1e-13)


# The independent nodal analysis


@pytest.mark.parametrize("kind", ["random", "bimodal", "log-uniform"])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_ways_agree_with_a_nodal_analysis(kind, shape):
    """Derived: Kirchhoff's laws of the netlist, branch by branch, by a sparse direct solver."""
    g = cells(kind, shape)
    volts = np.random.default_rng(1).uniform(-0.3, 0.3, shape[0])
    for wires in WIRES:
        nodal = Nodal(g, *wires)
        m = ns.wires.effective_conductance(g, *wires)
        assert m.shape == shape
        agrees(m, nodal.matrix_uS())
        one = ns.wires.solve(g, volts, *wires)
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


def test_wires_of_strong_cells_and_long_lines():
    """Wires that take nearly everything: 1 mS and 100 ohm a segment, 30 x 40."""
    g = cells("bimodal", (30, 40), 3)
    nodal = Nodal(g, 100.0, 100.0)
    m = ns.wires.effective_conductance(g, 100.0, 100.0)
    agrees(m, nodal.matrix_uS())
    volts = np.ones(30)
    agrees(ns.wires.solve(g, volts, 100.0, 100.0).output_uA, volts @ m)
    assert m.sum() < 0.1 * g.sum()


# Laws of linear circuits


def test_perfect_lines_give_the_conductances_themselves_bit_for_bit():
    for shape in SHAPES:
        g = cells("log-uniform", shape)
        np.testing.assert_array_equal(ns.wires.effective_conductance(g, 0, 0), g)
        one = ns.wires.solve(g, np.ones(shape[0]), 0, 0)
        assert one.iterations == 0
        assert one.wires_uW == 0.0
        assert not one.bit_V.any()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_small_resistances_approach_perfect_lines_in_proportion(shape):
    """The loss goes as r, and as small a resistance as 1e-9 ohm loses no digits."""
    g = cells("random", shape)
    loss = [g - ns.wires.effective_conductance(g, r, r, r, r) for r in (1e-3, 1e-2)]
    np.testing.assert_allclose(10 * loss[0], loss[1], rtol=1e-4)
    np.testing.assert_allclose(ns.wires.effective_conductance(g, *4 * [1e-9]), g, rtol=1e-11)


def test_superposition():
    g, wires = cells("random", (14, 11)), (20.0, 30.0, 100.0, 50.0)
    rng = np.random.default_rng(2)
    one, other = rng.uniform(-0.2, 0.2, (2, 14))
    first, second, both = (ns.wires.solve(g, v, *wires) for v in (one, other, 2 * one - 3 * other))
    for name in ("word_V", "bit_V", "cell_uA", "input_uA", "output_uA"):
        agrees(getattr(both, name), 2 * getattr(first, name) - 3 * getattr(second, name), 1e-12)


@pytest.mark.parametrize("shape", [(14, 11), (9, 17)])
def test_transposing_and_swapping_line_resistances_mirrors_the_array(shape):
    """Reciprocity: driving the sense ends and sensing the drivers gives the transposed matrix."""
    g = cells("log-uniform", shape)
    m = ns.wires.effective_conductance(g, 20.0, 5.0, 100.0, 60.0)
    mirrored = ns.wires.effective_conductance(g[::-1, ::-1].T, 5.0, 20.0, 60.0, 100.0)
    agrees(mirrored[::-1, ::-1].T, m, 1e-13)
    # the same of two ports by `solve`, which knows nothing of mirrors
    one = ns.wires.solve(g, np.eye(shape[0])[2], 20.0, 5.0, 100.0, 60.0).output_uA[3]
    back = np.eye(shape[1])[shape[1] - 1 - 3]
    other = ns.wires.solve(g[::-1, ::-1].T, back, 5.0, 20.0, 60.0, 100.0).output_uA[shape[0] - 1 - 2]
    assert one == pytest.approx(other, rel=1e-11)


def test_power_is_what_drivers_deliver_and_falls_with_every_resistance():
    """Rayleigh: no resistance of a network can grow without its dissipation falling, and no cell's either."""
    g = cells("random", (8, 6))
    volts = np.random.default_rng(4).uniform(-0.3, 0.3, 8)
    wires = dict(zip(RESISTANCES, (20.0, 30.0, 100.0, 50.0), strict=True))

    def power(conductances=g, **changed):
        one = ns.wires.solve(conductances, volts, **{**wires, **changed})
        assert one.power_uW == pytest.approx(volts @ one.input_uA, rel=1e-12)
        return one.power_uW

    before = power()
    for name in RESISTANCES:
        assert power(**{name: 2 * wires[name]}) < before < power(**{name: 0.0})
    for cell in np.ndindex(8, 6):
        weaker = g.copy()
        weaker[cell] *= 0.5
        assert power(weaker) < before


def test_kirchhoff_holds_at_both_ends():
    one = ns.wires.solve(cells("bimodal", (9, 7)), np.linspace(-0.2, 0.3, 9), 5.0, 3.0)
    np.testing.assert_allclose(one.input_uA.sum(), one.output_uA.sum(), rtol=1e-12)
    np.testing.assert_allclose(one.cell_uA.sum(axis=1), one.input_uA, rtol=1e-9, atol=1e-12)


def test_open_cells_and_open_arrays():
    assert not ns.wires.effective_conductance(np.zeros((5, 3)), 1.0, 1.0).any()
    assert ns.wires.solve(np.zeros((5, 3)), np.ones(5), 1.0, 1.0).power_uW == 0.0
    g = cells("random", (6, 5))
    g[:, 2] = 0.0
    assert not ns.wires.effective_conductance(g, 3.0, 4.0)[:, 2].any()


def test_one_ohm_a_segment_takes_a_fifth_of_a_conductance_at_128():
    """1-25 uS: the worst entry of M has lost 19 % of the largest conductance (256: half, 512: five sixths)."""
    g = np.random.default_rng(0).uniform(1, 25, (128, 128))
    m = ns.wires.effective_conductance(g, 1.0, 1.0)
    assert (g - m).max() / g.max() == pytest.approx(0.19, abs=0.005)
    assert (m > 0).all()
    assert (m < g).all()


def test_threads_change_no_bit():
    g, before = cells("random", (300, 140)), threads()
    found = ns.wires.effective_conductance(g, 1.0, 1.0)
    try:
        for count in (1, 2, 3):
            ns.set_threads(count)
            np.testing.assert_array_equal(ns.wires.effective_conductance(g, 1.0, 1.0), found)
    finally:
        ns.set_threads(before)


# SPICE


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not on the path")
@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("wires", WIRES)
def test_ngspice_finds_the_same_currents(wires, ends, tmp_path):
    """Against ngspice, where it is on the path."""
    g = cells("random", (4, 3))
    g[1, 1] = 0.0
    volts = [0.1, -0.2, 0.3, 0.0]
    (tmp_path / "array.cir").write_text(ns.wires.netlist(g, volts, *wires, **ends), encoding="utf-8")
    command = ["ngspice", "-b", "array.cir"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    printed = re.findall(r"i\(vsense(\d+)\) = (\S+)", done.stdout)
    assert [int(number) for number, _ in printed] == [0, 1, 2], done.stdout + done.stderr
    found = 1e6 * np.array([float(value) for _, value in printed])
    agrees(found, ns.wires.solve(g, volts, *wires, **ends).output_uA, 1e-6)


def test_a_netlist_names_every_part_once_and_leaves_out_what_is_not_there():
    text = ns.wires.netlist([[10.0, 0.0], [4.0, 5.0]], [0.1, 0.2], 1.0, 0.0, r_sense_ohm=7.0)
    parts = [line.split() for line in text.splitlines() if line[0] in "RV"]
    names = [part[0] for part in parts]
    assert len(set(names)) == len(names)
    assert ["Rc1_1", "w1_1", "b1_1", "200000.0"] in parts
    assert "Rc0_1" not in names
    assert ["Rb0_0", "out0", "b1_0", "7.0"] in parts
    assert "Rb0_1" not in names  # a perfect bit line is one node
    assert ["Rw0_1", "w0_0", "w0_1", "1.0"] in parts


# Refusals


@pytest.mark.parametrize(
    ("g", "message"),
    [
        ([1.0, 2.0], "shape"),
        (np.zeros((0, 3)), "at least one row"),
        ([[1.0, np.nan]], "NaN"),
        ([[1.0, -2.0]], "1 of 2 conductances are negative"),
        ([["a", "b"]], "expected numbers"),
    ],
)
def test_wrong_conductances_are_refused(g, message):
    for call in (
        lambda: ns.wires.effective_conductance(g, 1.0, 1.0),
        lambda: ns.wires.solve(g, [0.1], 1.0, 1.0),
        lambda: ns.wires.netlist(g, [0.1], 1.0, 1.0),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("name", RESISTANCES)
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1", None, [1.0, 2.0]])
def test_wrong_resistances_are_refused_by_name(name, value):
    wires = {**dict.fromkeys(RESISTANCES, 1.0), name: value}
    with pytest.raises(InputError, match=f"{name}: expected a finite number >= 0 in ohms"):
        ns.wires.effective_conductance([[1.0]], **wires)


def test_wrong_voltages_are_refused():
    for volts in ([0.1], [[0.1, 0.2]], [0.1, np.inf]):
        with pytest.raises(InputError, match="voltages_V"):
            ns.wires.solve([[1.0], [2.0]], volts, 1.0, 1.0)
