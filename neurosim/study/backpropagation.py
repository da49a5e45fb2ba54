"""Training with labels end to end as an arm beside local rules: its settings, and the course that all kinds of study share."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from neurosim.core.frozen import Frozen
from neurosim.core.protocols import Floats, State
from neurosim.data.dataset import HELD_OUT, Dataset, Labelled
from neurosim.network.readout import halvings
from neurosim.study.training import Training

RADIUS = 2.0**0.5
"""Norm of the start weights that keeps the size of currents behind ReLU (He et al. 2015, arXiv 1502.01852)."""
CHUNK = 250
"""Images that are asked at once."""
BEST = "best."
"""Before the names, in a checkpoint, of the weights of the best epoch so far."""


class Backpropagation(Frozen):
    """Training end to end with labels, by Adam: of deep studies one net for each depth, with mini-batch and dropout of the heads."""

    epochs: int = Field(50, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    """Halved at the same shares of the epochs as that of the heads."""
    threads: int = Field(1, ge=1)
    """Threads of torch: the last bits of its sums depend on their number. One, where other trainings run beside it."""
    feedback: Literal["transposed", "random", "direct", "targets"] = "transposed"
    """How the error comes back to the layers: by the transposed weights, or without them by feedback alignment, direct
    feedback alignment, direct random target projection (`neurosim.reference.feedback`)."""
    patience: int | None = Field(None, ge=1)
    """Training ends once the accuracy on images kept aside has not risen for so many epochs, and the weights of the best epoch
    stay. Aside are the validation images, with `hold_out` one training image in six; neither is learnt from. None: it learns to
    the last epoch, from all images."""

    @model_serializer(mode="wrap")
    def _as_ever(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What came later is not named where it is not used, so that runs of before keep their names."""
        found: dict[str, Any] = dump(self)
        for name, unused in (("feedback", "transposed"), ("patience", None)):
            if name in found and found[name] == unused:
                del found[name]
        return found


def refuse_others(arm: Any) -> None:
    """Raise `ValueError` for an arm with `backpropagation` and with settings of a local rule or of devices."""
    others = arm.model_dump(exclude={"name", "seeds", "backpropagation"}, exclude_defaults=True)
    if arm.backpropagation is not None and others:
        raise ValueError(
            f"backpropagation trains whole nets with labels in ideal arithmetic: leave out {', '.join(others)}"
        )


