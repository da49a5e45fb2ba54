"""Wires line by line: exact for one kind of line, first order for both, and its own estimate of the error."""

from __future__ import annotations

import numpy as np
import pytest
from wires_helpers import TOPOLOGIES, agrees, cells

import neurosim as ns
from neurosim.kernels.jit import threads

KINDS = ("random", "bimodal", "log-uniform")


def first_order(g, *wires, **ends):
    word, bit = ns.wires.line_by_line(g, *wires, **ends)
    return g * word * bit


def true_error(found, exact) -> float:
    """Largest difference of a column's current, all rows driven, over the largest current."""
    return np.abs(found.sum(axis=0) - exact.sum(axis=0)).max() / exact.sum(axis=0).max()


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_where_one_kind_of_line_is_perfect(kind, ends):
    for shape in ((1, 1), (1, 6), (6, 1), (17, 9), (70, 3)):
        g = cells(kind, shape)
        for wires in (
            (30.0, 0, 200.0, 0),
            (0, 20.0, 0, 70.0),
            (0, 0, 50.0, 0),
            (0, 0, 0, 50.0),
            (0, 0, 0, 0),
        ):
            agrees(first_order(g, *wires, **ends), ns.wires.effective_conductance(g, *wires, **ends), 1e-12)


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_falls_as_the_square_of_the_resistances(kind, ends):
    g = cells(kind, (20, 14))
    errors = [
        np.abs(
            first_order(g, r, 2 * r, 3 * r, r, **ends)
            - ns.wires.effective_conductance(g, r, 2 * r, 3 * r, r, **ends)
        ).max()
        for r in (2e-2, 1e-2, 5e-3)
    ]
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 4, rtol=0.02)


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_lies_above_the_error_and_within_six_times_it(kind, ends):
    for seed, shape in enumerate(((32, 32), (64, 24), (24, 64), (96, 96))):
        g = cells(kind, shape, seed) / (40 if kind != "random" else 1)
        for ohm in (0.2, 1.0, 4.0):
            shares = ns.wires.line_by_line(g, ohm, ohm, **ends)
            error = true_error(g * shares[0] * shares[1], ns.wires.effective_conductance(g, ohm, ohm, **ends))
            assert error < ns.wires.estimated_error(g, *shares) < 6 * error, (shape, ohm)


@pytest.mark.parametrize("ends", TOPOLOGIES)
@pytest.mark.parametrize("change", ["cells", "columns"])
def test_following_a_change_beats_the_stale_matrix_and_the_bare_first_order(change, ends):
    rng = np.random.default_rng(5)
    g = cells("random", (64, 64))
    now = g.copy()
    if change == "cells":
        chosen = rng.random(g.shape) < 0.1
        now[chosen] = rng.uniform(1, 25, g.shape)[chosen]
    else:
        now[:, ::8] = np.minimum(1.5 * g[:, ::8], 25)
    then, exact = (ns.wires.effective_conductance(each, 3.0, 3.0, **ends) for each in (g, now))
    lines_then, lines_now = (first_order(each, 3.0, 3.0, **ends) for each in (g, now))
    found = ns.wires.followed(then, lines_then, lines_now)
    error = true_error(found, exact)
    print("followed", error, "stale", true_error(then, exact), "first order", true_error(lines_now, exact))
    assert error < 0.2 * true_error(then, exact)
    assert error < 0.9 * true_error(lines_now, exact)
    np.testing.assert_array_equal(ns.wires.followed(then, lines_then, lines_then), then)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_threads_change_no_bit(precision):
    g, before = cells("random", (150, 333)).astype(precision), threads()
    try:
        found = []
        for count in (1, 2):
            ns.set_threads(count)
            found.append(ns.wires.line_by_line(g, 1.0, 2.0, 30.0, 4.0, "double", "double"))
    finally:
        ns.set_threads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
