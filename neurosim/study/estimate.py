"""What a training would count, from its first mini-batches: an estimate in the form of results, without training."""

from __future__ import annotations

from typing import Any

from neurosim.core.errors import ConfigError
from neurosim.core.seeds import generator
from neurosim.study.experiment import Experiment
from neurosim.study.run import about

BATCHES = 3
"""Mini-batches that rates are taken from."""
SAID = (
    "estimated from the first {batches} of {total} mini-batches: forward reads scale exactly, digital products by the "
    "inputs seen; pulses are those of untrained weights, usually more than later ones; what comes seldom (refresh, decay, "
    "norms) is missed, or weighs too much"
)


def estimated(experiment: Experiment, batches: int = BATCHES) -> dict[str, Any]:
    """Return results whose runs have nothing but events, scaled to the whole training.

    Parameters
    ----------
    experiment : Experiment
        Of any kind whose layers learn together.
    batches : int
        Mini-batches to learn; their counts are scaled by the number of all, programming the start is not.

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
        training = experiment.training(arm, experiment.first_seed, data)
        if getattr(training, "greedy", False):
            raise ConfigError(
                "layers that learn one after the other cannot be estimated from the first mini-batches: run a small study "
                "and price its folder"
            )
        training.begin()
        start, learnt = training.events(), min(batches, training.total)
        order = generator(training.seed, "order", 0).permutation(len(training.images))
        for k in range(learnt):
            training.step(order[k * training.batch : (k + 1) * training.batch])
            training.steps += 1
        scale = training.total / max(learnt, 1)
        runs.append(
            {
                "arm": arm.name,
                "seed": experiment.first_seed,
                "events": [
                    {
                        **now,
                        "wear": [[share, scale * pulses] for share, pulses in now["wear"]],
                        "counts": {
                            name: before["counts"][name] + scale * (count - before["counts"][name])
                            for name, count in now["counts"].items()
                        },
                    }
                    for before, now in zip(start, training.events(), strict=True)
                ],
            }
        )
        said[arm.name] = SAID.format(batches=learnt, total=training.total)
    return {"kind": experiment.kind, "runs": runs, "estimated": said, **about(experiment, data)}