class TaughtTraining(Training):
    """A net on its way through the images with their labels: the rate falls in steps, and ends where patience does.

    A kind of study sets `net` (`neurosim.reference.taught.Taught`), and says what of an image goes in (`_images`).

    Attributes
    ----------
    losses : dict
        Mean loss and accuracy of each epoch, on the images as they were learnt.
    aside : Labelled or None
        Images whose accuracy decides when training ends, with `patience`.
    shares : list of float
        Accuracy on these after each epoch.
    """

    keeps_learnt = True
    goes_on = False
    net: Any

    def __init__(self, experiment: Any, arm: Any, seed: int, data: Dataset):
        self.settings: Backpropagation = arm.backpropagation or Backpropagation()
        self.aside: Labelled | None = None
        super().__init__(experiment, arm, seed, data)
        self.losses: dict[str, list[float]] = {"loss": [], "accuracy": []}
        self.running = [0.0, 0.0]
        self.shares: list[float] = []
        self.best: State = {}

    def parts(self) -> tuple[Labelled, Labelled]:
        """Return the images that are learnt and those that are reported on; what is kept aside is neither."""
        fit, test = super().parts()
        if self.settings.patience is None:
            return fit, test
        if not self.experiment.hold_out:
            self.aside = Labelled(self.data.x_validation, self.data.y_validation)
            return self.data.training(hold_out=True), test
        kept = len(fit.labels) - len(fit.labels) // HELD_OUT
        self.aside = Labelled(fit.images[kept:], fit.labels[kept:])
        return Labelled(fit.images[:kept], fit.labels[:kept]), test

    @property
    def total(self) -> int:
        """Mini-batches of the whole training, as far as is known."""
        patience = self.settings.patience
        ended = patience is not None and self.shares and len(self.shares) - self.best_epoch >= patience
        return (len(self.shares) if ended else self.settings.epochs) * self.batches

    @property
    def best_epoch(self) -> int:
        """The epoch, the first of them 1, whose weights stay; with `patience`, once there was one."""
        return 1 + self.shares.index(max(self.shares))

    @property
    def kept_aside(self) -> list[Any]:
        """What an identity says of images kept aside: nothing without `patience`."""
        from neurosim.study.identity import content

        return [] if self.aside is None else [content(self.data, self.aside)]

    def run(self, progress: Any = None, save: Any = None) -> None:
        """Train to the end from wherever it stands; `save` is called after every mini-batch."""
        from neurosim.reference.taught import torch_threads

        with torch_threads(self.settings.threads):
            super().run(progress, save)

    def step(self, chosen: NDArray[np.int64]) -> None:
        """Learn one mini-batch."""
        epoch, batch = divmod(self.steps, self.batches)
        loss, right = self.net.learn(self._shown(chosen), self.fit.labels[chosen], self._rate(epoch))
        self.running[0] += loss / self.batches
        self.running[1] += right / (self.batches * self.batch)
        if batch + 1 == self.batches:
            for values, value in zip(self.losses.values(), self.running, strict=True):
                values.append(round(value, 6))
            self.running = [0.0, 0.0]
            if self.aside is not None:
                self._ask(self.aside)

    def _ask(self, aside: Labelled) -> None:
        """Ask for the images kept aside at the end of an epoch; keep the best weights, and go back to them at the end of all."""
        self.shares.append(float(self.right(aside).mean()))
        if self.best_epoch == len(self.shares):
            self.best = self.net.snapshot(adam=False)
        if self.steps + 1 == self.total:
            self.net.restore(self.best)
            self.best = {}

    def _shown(self, chosen: NDArray[np.int64]) -> Floats:
        """Return images as they are learnt."""
        return self._images(self.fit.images[chosen])

    def _rate(self, epoch: int) -> float:
        halved = sum(epoch >= first for first in halvings(self.settings.epochs))
        return self.settings.learning_rate * 0.5**halved

    def _images(self, flat: Any) -> Floats:
        """Return what goes in of images as the data set has them."""
        raise NotImplementedError

    def right(self, part: Labelled) -> NDArray[np.bool_]:
        """Return which images are classified right."""
        found: NDArray[np.bool_] = self._classes(part.images) == part.labels
        return found

    def _classes(self, images: Any) -> NDArray[np.int64]:
        from neurosim.reference.taught import torch_threads

        with torch_threads(self.settings.threads):
            answers = [
                self.net.predict(self._images(images[first : first + CHUNK]))
                for first in range(0, len(images), CHUNK)
            ]
        found: NDArray[np.int64] = np.concatenate(answers)
        return found

    @property
    def course_of_losses(self) -> dict[str, list[float]]:
        """Loss and accuracy of each epoch; with `patience`, the accuracy on images kept aside."""
        return self.losses if self.aside is None else {**self.losses, "aside": self.shares}

    @property
    def stopped(self) -> dict[str, int]:
        """With `patience` the epochs that it learnt, and which one's weights stay."""
        return (
            {} if self.aside is None else {"learnt_epochs": len(self.shares), "best_epoch": self.best_epoch}
        )

    def snapshot(self) -> State:
        """Return the net; a finished one leaves out what only further training needs."""
        found: State = self.net.snapshot(adam=self.steps < self.total)
        return {**found, **{f"{BEST}{name}": values for name, values in self.best.items()}}

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        self.net.restore({name: values for name, values in saved.items() if not name.startswith(BEST)})
        self.best = {name.removeprefix(BEST): v for name, v in saved.items() if name.startswith(BEST)}

    def notes(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside arrays."""
        aside = {} if self.aside is None else {"shares": self.shares}
        return {**super().notes(), "losses": self.losses, "running": self.running, **aside}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint."""
        super().take_notes(notes)
        self.losses, self.running = notes["losses"], notes["running"]
        self.shares = notes.get("shares", [])
