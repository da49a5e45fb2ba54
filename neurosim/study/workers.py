"""Processes that carry out runs: they share the cores, tell how far they are, and end when their parent does."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from queue import Empty
from typing import Any

from neurosim.core.cautions import Caution, during, place
from neurosim.core.errors import LostWorkerError, Stopped
from neurosim.kernels.compiling import elsewhere, tell_once
from neurosim.kernels.jit import set_threads
from neurosim.study import stopping
from neurosim.study.training import Report

IDLE_S = 300
"""Seconds after which a process of loky that has nothing to do ends."""
FOLLOW_EVERY_S = 0.5
"""Seconds between looks whether the parent is still there."""
TELL_EVERY_S = 0.5
"""Seconds between two words of a worker about one run."""

LOST = {"KilledWorker"}
"""What executors that are not imported here raise where a worker is gone: dask, after it has tried on several."""

COMPILES = ("compiles",)
"""A worker's word that numba begins to compile there."""

_to_parent: Any = None
"""Queue in which this worker tells how far its runs are."""


@contextmanager
def workers_pool(count: int, report: Report | None = None) -> Iterator[ProcessPoolExecutor]:
    """Open so many processes that share the cores; what they tell by `tell` reaches `report`, and cautions given in
    them are given here, of the place that they had there.

    Where the block is left by an exception, such as `Stopped`, they are asked for the end as well: each writes the
    checkpoint of what it learns.
    """
    context = get_context("spawn")
    stop, told, done = context.Event(), context.Queue(), threading.Event()
    threads = max(1, (os.cpu_count() or 1) // count)
    listener = threading.Thread(target=_pass_on, args=(told, done, report, place()), daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(
            count, mp_context=context, initializer=_start, initargs=(threads, stop, told)
        ) as pool:
            try:
                yield pool
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        done.set()
        listener.join(timeout=2.0)


@contextmanager
def loky_pool(count: int | None = None, threads: int | None = None) -> Iterator[Executor]:
    """Open so many processes of loky (None: one a core), which end when this one does.

    Each has so many threads; None: they share the cores. Where the block is left by an exception, they end at once: what they were at goes on from its checkpoint.
    """
    from loky import get_reusable_executor

    count = count or os.cpu_count() or 1
    threads = threads or max(1, (os.cpu_count() or 1) // count)
    pool = get_reusable_executor(
        max_workers=count, timeout=IDLE_S, initializer=_start_of_loky, initargs=(threads, os.getpid())
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=True, kill_workers=True)
        raise
    pool.shutdown(wait=True)


def in_order(jobs: list[Future[Any]]) -> Iterator[Any]:
    """Yield what futures come to; where one was stopped, raises `Stopped` in words for all of them."""
    for job in jobs:
        try:
            yield came_to(job)
        except Stopped:
            raise Stopped from None


def came_to(job: Future[Any]) -> Any:
    """Return what a future came to; raises `LostWorkerError` where whoever carried it out is gone."""
    try:
        return job.result()
    except Exception as error:
        if isinstance(error, BrokenExecutor) or type(error).__name__ in LOST:
            raise LostWorkerError(
                f"a worker ended before its block was finished, killed or out of memory ({type(error).__name__}); what is "
                "finished is kept, and the same command goes on"
            ) from None
        raise


def tell(arm: str, seed: int, done: int, total: int) -> None:
    """Tell the parent how far a run is, now and then; the `Report` of a worker."""
    now = time.monotonic()
    if _to_parent is not None and (done >= total or now - _last.get((arm, seed), 0.0) >= TELL_EVERY_S):
        _last[arm, seed] = now
        _to_parent.put((arm, seed, done, total))


_last: dict[tuple[str, int], float] = {}


def _pass_on(told: Any, done: threading.Event, report: Report | None, where: tuple[str, ...]) -> None:
    while True:
        try:
            found = told.get(timeout=0.1)
        except Empty:
            if done.is_set():
                return
            continue
        if found == COMPILES:
            elsewhere()
        elif isinstance(found[0], Caution):
            with during(*where, *found[1]):
                _caution_again(found[0], *found[2:])
        elif report:
            report(*found)


_cautioned: dict[Any, Any] = {}
"""What this process remembers of cautions of its workers, by which Python's filter shows each once, where it is to."""


def _caution_again(caution: Caution, filename: str, lineno: int) -> None:
    """Give a caution of a worker; where cautions are errors, they are of the worker, and here only shown."""
    try:
        warnings.warn_explicit(caution, type(caution), filename, lineno, registry=_cautioned)
    except Caution:
        warnings.showwarning(caution, type(caution), filename, lineno)


def _send_cautions(told: Any) -> None:
    """Let cautions of this worker reach its parent, every one, for whoever counts them."""
    shown = warnings.showwarning

    def send(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *where: Any, **how: Any
    ) -> None:
        if isinstance(message, Caution):
            told.put((message, place(), filename, lineno))
        else:
            shown(message, category, filename, lineno, *where, **how)

    warnings.showwarning = send
    if not sys.warnoptions:
        warnings.simplefilter("always", Caution)


def _start(threads: int, stop: Any, told: Any) -> None:
    global _to_parent
    _to_parent = told
    _send_cautions(told)
    tell_once(lambda: told.put(COMPILES))
    set_threads(threads)
    stopping.ask_only()
    stopping.look_at(stop)
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def _start_of_loky(threads: int, parent: int) -> None:
    """What loky knows nothing of: how many threads, and that its parent may be killed."""
    set_threads(threads)
    stopping.ask_only()

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(FOLLOW_EVERY_S)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def lent(executor: Executor) -> Iterator[Executor]:
    """An executor of somebody else's, which is not shut down."""
    yield executor
