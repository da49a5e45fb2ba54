"""Accuracy against wires and tiles: trained once, read elsewhere; the command and its figure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import IDEAL
from typer.testing import CliRunner

from neurosim import Crossbar, Tiles, Wires
from neurosim.cli import app
from neurosim.core.errors import ConfigError
from neurosim.report.rewired import rewired_curves
from neurosim.report.style import to_svg
from neurosim.study.dense_spec import DenseExperiment
from neurosim.study.rewire import rewire

SMALL = {"neurons": 12, "train_images": 200, "test_images": 60, "curve_points": 0, "readout_epochs": 2}


def experiment(**changes) -> DenseExperiment:
    return DenseExperiment.parse({**SMALL, "device": [IDEAL], "mode": "mixed", **changes}, "test")


def test_a_rewired_array_has_the_same_devices_behind_other_wires():
    array = Crossbar((20, 6), IDEAL)
    array.program(np.random.default_rng(0).uniform(-1, 1, (20, 6)), w_max=array.w_max)
    x = np.ones((1, 20), np.float32)
    worse = array.rewired(Wires(r_word_ohm=50.0, r_bit_ohm=50.0), Tiles(word_lines=10))
    np.testing.assert_array_equal(worse.conductance_uS(), array.conductance_uS())
    assert not np.allclose(worse.forward(x), array.forward(x), rtol=0.05)
    np.testing.assert_array_equal(worse.rewired(None).forward(x), Crossbar.forward(array.rewired(None), x))


def test_every_trained_point_is_read_at_every_other(tmp_path):
    results = rewire(experiment(), [0.0, 20.0], [32, 64], [0.0, 20.0], 64, tmp_path)
    places = {(p["trained_ohm"], p["ohm"], p["lines"]) for p in results["points"]}
    assert places == {(t, o, n) for t in (0.0, 20.0) for o in (0.0, 20.0) for n in (32, 64)}
    learnt = {run["trained_ohm"]: run["training"]["wires"]["method"] for run in results["runs"]}
    assert learnt == {0.0: "perfect", 20.0: "exact"}
    by_place = {(p["trained_ohm"], p["ohm"], p["lines"]): p["vote_mean"] for p in results["points"]}
    assert by_place[0.0, 0.0, 64] > by_place[0.0, 20.0, 64]
    again = rewire(experiment(), [0.0, 20.0], [32, 64], [0.0, 20.0], 64, tmp_path)
    assert again["points"] == results["points"], "finished trainings are kept"
    assert b"<svg" in to_svg(rewired_curves(results, "vote"))


def test_the_command_writes_numbers_and_figures(tmp_path):
    file = tmp_path / "small.toml"
    lines = [f"{name} = {value}" for name, value in SMALL.items()]
    file.write_text("\n".join([*lines, f'device = ["{IDEAL}"]', 'mode = "mixed"']), encoding="utf-8")
    out = tmp_path / "out"
    options = ["--ohm", "0,5", "--tile", "64", "--train-ohm", "0", "--train-tile", "64", "--out", str(out)]
    found = CliRunner().invoke(app, ["wires", str(file), *options])
    assert found.exit_code == 0, found.output
    assert len(json.loads((out / "wires.json").read_text())["points"]) == 2
    assert (out / "wires-accuracy.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("ohms", "device", "message"), [([], [IDEAL], "resistance"), ([0.0], [], "--device")]
)
def test_what_is_missing_is_named(ohms, device, message):
    with pytest.raises(ConfigError, match=message):
        rewire(experiment(device=device), ohms, [64], [0.0], 64)
