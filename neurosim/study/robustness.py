"""Images spoilt by chance or on purpose: how a trained network stands them, on devices as in ideal arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from neurosim.core.errors import InputError
from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.network.readout import Labels
from neurosim.study.evaluate import looking
from neurosim.study.statistics import decision
from neurosim.study.store import pack_bits

Asked = Callable[[Floats], Labels]
"""Images (n, height, width, channels) in [0, 1] to classes (n,)."""
SPOILT = {"noise": "Gaussian noise", "fgsm": "FGSM", "pgd": "PGD"}
"""Ways of spoiling images by their name in settings and results."""
CHUNK = 250


class Robustness(Frozen):
    """Reported-on images that are spoilt and asked again, through the head of the last depth that has one.

    Levels are in units of the images, whose pixels go from 0 to 1 and stay there.

    References
    ----------
    FGSM: Goodfellow et al. 2015, arXiv 1412.6572. PGD: Madry et al. 2018, arXiv 1706.06083.
    """

    noise: tuple[float, ...] = ()
    """Standard deviations of Gaussian noise, drawn anew for each pixel."""
    fgsm: tuple[float, ...] = ()
    """Largest change of a pixel by one step along the sign of the gradient of the margin (`neurosim.reference.attacks`)."""
    pgd: tuple[float, ...] = ()
    """Largest change of a pixel by `steps` such steps from a random start, each going back into this box."""
    steps: int = Field(20, ge=1)
    images: int = Field(1000, ge=1)
    """The first so many."""

    @model_validator(mode="after")
    def _some_levels(self) -> Robustness:
        for name in SPOILT:
            for level in getattr(self, name):
                if not 0 <= level <= 1:
                    raise ValueError(f"{name} = {level}: pixels go from 0 to 1, so must levels")
        if not any(getattr(self, name) for name in SPOILT):
            raise ValueError(f"give levels of at least one of {', '.join(SPOILT)}")
        return self

    @property
    def attacks(self) -> bool:
        """Whether images are spoilt on purpose."""
        return bool(self.fgsm or self.pgd)


def spoilt_of(training: Any, ask: Asked, net: Any, arrays: Sequence[Any] = ()) -> dict[str, Any]:
    """Return what a result says of a network's robustness: the rows of `asked_again`, and of how many images they are."""
    settings: Robustness = training.experiment.robustness
    images = training.data.inputs(training.test.images[: settings.images])
    refuse_other_scales(images)
    shaped = images.reshape(-1, *training.image_shape)
    rows = asked_again(settings, shaped, training.test.labels, training.seed, ask, net, arrays)
    return {"robustness": rows, "robustness_images": len(images)}


def refuse_other_scales(images: Floats) -> None:
    """Raise `InputError` for images whose pixels do not go from 0 to 1: levels and clipping would be of another unit."""
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise InputError(
            f"robustness: pixels go from {images.min():g} to {images.max():g}, and levels are of pixels from 0 to 1; scale the data "
            "set so, or leave robustness out"
        )


def asked_again(
    settings: Robustness,
    images: Floats,
    labels: Labels,
    seed: int,
    ask: Asked,
    net: Any,
    arrays: Sequence[Any] = (),
) -> list[dict[str, Any]]:
    """Spoil images in every way and to every level that is asked for, and ask the network again.

    Parameters
    ----------
    settings : Robustness
    images : (n, height, width, channels) array
    labels : (n,) array
    seed : int
        Of the noise and the random starts, the same for every arm.
    ask : callable
        The network as it is: on devices with all that reads do.
    net : differentiable network or None
        What an attacker follows (`neurosim.reference.attacks`): the weights as they are stored, in ideal arithmetic.
    arrays : sequence
        Arrays that are read, whose counters and draws stay as they were.

    Returns
    -------
    rows : list of dict
        ``spoilt`` and ``level``, ``accuracy`` and which images were ``correct``, packed; of attacks ``copy_accuracy``, that of
        the weights that the attacker followed: where the network is better than these, its noise has saved it. The first
        row is that of unspoilt images, level 0 of "none".
    """
    images, labels = images[: settings.images], labels[: settings.images]
    rows = []
    with ExitStack() as stack:
        for array in arrays:
            stack.enter_context(looking(array))
        for name, level, spoilt in _spoilt(settings, images, labels, seed, net):
            right = _asked(ask, spoilt) == labels
            row: dict[str, Any] = {"spoilt": name, "level": level, "accuracy": float(right.mean())}
            if name in ("fgsm", "pgd"):
                row["copy_accuracy"] = float((_asked(net.predict, spoilt) == labels).mean())
            rows.append({**row, "correct": pack_bits(right)})
    return rows


def _asked(ask: Asked, images: Floats) -> Labels:
    return np.concatenate([ask(images[k : k + CHUNK]) for k in range(0, len(images), CHUNK)])


def _spoilt(
    settings: Robustness, images: Floats, labels: Labels, seed: int, net: Any
) -> Iterator[tuple[str, float, Floats]]:
    yield "none", 0.0, images
    for level in settings.noise:
        drawn = generator(seed, "robustness", "noise").standard_normal(images.shape, np.float32)
        yield "noise", level, np.clip(images + np.float32(level) * drawn, 0, 1)
    if not settings.attacks:
        return
    from neurosim.reference.attacks import attacked

    for level in settings.fgsm:
        yield "fgsm", level, attacked(net, images, labels, level)
    for level in settings.pgd:
        start = generator(seed, "robustness", "pgd").uniform(-1, 1, images.shape).astype(np.float32)
        yield "pgd", level, attacked(net, images, labels, level, settings.steps, start)


def summarised(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each arm, way and level: the accuracy of its chips, with its interval."""
    found = []
    for arm in dict.fromkeys(run["arm"] for run in runs):
        own = [run for run in runs if run["arm"] == arm and "robustness" in run]
        for place in range(len(own[0]["robustness"]) if own else 0):
            rows = [run["robustness"][place] for run in own]
            as_runs = [
                {
                    "arm": arm, "seed": run["seed"], "accuracy": row["accuracy"],
                    "test_size": run["robustness_images"], "correct": {"accuracy": row["correct"]},
                }
                for run, row in zip(own, rows, strict=True)
            ]  # fmt: skip
            entry = {
                "arm": arm, "seeds": len(own), "spoilt": rows[0]["spoilt"], "level": rows[0]["level"],
                "accuracy_mean": float(np.mean([row["accuracy"] for row in rows])),
                **decision("accuracy", as_runs, []),
            }  # fmt: skip
            if "copy_accuracy" in rows[0]:
                entry["copy_accuracy_mean"] = float(np.mean([row["copy_accuracy"] for row in rows]))
            found.append(entry)
    return found
