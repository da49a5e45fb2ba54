"""Output errors of whole arrays, from programming to a year, against what the composition of pairs predicts."""

from __future__ import annotations

import numpy as np
import pytest
from composition_array_helpers import (
    ARRAYS,
    COLS,
    FIXED,
    LEVELS,
    READ_NOISY,
    ROWS,
    compare_array,
    pair_targets,
    pairs,
    predicted,
)
from composition_helpers import LIMIT
from composition_reference import composed, delay, parameters

from neurosim import Crossbar, ReadPath

# Cards without drift say so when time passes.
pytestmark = pytest.mark.filterwarnings("ignore:.* has no retention data")


def departures(name: str, is_read_noisy: bool = False) -> list[str]:
    """What is off by more than the limit, and again with four times as many arrays."""
    first = [row for row in compare_array(name, is_read_noisy) if abs(row["off"]) > LIMIT]
    if not first:
        return []
    known = {(row["age_s"], row["statistic"]) for row in first}
    again = compare_array(name, is_read_noisy, seeds=64, seed=1)
    return [
        f"{name}, {row['statistic']} at {row['age_s']:.4g} s: {row['off']:+.1f} standard errors, "
        f"rms {row['rms']:.4g} for {row['predicted_rms']:.4g}"
        for row in again
        if (row["age_s"], row["statistic"]) in known and abs(row["off"]) > LIMIT
    ]


@pytest.mark.parametrize("name", ARRAYS)
def test_output_errors_of_an_ideal_read_path_are_those_of_its_pairs(name):
    """Error of y - x w end to end, at every age, against pairs drawn by the plain numpy composition."""
    assert departures(name) == []


@pytest.mark.parametrize("name", READ_NOISY)
def test_white_read_noise_adds_its_sum_of_variances(name):
    assert departures(name, is_read_noisy=True) == []


@pytest.mark.parametrize("name", ARRAYS)
def test_pairs_are_asked_for_what_the_mapping_says(name):
    """As stored, before the clock moves: half of the devices lie below the composition's median, at every level."""
    p, n = parameters(name), 2000
    array = Crossbar((n, len(LEVELS)), name, seed=3, read=ReadPath(read_noise=None), write=FIXED)
    array.program(np.tile(LEVELS, (n, 1)))
    found = np.asarray(array.conductance_uS()).reshape(n, len(LEVELS), 2)
    rng = np.random.default_rng(0)
    for k, weight in enumerate(LEVELS):
        for side, target in enumerate(pair_targets(p, weight)):
            median = np.median(composed(p, target, [delay(p)], 50_000, rng))
            assert np.median(found[:, k, side]) == pytest.approx(median, abs=0.01 * p["g_max_uS"])


def test_an_output_is_the_sum_of_its_pairs():
    """The prediction against devices drawn one by one, in numpy alone."""
    p = parameters("pcm-nandakumar-2018")
    rng = np.random.default_rng(5)
    level, x = rng.integers(len(LEVELS), size=(ROWS, COLS)), rng.uniform(0, 1, (2, ROWS))
    mean, variance = predicted(level, x, pairs(p, [100.0], 200_000, rng), is_read_noisy=False)
    drawn = []
    scale = 1 / (p["g_max_uS"] - p["g_min_uS"])
    column = np.array(LEVELS)[level[:, 0]]
    for weight in column:
        plus, minus = (composed(p, target, [100.0], 20_000, rng)[0] for target in pair_targets(p, weight))
        drawn.append((plus - minus) * scale - weight)
    outputs = x @ np.array(drawn)
    assert outputs.mean(1) == pytest.approx(mean[0, :, 0], abs=0.02)
    assert outputs.var(1) == pytest.approx(variance[0, :, 0], rel=0.05)
