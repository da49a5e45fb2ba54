"""Carry out the blocks of a sweep: here, by workers or any executor, or a share of them; what is finished stays finished."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from typing import Any

from neurosim.core.cautions import during
from neurosim.core.errors import ConfigError, InUseError, NeurosimError, Stopped
from neurosim.data.dataset import Dataset
from neurosim.study.controls import headline_bits
from neurosim.study.kept_runs import checkpoint_of, counted, trained
from neurosim.study.run import data_of
from neurosim.study.same import cautions_kept
from neurosim.study.store import open_folder, read_kept, write_json, write_kept
from neurosim.study.sweep import Block, Plan, Point, arm_of, data_key, deciding, images_digest
from neurosim.study.training import Training
from neurosim.study.workers import came_to, lent, workers_pool

Told = Callable[[str, int, int], None]
"""Called with (what was finished, blocks done, blocks in all)."""
AHEAD = 4
"""Blocks that an executor is given beyond those it works on, for each worker: memory stays flat however many there are."""


class Store:
    """The folder of a sweep: a checked file for each finished block, another for each that failed.

    Parameters
    ----------
    plan : Plan
    out : Path
    """

    def __init__(self, plan: Plan, out: Path):
        self.plan, self.out, self.folder = plan, out, out / "blocks"
        data = plan.data()
        digests: dict[str, str] = {}
        self.blocks: dict[str, Block] = {}
        for block in plan.blocks():
            experiment = block.learning
            which = data_key(experiment) + str(experiment.hold_out)
            if which not in digests:
                digests[which] = images_digest(experiment, data[data_key(experiment)])
            self.blocks[block.key(digests[which])] = block

    def path(self, key: str) -> Path:
        """Return where a finished block lies."""
        return self.folder / f"{key}.json"

    def failure(self, key: str) -> Path:
        """Return where it is said why a block failed."""
        return self.folder / f"{key}.failed.json"

    def missing(self, retry_failed: bool = False) -> list[str]:
        """Return the blocks that are neither finished nor, unless they are to be tried again, failed."""
        return [
            key
            for key in self.blocks
            if not self.path(key).exists() and (retry_failed or not self.failure(key).exists())
        ]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what is known of each point: results, or the error of a block that failed; nothing of missing ones."""
        for key, block in self.blocks.items():
            if self.path(key).exists():
                for row in read_kept(self.path(key), "rows")["rows"]:
                    yield {**row, "block": key}
            elif self.failure(key).exists():
                error = json.loads(self.failure(key).read_text(encoding="utf-8"))["error"]
                for point in block.points:
                    yield {**point.levels, "arm": block.arm, "seed": block.seed, "error": error, "block": key}


def carry_out(
    store: Store,
    told: Told | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
) -> None:
    """Carry out what is missing, in any order by anyone; the rows do not depend on it.

    Parameters
    ----------
    store : Store
    told : callable, optional
        Progress, called with (what was finished, done, total).
    workers : int
        Processes of this machine.
    executor : concurrent.futures.Executor, optional
        Where blocks are carried out instead: loky's, that of a dask client, one that submits jobs. Its workers must see
        the folder under the same path.
    shard : (int, int), optional
        Which part of how many, from 1: for job arrays that share a folder.
    retry_failed : bool
        Try blocks again that failed before.
    """
    open_folder(store.folder)
    open_folder(store.out / "runs")
    wanted = store.missing(retry_failed)
    if shard is not None:
        number, of = shard
        if not 1 <= number <= of:
            raise ConfigError(f"--shard {number}/{of}: must lie between 1/{of} and {of}/{of}")
        mine = set(list(store.blocks)[number - 1 :: of])
        wanted = [key for key in wanted if key in mine]
    done, total = len(store.blocks) - len(wanted), len(store.blocks)

    def finish(key: str) -> None:
        nonlocal done
        done += 1
        if told:
            block = store.blocks[key]
            told(f"{block.arm}, seed {block.seed}", done, total)

    with cautions_kept(store.out, store.plan.experiment, list(store.plan.columns)):
        if executor is None and workers <= 1:
            for key in wanted:
                work(store.blocks[key], key, store.out)
                finish(key)
            return
        most = AHEAD * max(workers, os.cpu_count() or 1)
        with workers_pool(workers) if executor is None else lent(executor) as where:
            for key in _in_flight(where, store, _longest_first(store, wanted), most):
                finish(key)


def _longest_first(store: Store, wanted: Sequence[str]) -> list[str]:
    """Order blocks so that workers end together: those on devices before those in ideal arithmetic, which take less."""
    return sorted(wanted, key=lambda key: store.blocks[key].learner().device is None)


