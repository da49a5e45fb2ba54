"""Sweeps that are killed, by loky, shards and dask: run again, they end in the table of an undisturbed run.

That of a killed serial sweep is in test_sweep.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_sweep import AXES, DENSE, TINY, table
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.core.errors import NeurosimError
from neurosim.study.swept import sweep

BLOCKS = 14
WAIT_S = 240.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return table(sweep(DENSE.changed(seeds=2), tmp_path_factory.mktemp("whole"), AXES))


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """What follows `neurosim sweep` or `neurosim collect`: the sweep of `undisturbed` into the folder o."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**TINY, "seeds": 2}.items()]
    (tmp_path / "e.toml").write_text("\n".join(lines), encoding="utf-8")
    axes = [word for axis in AXES for word in ("--axis", axis)]
    return [str(tmp_path / "e.toml"), "--out", str(tmp_path / "o"), *axes]


def begun(*words: str) -> subprocess.Popen[str]:
    """The command line, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "neurosim", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


def done(*words: str) -> str:
    run = begun(*words)
    said = "".join(run.communicate(timeout=WAIT_S))
    assert run.returncode == 0, said
    return said


def finished(out: Path) -> dict[str, int]:
    """The blocks that are there, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "blocks").glob("*.json")}


def wait_for(ready: Callable[[], bool], run: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + WAIT_S
    while not ready():
        assert run is None or run.poll() is None, run.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Processes whose parent has this number."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def learning(out: Path) -> Iterator[int]:
    """Processes that hold the lock of a training."""
    for lock in out.glob("runs/*.lock"):
        with contextlib.suppress(OSError, ValueError):
            yield int(json.loads(lock.read_text())[0])


def the_rest_alone(out: Path, before: dict[str, int], undisturbed: list[dict[str, Any]]) -> None:
    """What was finished was not computed again, and the table is whole."""
    assert 1 <= len(before) < BLOCKS
    assert len(finished(out)) == BLOCKS
    assert {name: finished(out)[name] for name in before} == before
    assert table(json.loads((out / "sweep.json").read_text())) == undisturbed


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
class TestLoky:
    @pytest.fixture(autouse=True)
    def _loky(self) -> None:
        pytest.importorskip("loky")

    @pytest.mark.slow
    def test_the_command_is_killed(
        self, words: list[str], tmp_path: Path, undisturbed: list[dict[str, Any]]
    ) -> None:
        out = tmp_path / "o"
        run = begun("sweep", *words, "--executor", "loky")
        wait_for(lambda: len(finished(out)) >= 1, run)
        workers = children(run.pid)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert len(workers) >= 2
        wait_for(lambda: not any(alive(pid) for pid in workers))
        before = finished(out)
        again = CliRunner().invoke(app, ["sweep", *words])
        assert again.exit_code == 0, again.output
        the_rest_alone(out, before, undisturbed)

    @pytest.mark.slow
    def test_a_worker_is_killed(
        self, words: list[str], tmp_path: Path, undisturbed: list[dict[str, Any]]
    ) -> None:
        out = tmp_path / "o"
        run = begun("sweep", *words, "--executor", "loky")
        wait_for(lambda: len(finished(out)) >= 1 and any(learning(out)), run)
        os.kill(next(learning(out)), signal.SIGKILL)
        said = "".join(run.communicate(timeout=WAIT_S))
        assert run.returncode == 2
        assert "Traceback" not in said
        assert "a worker ended before its block was finished" in said
        assert "the same command goes on" in said
        before = finished(out)
        done("sweep", *words, "--executor", "loky")
        the_rest_alone(out, before, undisturbed)


@pytest.mark.slow
def test_one_of_two_shards_is_killed(
    words: list[str], tmp_path: Path, undisturbed: list[dict[str, Any]]
) -> None:
    out = tmp_path / "o"
    first, second = (begun("sweep", *words, "--shard", shard) for shard in ("1/2", "2/2"))
    wait_for(lambda: len(finished(out)) >= 2, second)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    said = "".join(first.communicate(timeout=WAIT_S))
    assert first.returncode == 0, said
    before = finished(out)
    early = begun("collect", *words)
    assert "missing" in "".join(early.communicate(timeout=WAIT_S))
    assert early.returncode == 1
    done("sweep", *words, "--shard", "2/2")
    done("collect", *words)
    the_rest_alone(out, before, undisturbed)


@pytest.mark.slow
class TestDask:
    """Two workers, each a process with a nanny that starts another one in its place."""

    @pytest.fixture
    def cluster(self) -> Iterator[Any]:
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as found:
            yield found

    def test_a_worker_is_killed_and_the_rest_carry_on(
        self, cluster: Any, words: list[str], tmp_path: Path, undisturbed: list[dict[str, Any]]
    ) -> None:
        import distributed

        out = tmp_path / "o"
        with distributed.Client(cluster) as client:
            assert len(set(client.run(os.getpid).values())) == 2
            run = begun("sweep", *words, "--executor", f"dask:{cluster.scheduler_address}")
            wait_for(lambda: len(finished(out)) >= 1 and any(learning(out)), run)
            before = finished(out)
            os.kill(next(learning(out)), signal.SIGKILL)
            said = "".join(run.communicate(timeout=WAIT_S))
        assert run.returncode == 0, said
        the_rest_alone(out, before, undisturbed)

    def test_the_command_is_killed_with_one_of_the_workers(
        self, cluster: Any, words: list[str], tmp_path: Path, undisturbed: list[dict[str, Any]]
    ) -> None:
        out = tmp_path / "o"
        run = begun("sweep", *words, "--executor", f"dask:{cluster.scheduler_address}")
        wait_for(lambda: len(finished(out)) >= 1 and any(learning(out)), run)
        run.send_signal(signal.SIGKILL)
        with contextlib.suppress(StopIteration, ProcessLookupError):
            os.kill(next(learning(out)), signal.SIGKILL)
        run.communicate()
        time.sleep(1.0)  # a block that was under way may still be finished
        before = finished(out)
        done("sweep", *words, "--executor", f"dask:{cluster.scheduler_address}")
        the_rest_alone(out, before, undisturbed)


def test_a_lost_worker_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    from concurrent.futures import Future, ThreadPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    class Broken(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Any:
            job: Future[Any] = Future()
            job.set_exception(BrokenProcessPool("a child process terminated abruptly"))
            return job

    with Broken(1) as executor, pytest.raises(NeurosimError, match="the same command goes on"):
        sweep(DENSE, tmp_path, ["read_noise=0"], executor=executor)
