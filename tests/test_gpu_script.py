"""The script for a machine with a GPU runs as a whole where there is none, and keeps what it found when it is cut off."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import gpu
from neurosim.reference.twin import compiled

SMALL = ["--torch-device", "cpu", "--small"]


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    monkeypatch.setattr(compiled, "_compiled", lambda graph, arguments: graph)


def test_all_figures_are_kept(tmp_path):
    out = tmp_path / "gpu.json"
    gpu.main([*SMALL, "--out", str(out)])
    kept = json.loads(out.read_text())
    assert kept["complete"]
    figures = {figure["what"]: figure for figure in kept["figures"]}
    alone = ["copy", "forward", "accumulate", "mixed"]
    assert list(figures) == [
        *alone,
        "a chip beside others",
        "chips",
        "deep SoftHebb",
        "deep SoftHebb, 2 chips",
        "Forward-Forward",
        "Forward-Forward, 2 chips",
        "own weights",
        "own weights, 2 chips",
        "agreement",
    ]
    for net in ("deep SoftHebb", "Forward-Forward", "own weights"):
        assert figures[net]["ms_a_chip"] > 0 < figures[f"{net}, 2 chips"]["ms_a_chip"]
    for work in ("forward", "accumulate", "mixed"):
        assert figures[work]["cells_beyond_1e-5"] == 0
        assert figures[work]["compiling_s"] > 0 < figures[work]["ms"]
        assert figures[work]["times_floor"] > 1
    assert figures["a chip beside others"]["same_bits"]
    assert figures["chips"]["chips"] == 3
    assert figures["agreement"]["beyond_the_bound"] == []
    assert figures["agreement"]["operations"] == len(gpu.OPERATIONS_COMPILED)


def test_what_is_cut_off_has_told_what_it_could(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    gpu.main([*SMALL, "--out", str(out), "--seconds", "0"])
    kept = json.loads(out.read_text())
    assert not kept["complete"]
    assert [figure["what"] for figure in kept["figures"]] == ["copy"]
    assert "the time is over within races" in capsys.readouterr().out


def test_it_needs_neither_typer_nor_pandas():
    code = "import sys, benchmarks.gpu, neurosim.study.together; print({'typer', 'pandas', 'rich'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