def _in_flight(where: Executor, store: Store, wanted: Sequence[str], most: int) -> Iterator[str]:
    """Submit blocks, never more than `most` at a time; yield the key of each as it is finished."""
    waiting = iter(wanted)
    jobs: dict[Future[Any], str] = {}
    while True:
        for key in waiting:
            jobs[where.submit(work, store.blocks[key], key, store.out)] = key
            if len(jobs) >= most:
                break
        if not jobs:
            return
        for job in wait(jobs, return_when=FIRST_COMPLETED).done:
            key = jobs.pop(job)
            came_to(job)
            yield key


def work(block: Block, key: str, out: Path) -> str:
    """Carry out one block and write its file, or that of its failure; return its key.

    A pure function of the block and the code: another process, another machine ends in the same rows.
    """
    place = out / "blocks" / f"{key}.json"
    failure = place.with_suffix(".failed.json")
    try:
        with during(f"{block.arm}, seed {block.seed}"):
            rows = list(_rows(block, out))
    except (Stopped, InUseError):
        raise
    except (NeurosimError, ArithmeticError, MemoryError, ValueError) as error:
        write_json(
            failure, {"error": f"{type(error).__name__}: {error}", "arm": block.arm, "seed": block.seed}
        )
        return key
    write_kept(place, {"arm": block.arm, "seed": block.seed, "rows": rows})
    failure.unlink(missing_ok=True)
    return key


def _rows(block: Block, out: Path) -> Iterator[dict[str, Any]]:
    """What the block comes to at each of its points."""
    experiment, arm = block.learning, block.learner()
    data = data_of(experiment)
    if block.measure == "holding":
        yield from _held(block, data)
        return
    found: dict[str, Any] = {}
    again = [point for point in block.points if block.reads_again(point)]
    if (
        again
    ):  # first: it leaves a checkpoint from which what reads as it learnt is finished, and which then goes
        learnt = experiment.training(arm, block.seed, data)
        learnt.keeps_learnt = learnt.keeps_learnt or len(again) < len(block.points)
        trained(learnt, out)
        told = counted(learnt)
        for point in again:
            same = _reading(block, point)
            if same not in found:
                found[same] = {**_read_again(learnt, point, block, data), **told}
                if "untrained" in found[same]:
                    start = experiment.training(arm, block.seed, data)
                    found[same]["untrained"] = _read_again(start, point, block, data)
    if len(again) < len(block.points):
        found[""] = experiment.run(arm, block.seed, data, out, None)
    elif not learnt.keeps_learnt:
        checkpoint_of(learnt, out).unlink(missing_ok=True)
    for point in block.points:
        yield _row(block, point, found[_reading(block, point) if point in again else ""])


def _held(block: Block, data: Dataset) -> Iterator[dict[str, Any]]:
    """What the devices make of the weights of each layer; measured numbers have names that no axis has."""
    experiment = block.learning.only([block.arm])
    for layer in experiment.holding(data)[block.arm]:
        found = {f"held_{name}": value for name, value in layer.items() if name != "layer"}
        for point in block.points:
            yield {**point.levels, "arm": block.arm, "layer": layer["layer"], **found}


def _reading(block: Block, point: Point) -> str:
    """All that decides how what was learnt is read at a point."""
    read = deciding(point.reading, arm_of(point.reading, block.arm))
    return json.dumps([read, point.age_s], sort_keys=True)


def _read_again(learnt: Training, point: Point, block: Block, data: Dataset) -> dict[str, Any]:
    """What comes of what was learnt, or has not begun to learn, as a point reads it: calibrated anew, then aged."""
    reading = point.reading.training(arm_of(point.reading, block.arm), learnt.seed, data)
    reading.take_over(learnt)
    if point.age_s:
        for layer in reading.layers:
            layer.array.advance(point.age_s)
    return reading.result()


def _row(block: Block, point: Point, result: Any) -> dict[str, Any]:
    """One row of the table: levels, arm, seed, scores, and what was counted until then."""
    counted = result.get("counts") or result.get("original", {}).get("counts") or {}
    before = result.get("untrained") or {}
    return {
        **point.levels,
        "arm": block.arm,
        "seed": block.seed,
        **point.reading.scores(result),
        "beside": point.reading.beside(result),
        "untrained": before.get("accuracy"),
        "untrained_correct": before.get("correct", {}).get("accuracy"),
        "test_size": result.get("test_size") or result["original"]["test_size"],
        "seconds": result.get("seconds", result.get("original", {}).get("seconds")),
        "correct": headline_bits(result),
        "counts": counted,
        "events": result.get("events") or result.get("original", {}).get("events") or [],
        "along": result.get("along") or [],
        "samples": result.get("samples", result.get("original", {}).get("samples")),
    }
