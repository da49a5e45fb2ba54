"""Numbers in words, figures and settings of the report."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_helpers import ODD, SHAPE, held, results
from rich.table import Table

from neurosim.report import pictures, plots, style, text
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
