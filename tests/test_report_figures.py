"""Numbers in words, figures and settings of the report."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_helpers import ODD, SHAPE, held, results
from rich.table import Table

from neurosim.report import forward_forward_figures, pictures, plots, style, text
from neurosim.report.results import Results
from neurosim.report.settings import settings_of
from neurosim.report.shown import Tables


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.2e-12, "1.20 pJ"),
        (0.0, "0 J"),
        (999.96e-15, "1.00 pJ"),
        (-3.456e-6, "−3.46 µJ"),
        (123.4, "123 J"),
        (8.36e-14, "83.6 fJ"),
        (1e-30, "0.00 yJ"),
    ],
)
def test_unit_prefix(value: float, said: str) -> None:
    assert text.si(value, "J") == said


def test_numbers_as_text() -> None:
    assert text.percent(-1e-17) == "0.0"
    assert text.spread(0.5, (0.45, 0.55)) == "50.0 ± 5.0"
    assert text.spread(0.98, (0.95, 0.99)) == "98.0 (95.0–99.0)"
    assert text.significant(0.00391) == "0.0039"
    assert text.significant(0.02, 3) == "0.02"
    assert len(text.one_line("long " * 30)) <= 46
    assert [text.duration(seconds) for seconds in (2_592_000, 86_400, 63_072_000)] == [
        "30 days",
        "1 day",
        "2 years",
    ]


def test_figures_are_the_same_every_time() -> None:
    found = Results.of(results(["PCM"], 1))
    first, second = (style.to_svg(plots.energy_bars(found)) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


def figures() -> dict[str, Figure | None]:
    """Every kind of figure."""
    few, many = Results.of(results(["PCM", ODD])), Results.of(results([f"arm {k}" for k in range(7)]))
    both = {arm: held(arm) for arm in ("ideal", "PCM")}
    return {
        "accuracy": plots.accuracy_bars(few),
        "gap": plots.gap_points(few),
        "curves": plots.learning_curves(few),
        "many curves": plots.learning_curves(many),
        "energy": plots.energy_bars(few),
        "fields": pictures.receptive_fields("PCM", both["PCM"], SHAPE),
        "colour fields": pictures.receptive_fields("PCM", held("PCM", (5, 5, 3)), (5, 5, 3)),
        "histograms": pictures.conductance_histograms(both, ["ideal", "PCM"]),
    }


def test_every_axis_names_its_unit() -> None:
    for name, figure in figures().items():
        assert isinstance(figure, Figure), name
        own = [a.get_xlabel() for a in figure.axes] + [a.get_ylabel() for a in figure.axes]
        labels = [said for said in (*own, figure.get_supxlabel(), figure.get_supylabel()) if said]
        assert labels, name
        assert all(re.search(r"\(.+\)", said) or "%" in said for said in labels), (name, labels)
        assert figure.get_suptitle(), name
        assert style.to_svg(figure).startswith(b"<?xml"), name


def test_figures_without_data_are_none() -> None:
    ideal = Results.of(results([]))
    assert plots.gap_points(ideal) is None
    assert plots.energy_bars(ideal) is None
    assert pictures.conductance_histograms({"ideal": held("ideal")}, ["ideal"]) is None
    assert pictures.receptive_fields("PCM", held("PCM"), (5, 5, 1)) is None
    assert pictures.receptive_fields("PCM", {}, SHAPE) is None


def test_pixels_of_a_field_stand_where_they_stand_in_the_image() -> None:
    weights = np.arange(24.0).reshape(12, 2)
    fields = pictures.as_images(weights, (2, 2, 3))
    assert fields is not None
    assert fields.shape == (2, 2, 2, 3)
    assert fields[1, 1, 0].tolist() == weights[6:9, 1].tolist()
    grid = pictures.mosaic(np.ones((5, 2, 2)), np.nan)
    assert grid.shape == (5, 8)
    assert np.isnan(grid[2]).all()


def test_settings_said_once_where_alike() -> None:
    config = results(["A", "B"])["config"]
    config["arms"][1]["read"] = {**config["arms"][1]["read"], "dac_bits": 4}
    found = settings_of(config)
    assert found.common["read.adc_bits"] == "off"
    assert found.common["read.drift"] == "on"
    assert found.common["write.refresh"] == "never"
    assert "write.w_max" not in found.common
    assert found.columns == ["device", "read.dac_bits"]
    assert found.rows == [("A", ["card-0", "8"]), ("B", ["card-1", "4"])]


def test_settings_say_what_stands_around_the_devices() -> None:
    """Wires, tiles, faults, precision, the clock and neurons; nothing of those that results of an earlier version lack."""
    config = results(["A", "B"])["config"]
    for arm in config["arms"]:
        arm |= {
            "precision": "float64",
            "seconds_per_update": 0.0,
            "neurons": None,
            "tiles": {"word_lines": 64},
        }
    config["arms"][1]["wires"] = {"r_word_ohm": 2.5}
    found = settings_of(config)
    assert found.common["tiles.word_lines"] == "64"
    assert found.common["precision"] == "float64"
    assert found.common["seconds_per_update"] == "time stands still"
    assert found.columns == ["device", "wires.r_word_ohm"]
    assert [values[1] for _, values in found.rows] == [text.NOTHING, "2.5"]
    assert not any(name.startswith("faults") for name in found.common)


NEW, OLD = (
    {"accuracy_mean": 0.9, "accuracy_interval": [0.8, 1.0]},
    {"accuracy_mean": 0.9, "accuracy_ci95": [0.8, 1.0]},
)


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ([NEW, {"arm": "A", "errors": ["no"]}], text.INTERVALS),
        ([NEW, OLD], text.EARLIER_INTERVALS),
        ([{"arm": "A", "held_window": 3.0}], ""),
        ([], ""),
        ([{"arm": "A", "points": [NEW]}], text.INTERVALS),
    ],
    ids=["a failed point", "an earlier version", "what devices hold", "no points", "of own weights"],
)
def test_intervals_are_those_of_what_has_some(summary: list[dict[str, object]], said: str) -> None:
    assert text.which_intervals(summary) == said


def of_forward_forward(arms: list[str]) -> dict[str, Any]:
    """Results of arms given as devices alone, ideal arithmetic before them; layers of two sizes."""
    layers = [
        {"rows": 2, "neurons": 5, "locations": 9, "energy": {"update_J": 1.0, "update_J_per_synapse": 1.0}},
        {"rows": 3, "neurons": 30, "energy": {"update_J": 1.0, "update_J_per_synapse": 2.0}},
    ]
    for layer in layers:
        layer["energy"]["update_J_per_synapse_with_periphery"] = layer["energy"]["update_J_per_synapse"]  # type: ignore[index]
    points = [{"epoch": k, "goodness": 0.5 + 0.1 * k} for k in range(3)]
    plain = [{"rows": 2, "neurons": 5}]
    readouts = {"goodness": 0.7, "softmax": 0.7}
    names = ["ideal", *arms]
    return {
        "config": {
            "arm": [], "device": arms, "arms": [{"name": arm, "device": arm} for arm in arms], "curve_images": 10,
            "epochs": 3, "supervised": True,
        },
        "data": {"note": "digits", "train_images": 9, "followed_on": "training images", "reported_on": "test set"},
        "summary": [{"arm": arm, "readout": readout} for arm in names for readout in readouts],
        "runs": [
            {"arm": arm, "curve": points, "readouts": readouts, "layers": plain if arm == "ideal" else layers}
            for arm in names
        ],
    }  # fmt: skip


def test_many_devices_named_without_arms_are_drawn() -> None:
    found = of_forward_forward([f"card-{k}" for k in range(7)])
    curves, cost = (
        draw(found)
        for draw in (forward_forward_figures.epoch_curves, forward_forward_figures.energy_and_accuracy)
    )
    assert curves is not None
    assert cost is not None
    assert [axes.get_title("left") for axes in curves.axes] == [f"card-{k}" for k in range(7)]
    assert all(len(axes.lines) == 2 for axes in curves.axes), "ideal arithmetic and the device"
    assert [said.get_text() for said in cost.legends[0].get_texts()][2:] == [
        "ideal",
        *(f"card-{k}" for k in range(7)),
    ]


def test_energy_of_an_update_weighs_layers_by_all_their_synapses() -> None:
    """Ninety synapses in nine locations, and ninety in one layer."""
    cost = forward_forward_figures.energy_and_accuracy(of_forward_forward(["card"]))
    assert cost is not None
    drawn = [line.get_xdata()[0] for line in cost.axes[0].lines if line.get_marker() == "o"]
    assert drawn[0] == pytest.approx(1.5)


def test_a_notebook_shows_figures_before_any_of_pyplot():
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(style.new_figure(1.0))
    assert data["image/png"].startswith(b"\x89PNG")


def test_tables_in_a_notebook_are_text_where_text_is_asked_for(monkeypatch):
    """Rich would show them by itself there, once more than the notebook does, and leave no text."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    table = Table("arm")
    table.add_row("PCM")
    assert "PCM" in str(Tables([table]))
