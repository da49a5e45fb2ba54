"""Ctrl-C, SIGTERM, a kill, and two that share a folder: nothing is lost, nothing is written twice, no litter is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from neurosim.core.errors import InUseError
from neurosim.study.locks import clear_litter, locked, part_of

SMALL = 'dataset = "digits"\ntrain_images = 120\ntest_images = 60\nreadout_epochs = 1\n'
EXPERIMENTS = {
    "compare": f'{SMALL}neurons = 20\nepochs = 400\ncurve_points = 2\ndevice = ["pcm-nandakumar-2018"]\nmode = "mixed"\n',
    "ff": f'{SMALL}widths = [16, 12]\nepochs = 80\nbatch = 20\n[[arm]]\nname = "ideal"\n'
    '[[arm]]\nname = "mine"\ndevice = "pcm-nandakumar-2018"\nmode = "mixed"\n',
}
WAIT_S = 240.0


def begun(*words: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "neurosim", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def done(*words: str, folder: Path) -> str:
    run = begun(*words, folder=folder)
    _, said = run.communicate(timeout=WAIT_S)
    assert run.returncode == 0, said
    return said


def learning(run: subprocess.Popen[str], out: Path) -> None:
    """Wait until a training holds its lock."""
    until = time.monotonic() + WAIT_S
    while not list(out.glob("runs/*.lock")):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.2)


def results(out: Path) -> Any:
    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if not k.startswith("seconds")}
        return [timeless(each) for each in value] if isinstance(value, list) else value

    return timeless(json.loads((out / "results.json").read_text(encoding="utf-8")))


def litter(out: Path) -> list[Path]:
    return [file for file in out.rglob("*") if file.suffix in (".lock", ".part")]


@pytest.mark.parametrize(
    ("command", "number", "workers"),
    [
        pytest.param("compare", signal.SIGINT, "1", marks=pytest.mark.slow),
        pytest.param("ff", signal.SIGTERM, "2", marks=pytest.mark.slow),
    ],
)
def test_interrupted_and_started_again_it_ends_as_if_undisturbed(
    command: str, number: signal.Signals, workers: str, tmp_path: Path
) -> None:
    (tmp_path / "e.toml").write_text(EXPERIMENTS[command], encoding="utf-8")
    run = begun(command, "e.toml", "--out", "o", "--workers", workers, folder=tmp_path)
    learning(run, tmp_path / "o")
    run.send_signal(number)
    _, said = run.communicate(timeout=WAIT_S)
    assert run.returncode == 128 + number, said
    last = said.splitlines()[-1]
    assert "Traceback" not in said
    assert last.startswith("neurosim: stopped")
    assert "kept" in last
    if workers == "1":
        steps = re.search(r"kept after (\d+) of (\d+) mini-batches", last)
        assert steps, last
        assert 0 < int(steps[1]) < int(steps[2])
    assert "the same command goes on" in last
    assert not (tmp_path / "o" / "results.json").exists()
    assert litter(tmp_path / "o") == []
    assert list((tmp_path / "o" / "runs").glob("*.npz")), "a checkpoint was written"
    done(command, "e.toml", "--out", "o", folder=tmp_path)
    done(command, "e.toml", "--out", "whole", folder=tmp_path)
    assert results(tmp_path / "o") == results(tmp_path / "whole")


@pytest.mark.slow
def test_two_at_one_training_and_what_a_kill_leaves(tmp_path: Path) -> None:
    long = EXPERIMENTS["compare"].replace("epochs = 400", "epochs = 100000")
    (tmp_path / "e.toml").write_text(long, encoding="utf-8")
    words = ("compare", "e.toml", "--out", "o")
    first = begun(*words, folder=tmp_path)
    learning(first, tmp_path / "o")
    second = begun(*words, folder=tmp_path)
    _, said = second.communicate(timeout=WAIT_S)
    assert second.returncode == 2, said
    assert f"neurosim: process {first.pid} on {socket.gethostname()} is at the same training" in said
    assert first.poll() is None, "the first goes on"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert litter(tmp_path / "o")
    part = tmp_path / "o" / "runs" / part_of(Path("x.npz")).name.replace(str(os.getpid()), str(first.pid))
    part.write_bytes(b"half")
    (tmp_path / "e.toml").write_text(long.replace("epochs = 100000", "epochs = 1"), encoding="utf-8")
    done(*words, folder=tmp_path)
    assert litter(tmp_path / "o") == []


def test_a_second_time_ends_at_once(tmp_path: Path) -> None:
    program = (
        "import time\nfrom neurosim.study import stopping\n"
        "with stopping.on_signals(), stopping.learning():\n"
        "    print('begun', flush=True)\n"
        "    while True:\n        time.sleep(0.01)\n        if stopping.asked(): print('asked', flush=True)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert run.stdout is not None
    for word in ("begun\n", "asked\n"):
        assert run.stdout.readline() == word
        run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130


class TestLocks:
    def test_of_others_count_and_of_the_dead_do_not(self, tmp_path: Path) -> None:
        lock = tmp_path / "a.lock"
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        here = socket.gethostname()
        for pid, host in ((gone.pid, here), (os.getpid(), here)):
            lock.write_text(json.dumps([pid, host]))
            with locked(tmp_path / "a.npz"):
                assert json.loads(lock.read_text()) == [os.getpid(), here]
            assert not lock.exists()
        for pid, host in ((1, here), (gone.pid, "elsewhere")):
            lock.write_text(json.dumps([pid, host]))
            with (
                pytest.raises(InUseError, match=f"process {pid} on {host} .* delete"),
                locked(tmp_path / "a.npz"),
            ):
                pass
            assert json.loads(lock.read_text()) == [pid, host]

    def test_one_process_does_not_write_twice_at_once(self, tmp_path: Path) -> None:
        with locked(tmp_path / "a.npz"), locked(tmp_path / "b.npz"):
            with pytest.raises(InUseError), locked(tmp_path / "a.npz"):
                pass
            assert (tmp_path / "a.lock").exists()
        assert litter(tmp_path) == []

    def test_litter_is_what_nobody_writes_any_more(self, tmp_path: Path) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        mine = part_of(tmp_path / "x.json")
        dead = tmp_path / mine.name.replace(str(os.getpid()), str(gone.pid))
        before = tmp_path / f".y.npz.{gone.pid}.part"
        afar = tmp_path / f".z.npz.00000000-{gone.pid}.part"
        for file in (mine, dead, before, afar):
            file.write_bytes(b"")
        clear_litter(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([mine, afar])
        os.utime(afar, (0, 0))
        clear_litter(tmp_path)
        assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_the_lock_of_a_process_that_ended_unasked_after_is_free(tmp_path: Path) -> None:
    """Where its parent has not asked after it yet, a killed process is a zombie: signals reach it, and it does nothing."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    lock = tmp_path / "run.lock"
    lock.write_text(json.dumps([child.pid, socket.gethostname()]))
    try:
        with locked(tmp_path / "run.npz"):
            assert json.loads(lock.read_text())[0] == os.getpid()
    finally:
        child.wait()
