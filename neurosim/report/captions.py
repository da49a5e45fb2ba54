"""What each figure shows and what to look for in it."""

from __future__ import annotations

from neurosim.report.results import Results
from neurosim.report.text import JOULES_OF_AN_UPDATE, PULSE_UNKNOWN
from neurosim.report.words import intervals


def accuracy(results: Results) -> str:
    """Caption of the accuracy bars."""
    return (
        f"Accuracy on the {results.data.where}, after learning, with {intervals(results)}. The distance between a bar's end and the diamond "
        "is what this array learned; a bar that does not pass the dashed line is no better than raw pixels. "
        "The vote needs no trained readout: every neuron answers with the class it wins most often."
    )


def gap(results: Results) -> str:
    """Caption of the gaps to ideal."""
    spread = "One seed: no interval."
    if results.seeds > 1:
        spread = f"Lines are {intervals(results)}, paired by seed; one that crosses zero does not tell device and ideal apart."
    return (
        f"Percentage points of accuracy on the {results.data.where} lost against ideal arithmetic: "
        f"right of zero the device is worse than ideal. {spread}"
    )


def curves(results: Results) -> str:
    """Caption of the learning curves."""
    thin = "Thick: mean over seeds; thin: each seed. " if results.seeds > 1 else ""
    return (
        f"Accuracy of the vote on training images of {results.data.note} that did not assign the classes "
        f"(not on the {results.data.reported_on}). {thin}A curve that jumps up and down belongs to weights "
        "that noise or coarse steps move as much as learning does; one that still rises would gain from more images."
    )


def energy(results: Results) -> str:
    """Caption of the energy bars."""
    batch = results.config.get("batch", "?")
    lacking = [arm.arm for arm in results.summary if arm.energy and not arm.energy.known]
    left_out = f" Without {', '.join(lacking)}: {PULSE_UNKNOWN}." if lacking else ""
    return (
        f"Energy of one update (a mini-batch of {batch} images) divided by the number of synapses. Left: what "
        "the devices themselves take. Right: the same with drivers, converters and digital sums. "
        f"Note that the two scales differ. {JOULES_OF_AN_UPDATE}{left_out}"
    )


def fields(results: Results, shown: int, total: int) -> str:
    """Caption of the receptive fields."""
    seed = results.config.get("first_seed", 0)
    return (
        f"Weights of the first {shown} of {total} neurons of each arm as images, seed {seed}; one colour scale "
        "an arm, that of the learned weights (larger start weights look cut off), zero in the middle. Fields that look like parts of the images have learned; fields that are still "
        "speckled have not."
    )


def histograms(results: Results) -> str:
    """Caption of the conductance histograms."""
    seed = results.config.get("first_seed", 0)
    return (
        f"All cells of each array, seed {seed}, logarithmic count. A pile at either end means saturated cells; "
        "where the line covers the grey, learning moved little."
    )
