"""What a training would count, from its first mini-batches: an estimate in the form of results, without training."""

from __future__ import annotations

import math
from typing import Any

from neurosim.core.errors import ConfigError
from neurosim.core.seeds import generator
from neurosim.study.experiment import Experiment
from neurosim.study.run import about
from neurosim.study.training import Training

BATCHES = 3
"""Mini-batches that rates are taken from, after the first."""
MEASURING = ("rows_read_back", "readback_conversions", "readback_line_cells", "readback_uS")
"""Counts of which the first mini-batch has more, as norms are measured in it, and then periodically,"""
CALIBRATING = (
    "calibration_reads",
    "ranging_reads",
    "ranging_conversions",
    "ranging_dac_conversions",
    "ranging_line_cells",
    "ranging_uS",
    "reads",
    "phases",
    "conversions",
    "dac_conversions",
    "read_line_cells",
    "read_sums",
    "read_uS",
)
"""and as converters are set, in networks each layer by what the one before answers then."""
SAID = (
    "estimated from the first {batches} of {total} mini-batches: forward reads and norms scale exactly, digital products "
    "by the inputs seen; pulses are those of untrained weights, usually more than later ones; refresh and what else comes "
    "seldom is missed, or weighs too much"
)


def estimated(experiment: Experiment, batches: int = BATCHES) -> dict[str, Any]:
    """Return results whose runs have nothing but events, scaled to the whole training.

    Parameters
    ----------
    experiment : Experiment
        Of any kind whose layers learn together.
    batches : int
        Mini-batches to learn after the first; their counts are scaled by the number of all, programming the start is not.

    Returns
    -------
    results : dict
        As of a study, with ``estimated``, a sentence for each arm, and one run of each arm on devices.

    Raises
    ------
    ConfigError
        If layers learn one after the other, so that the first mini-batches say nothing of later layers.
    """
    data = experiment.data()
    runs, said = [], {}
    for arm in experiment.device_arms():
        training = experiment.training(
            arm, experiment.first_seed, data
        )  # nobody asks it for classes: `begin` is left out
        if getattr(training, "greedy", False):
            raise ConfigError(
                "layers that learn one after the other cannot be estimated from the first mini-batches: run a small study "
                "and price its folder"
            )
        order = generator(training.seed, "order", 0).permutation(len(training.images))
        learnt = min(1 + batches, training.total)
        seen = [training.events()]
        for k in range(learnt):
            training.step(order[k * training.batch : (k + 1) * training.batch])
            training.steps += 1
            seen += [training.events()] if k in (0, learnt - 1) else []
        training.steps = training.total
        runs.append(
            {
                "arm": arm.name,
                "samples": training.images_shown,
                "seed": experiment.first_seed,
                "events": [
                    _scaled(*layer, learnt, training.total, _often(training, layer[0]["layer"]))
                    for layer in zip(seen[0], seen[1], seen[-1], strict=True)
                ],
            }
        )
        said[arm.name] = SAID.format(batches=learnt, total=training.total)
    return {"kind": experiment.kind, "runs": runs, "estimated": said, **about(experiment, data)}


def _often(training: Training, number: int) -> tuple[int, int]:
    """How many times in a training converters are set, and the norms of a layer measured, the first of them number 1."""
    calibrated = getattr(training.experiment, "calibrate_every", None)
    measured = getattr(training.layers[number - 1], "norm_every", None)
    return math.ceil(training.total / (calibrated or training.total)), math.ceil(
        training.total * max(1, training.updates_a_step) / (measured or training.total)
    )


def _scaled(
    start: dict[str, Any],
    first: dict[str, Any],
    last: dict[str, Any],
    learnt: int,
    total: int,
    often: tuple[int, int],
) -> dict[str, Any]:
    """Events of a layer after `total` mini-batches, from those before the first, after it, and after `learnt` of them.

    `often` says how many times converters are set in all, and norms measured.
    """
    calibrated, measured = often
    counts = {}
    for name, begun in start["counts"].items():
        once = first["counts"][name] - begun
        each = (last["counts"][name] - first["counts"][name]) / (learnt - 1) if learnt > 1 else once
        times = calibrated if name in CALIBRATING else measured if name in MEASURING else 0
        counts[name] = begun + each * total + max(0.0, once - each) * times
    scale = total / learnt
    return {**last, "wear": [[share, scale * pulses] for share, pulses in last["wear"]], "counts": counts}
