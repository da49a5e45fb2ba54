"""Which law a fit names: by the largest likelihood of each, with those that are not told apart on the card."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fit_grid import MOVES, Design, drawn
from benchmarks.fit_laws import PCM, chosen, drawn_pcm, page, written
from neurosim import devices
from neurosim.core import registry
from neurosim.devices.fitting import read_tables
from neurosim.devices.fitting.most_likely import largest_likelihood

NOISY = Design(0.03, 5.0, 50, 1, 10)
"""Noise of five steps: devices cross a third of their window in a few pulses."""


@pytest.mark.parametrize("law", ["soft-bounds", "linear-step"])
@pytest.mark.slow
def test_the_likelihood_that_ranks_is_that_of_the_truth_or_more(law):
    """The fit's own numbers lie far below where noise is as large as the window; the climb from the truth is the bar."""
    data = drawn(law, NOISY, np.random.default_rng(4))
    traces = list(data.pulses.traces)
    from_truth = largest_likelihood(
        traces, MOVES[law], data.origin_uS, data.own, data.shared, range(len(data.shared))
    ).value
    fitted = registry.find("law fitter", law)(data.pulses)
    assert fitted.largest.value > from_truth - 10
    assert registry.find("law fitter", "constant-step")(data.pulses).largest.value < from_truth


def test_noise_of_pulses_that_was_taken_for_noise_of_reads_is_found():
    """Noise of five steps; constant steps ended 400 below their truth, with larger steps and a third of the noise."""
    data = drawn("constant-step", NOISY, np.random.default_rng([2, 5, 1]))
    traces, true = list(data.pulses.traces), data.shared
    wrong = np.log([np.exp(true[0]) / 2.3, np.exp(true[1]) * 6.3])
    own = data.own + np.log([2.5, 2.1, 0.86, 0.86])
    move, free = MOVES["constant-step"], range(len(true))
    found = largest_likelihood(traces, move, data.origin_uS, own, wrong, free)
    assert found.value > largest_likelihood(traces, move, data.origin_uS, data.own, true, free).value - 1


def test_a_bound_that_no_device_reached_is_no_number_that_the_data_tell():
    data = drawn("constant-step", Design(0.003, 0.3, 20, 1, 3), np.random.default_rng(0))
    found = registry.find("law fitter", "constant-step")(data.pulses)
    assert found.parameters == 3 * 4 + 2
    assert found.largest.told == 3 * 2 + 2
    assert found.bic_of_told < found.bic
    met = drawn("constant-step", Design(0.06, 0.3, 60, 1, 3), np.random.default_rng(0))
    assert registry.find("law fitter", "constant-step")(met.pulses).largest.told == 3 * 4 + 2


@pytest.mark.slow
def test_a_law_whose_bound_lies_below_zero_gives_way_to_the_next():
    """Ten linear trains of three devices: soft bounds describe them as well, with a lower bound at -36 uS."""
    found = chosen("linear-step", 2, 0)
    assert found["outcome"] == "right"
    assert "lower bound would lie at -" in found["refused"]["soft-bounds"]
    assert any(note.startswith("Not ruled out") and "soft-bounds" in note for note in found["said"])


def test_phase_change_memory_is_drawn_with_the_moments_of_its_card():
    reads, sign = drawn_pcm((4000, 20, 1), np.random.default_rng(0))
    ours = devices.pulse_response("pcm-nandakumar-2018", sign, 4000, seed=1)
    for row in (1, 3, 10, 20):
        spread = np.hypot(reads[row].std(), ours[row].std()) / np.sqrt(4000)
        assert abs(reads[row].mean() - ours[row].mean()) < 5 * spread
        np.testing.assert_allclose(reads[row].std(), ours[row].std(), rtol=0.08)


def test_a_set_is_the_same_file_each_time_and_is_read_as_pulses(tmp_path):
    first = written(PCM, 2, 0, tmp_path).read_text(encoding="utf-8")
    file = written(PCM, 2, 0, tmp_path)
    assert file.read_text(encoding="utf-8") == first
    (table,) = read_tables([file])
    assert len(table.traces) == 1
    assert table.fewest(1) == 12 * 20


def test_the_page_counts_right_unsure_and_wrong():
    sets = {
        "soft-bounds 0 0": {"outcome": "right", "law": "soft-bounds", "said": []},
        "soft-bounds 0 1": {"outcome": "cannot tell", "law": "constant-step", "said": ["..."]},
        "linear-step 5 0": {"outcome": "wrong", "law": "constant-step", "said": []},
        "pcm-accumulative 1 0": {"outcome": "right", "law": PCM, "said": []},
    }
    text = page({"sets": sets})
    assert "Of 4 sets, 2 have the card of the right law" in text
    assert "1 (25.0 %) another without a word" in text
    assert (
        "| `soft-bounds` | step 0.003, noise 0.3, 3 x 50 up and down, 10 devices | 2 | 1 | 1 | 0 | `constant-step` |"
        in text
    )
