"""Trainings that go on after they were killed, at the same mini-batch and with the same bits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurosim.core.errors import CheckpointError
from neurosim.core.protocols import State
from neurosim.study.store import read_arrays, read_kept, text_array, text_digest, write_arrays, write_kept

Report = Callable[[str], None]
SAVE_EVERY_S = 120.0


class Resumable:
    """A training that stands at `steps` of `total` mini-batches; `save` and `resume` lose no bit."""

    name: str
    """Of the arm, for whoever reads along."""
    seed: int
    steps: int = 0
    seconds: float = 0.0

    @property
    def identity(self) -> str:
        """What a checkpoint must agree with: everything that determines the trained bits."""
        raise NotImplementedError

    @property
    def evaluation(self) -> str:
        """What determines a result beyond the training."""
        raise NotImplementedError

    @property
    def total(self) -> int:
        """Mini-batches of the whole training."""
        raise NotImplementedError

    def run(self, progress: Callable[[int, int], None] | None = None, save: Any = None) -> None:
        """Train to the end from wherever it stands; `save` is called after every mini-batch."""
        raise NotImplementedError

    def result(self, report: Report | None = None) -> dict[str, Any]:
        """Evaluate what was learnt and return one entry of the results' `runs`."""
        raise NotImplementedError

    def snapshot(self) -> State:
        """Return everything that learns, as named arrays."""
        raise NotImplementedError

    def restore(self, saved: State) -> None:
        """Go back to a snapshot; raises `CheckpointError` if it does not fit."""
        raise NotImplementedError

    def notes(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside arrays."""
        return {"steps": self.steps, "seconds": self.seconds}

    def take_notes(self, notes: dict[str, Any]) -> None:
        """Go back to notes of a checkpoint."""
        self.steps, self.seconds = notes["steps"], notes["seconds"]

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        notes = {"identity": self.identity, **self.notes()}
        write_arrays(path, {**self.snapshot(), "notes": text_array(json.dumps(notes))})

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises `CheckpointError` if it is damaged or belongs to another experiment."""
        saved = read_arrays(path)
        try:
            notes = json.loads(saved.pop("notes").tobytes())
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it to start again") from None
        if notes["identity"] != self.identity:
            raise CheckpointError(f"{path} belongs to another experiment; choose another --out or delete it")
        self.restore(saved)
        self.take_notes(notes)


def checkpoint_of(training: Resumable, out: Path) -> Path:
    """Return where `finished` keeps what was learnt."""
    return out / "runs" / f"{text_digest(training.identity)}.npz"


def finished(training: Resumable, out: Path, report: Report | None = None) -> dict[str, Any]:
    """Train to the end and evaluate; what is finished in `out` is not computed again.

    What was learnt stays there too: another evaluation does not train it again.
    """
    checkpoint = checkpoint_of(training, out)
    kept = out / "runs" / f"{checkpoint.stem}-{text_digest(training.evaluation)}.json"
    if kept.exists():
        return read_kept(kept, "arm", "seed", "accuracy", "test_size", "layers")
    if checkpoint.exists():
        training.resume(checkpoint)
    last = time.monotonic()

    def save() -> None:
        nonlocal last
        if time.monotonic() - last > SAVE_EVERY_S or training.steps == training.total:
            training.save(checkpoint)
            last = time.monotonic()
            if report:
                report(
                    f"{training.name}, seed {training.seed}: {training.steps} of {training.total} mini-batches"
                )

    training.run(save=save)
    result = training.result(report)
    write_kept(kept, result)
    return result
