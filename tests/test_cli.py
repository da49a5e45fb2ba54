"""The command line: results and report on good input; one clear line and exit code 2 on bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosim.cli.progress import COMPILING

QUICK = ["--neurons", "20", "--train-images", "120", "--seeds", "1"]


def neurosim(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neurosim", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def refused(found: subprocess.CompletedProcess[str], *words: str) -> None:
    assert found.returncode == 2, found.stderr
    assert found.stderr.startswith("neurosim: ")
    assert len(found.stderr.strip().splitlines()) == 1, found.stderr
    for word in words:
        assert word in found.stderr


def test_compare_writes_results_report_and_json(tmp_path: Path) -> None:
    found = neurosim(
        "compare", "--dataset", "digits", "--device", "pcm-nandakumar-2018", "--mode", "mixed",
        "--out", "out", "--json", "copy.json", *QUICK, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    told = [line for line in found.stderr.splitlines() if line != COMPILING]
    ends = [line.rpartition(", after")[0] for line in told]
    assert ends == ["ideal, seed 0: 4 of 4", "pcm-nandakumar-2018, seed 0: 4 of 4"], found.stderr
    assert "report.html" in found.stdout
    assert "pcm-nandakumar" in found.stdout
    results = json.loads((tmp_path / "copy.json").read_text())
    assert results == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [run["arm"] for run in results["runs"]] == ["ideal", "pcm-nandakumar-2018"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "pcm-nandakumar-2018" in page
    again = neurosim("report", "out", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_vary_writes_a_noise_tolerance_curve(tmp_path: Path) -> None:
    found = neurosim(
        "compare", "--device", "rram-hfo2-om-2022", "--vary", "read_noise=0,0.3", "--out", "out", *QUICK,
        cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    curve = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [axis["levels"] for axis in curve["axes"]] == [[0, 0.3]]
    assert (tmp_path / "out" / "report.html").exists()


def test_run_resumes_and_prints_its_digest(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(
        'dataset = "digits"\nneurons = 20\ntrain_images = 120\ndevice = ["rram-hfo2-om-2022"]\n'
    )
    first = neurosim("run", "e.toml", "--out", "out", cwd=tmp_path)
    second = neurosim("run", "e.toml", "--out", "out", cwd=tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["devices", "list"], ["--version"]])
def test_help(tmp_path: Path, arguments: list[str]) -> None:
    found = neurosim(*arguments, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip()


def test_devices_show_gives_units_and_sources(tmp_path: Path) -> None:
    found = neurosim("devices", "show", "pcm-nandakumar-2018", cwd=tmp_path, COLUMNS="200")
    assert found.returncode == 0, found.stderr
    for word in ("drift_exponent", "38.6", "uS", "Nandakumar"):
        assert word in found.stdout


class TestBadInput:
    def test_unknown_device(self, tmp_path: Path) -> None:
        found = neurosim("compare", "--device", "pcm-nandakumar", "--out", "out", cwd=tmp_path)
        refused(found, "unknown device card 'pcm-nandakumar'", "did you mean 'pcm-nandakumar-2018'")
        assert not (tmp_path / "out").exists()

    def test_unknown_device_to_plot(self, tmp_path: Path) -> None:
        refused(
            neurosim("devices", "plot", "pcm-nandakumar", cwd=tmp_path), "did you mean 'pcm-nandakumar-2018'"
        )
        assert list(tmp_path.iterdir()) == []

    def test_unknown_key(self, tmp_path: Path) -> None:
        (tmp_path / "e.toml").write_text("neurns = 20\n")
        refused(neurosim("compare", "e.toml", "--out", "out", cwd=tmp_path), "e.toml", "neurons")
        assert not (tmp_path / "out").exists()

    def test_value_out_of_range(self, tmp_path: Path) -> None:
        (tmp_path / "e.toml").write_text("[read]\nadc_bits = 99\n")
        refused(neurosim("compare", "e.toml", cwd=tmp_path), "adc_bits", "99", "16")

    def test_missing_experiment_file(self, tmp_path: Path) -> None:
        refused(neurosim("run", "absent.toml", "--out", "out", cwd=tmp_path), "absent.toml")

    def test_missing_data(self, tmp_path: Path) -> None:
        found = neurosim(
            "compare", "--dataset", "mnist", "--out", "out", cwd=tmp_path,
            NEUROSIM_DATA=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"),
        )  # fmt: skip
        refused(found, "mnist", "NEUROSIM_DATA")

    def test_missing_labels(self, tmp_path: Path) -> None:
        images = np.zeros((20, 28, 28), np.uint8)
        np.savez(tmp_path / "mnist.npz", x_train=images, x_test=images)
        found = neurosim(
            "compare", "--dataset", "mnist", "--out", "out", cwd=tmp_path, NEUROSIM_DATA=str(tmp_path)
        )
        refused(found, "mnist.npz", "y_train")
        assert not (tmp_path / "out" / "results.json").exists()

    def test_card_without_a_unit(self, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text(
            'name = "mine"\ntechnology = "RRAM"\nlaw = "soft-bounds"\nsummary = "s"\ncitation = "c"\n'
            '[parameters]\ng_min_uS = { value = 1.0, source = "probe station" }\n'
        )
        found = neurosim("compare", "--device", "mine.toml", "--out", "out", cwd=tmp_path)
        refused(found, "mine.toml", "g_min_uS", "unit")
        assert not (tmp_path / "out").exists()

    def test_out_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        found = neurosim("compare", "--device", "ideal", "--out", "file/out", *QUICK, cwd=tmp_path)
        refused(found, "--out", "cannot write")

    def test_damaged_checkpoint(self, tmp_path: Path) -> None:
        (tmp_path / "e.toml").write_text('dataset = "digits"\nneurons = 20\ntrain_images = 120\n')
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "checkpoint.npz").write_bytes(b"not an archive")
        refused(neurosim("run", "e.toml", "--out", "out", cwd=tmp_path), "checkpoint.npz", "damaged")

    def test_bad_levels(self, tmp_path: Path) -> None:
        found = neurosim("compare", "--device", "ideal", "--vary", "read_noise=a", cwd=tmp_path)
        refused(found, "read_noise = 'a'", "must be a number")
        refused(
            neurosim("compare", "--device", "ideal", "--vary", "read_noise", cwd=tmp_path), "--vary", "LEVEL"
        )
