"""One page about a device, and the commands that list, show and draw cards."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers import FINE, HFO2, IDEAL, PCM, every_card
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from typer.testing import CliRunner

from neurosim import devices
from neurosim.cli import app
from neurosim.core.errors import ConfigError, NeurosimError, OutputError, UnknownNameError
from neurosim.devices import cards
from neurosim.devices.card import CARDS, find
from neurosim.report.device_sheet import device_sheet, step_curve, sweep, write_sheet
from neurosim.report.device_table import facts, on_off, states
from neurosim.report.style import to_svg

FEW = 40
"""Devices: enough for a look."""


@cache
def sheet(name: str) -> Figure:
    return device_sheet(name, n_devices=FEW)


def panel(figure: Figure, title: str) -> Axes:
    (found,) = (axes for axes in figure.axes if title in axes.get_title(loc="left"))
    return found


def words(axes: Axes) -> str:
    return " ".join(text.get_text() for text in axes.texts)


@pytest.mark.parametrize("name", every_card())
def test_every_card_fills_six_panels_with_named_axes(name: str) -> None:
    figure = sheet(name)
    assert len(figure.axes) == 6
    header = " ".join(text.get_text() for text in figure.texts)
    card = find(name)
    assert figure.get_suptitle() == name
    assert card.law in header
    assert card.citation[:20] in header
    for axes in figure.axes:
        title = axes.get_title(loc="left")
        assert title
        if not (axes.lines or axes.patches):
            assert title.split()[0] in {"Programming", "Drift", "Noise"}
            assert words(axes).startswith("No "), title
            continue
        assert axes.get_legend() is not None, title
        for said in (axes.get_xlabel(), axes.get_ylabel()):
            assert re.search(r"\(.+\)$", said), (title, said)
        for line in axes.lines:
            assert np.isfinite(np.asarray(line.get_xdata(), float)).all(), title
            assert np.isfinite(np.asarray(line.get_ydata(), float)).all(), title


@pytest.mark.parametrize("name", [PCM, HFO2, FINE])
def test_the_mean_line_is_the_mean_of_the_pulse_response(name: str) -> None:
    law = devices.load(name)
    axes = device_sheet(name, n_devices=FEW, seed=3).axes[0]
    (mean,) = (line for line in axes.lines if line.get_label() == "mean")
    at = np.asarray(mean.get_xdata(), int)
    count = int(np.ceil(1.5 * (law.g_max_uS - law.g_min_uS) / law.nominal_step_uS))
    if law.steps_down:
        pulses, unseen = [-1] * count + [1] * count + [-1] * count, count
    else:
        pulses, unseen = [1] * count + [-1] + [1] * (count // 3), 0
    traces = devices.pulse_response(name, pulses, FEW, seed=3)
    assert at[0] == 0
    assert at[-1] == len(pulses) - unseen
    assert count in at
    np.testing.assert_allclose(mean.get_ydata(), traces[unseen + at].mean(axis=1), rtol=1e-5)


def test_steps_of_a_noise_free_device_are_those_of_its_law() -> None:
    law = devices.load(HFO2).without_noise()
    found = sweep(law, 20)
    at, mean, sigma = step_curve(found.traces[: found.up + 1]).T
    expected = law.nominal_step_uS * (1 - (at - law.g_rest_uS) / (law.g_max_uS - law.g_rest_uS))
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    assert np.abs(sigma).max() < 1e-4


def test_a_write_noise_does_not_tilt_the_curve_of_steps() -> None:
    """Binned by single readings, write noise alone would make every step point back to the mean."""
    law = devices.load(HFO2).without_noise().with_parameters(write_noise=5.0)
    found = sweep(law, 4000)
    at, mean, _ = step_curve(found.traces[: found.up + 1]).T
    expected = law.nominal_step_uS * (1 - (at - law.g_rest_uS) / (law.g_max_uS - law.g_rest_uS))
    bound = 5 * np.sqrt(2) * 5.0 * law.nominal_step_uS / np.sqrt(4000)
    assert np.abs(mean - expected).max() < bound


def test_fine_devices_are_shown_with_fewer_devices() -> None:
    found = sweep(devices.load(IDEAL), 1000)
    assert found.traces.size <= 6_000_000
    assert found.traces.shape[1] >= 20
    assert "of the window" in words(sheet(IDEAL).axes[0])


def test_absent_effects_are_said_and_present_ones_drawn() -> None:
    pcm, ideal = sheet(PCM), sheet(IDEAL)
    for title in ("Programming error", "Drift", "Noise"):
        assert "No " in words(panel(ideal, title))
        assert "No " not in words(panel(pcm, title))
        assert panel(pcm, title).lines
    assert "RESET is abrupt" in words(panel(pcm, "Change"))
    noise = panel(pcm, "Noise").lines[0]
    conductance, sigma = np.asarray(noise.get_xdata(), float), np.asarray(noise.get_ydata(), float)
    np.testing.assert_allclose(sigma, 1000 * (0.03 * conductance + 0.13), rtol=1e-4)
    assert panel(pcm, "Noise").get_ylabel() == "σ (nS)"


def test_the_same_seed_gives_the_same_page() -> None:
    first, second, other = (to_svg(device_sheet(HFO2, FEW, seed)) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_states_and_on_off() -> None:
    pcm, ideal = devices.load(PCM), devices.load(IDEAL)
    assert states(pcm) == pytest.approx(11.9 / 0.75)
    assert states(ideal) == pytest.approx(2**22)
    assert on_off(pcm) == pytest.approx(120)
    assert on_off(ideal) is None


@pytest.mark.parametrize(("ending", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("PDF", b"%PDF")])
def test_a_sheet_is_written_in_the_kind_its_name_asks_for(tmp_path: Path, ending: str, magic: bytes) -> None:
    file = write_sheet(find(HFO2), tmp_path / f"sheet.{ending}")
    assert file.read_bytes().startswith(magic)


def neurosim(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["devices", *arguments], catch_exceptions=True)
    if isinstance(found.exception, NeurosimError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_plot_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{PCM}.svg" in neurosim("plot", PCM)
    assert [file.name for file in tmp_path.iterdir()] == [f"{PCM}.svg"]
    text = (CARDS / f"{HFO2}.toml").read_text(encoding="utf-8").replace(HFO2, "../mine")
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    neurosim("plot", "own.toml")
    assert (tmp_path / "mine.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["nandakumar"], UnknownNameError, "unknown device card"),
        ([PCM, "--out", "sheet.jpg"], ConfigError, r"\.svg, \.png, \.pdf"),
        ([PCM, "--out", "sheet"], ConfigError, "--out sheet"),
        ([HFO2, "--out", "absent/sheet.png"], OutputError, "absent/sheet.png"),
    ],
)
def test_plot_refuses_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said) as caught:
        neurosim("plot", *arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_list_and_show_as_tables_and_json(tmp_path: Path) -> None:
    listed = neurosim("list", "--json", str(tmp_path / "list.json"))
    for heading in ("technology", "law", "states", "a pulse up", "assumed", "silent on"):
        assert heading in listed
    values = json.loads((tmp_path / "list.json").read_text(encoding="utf-8"))
    assert values == [facts(find(name)) for name in sorted(cards())]
    shown = neurosim("show", PCM, "--json", str(tmp_path / "show.json"))
    assert "16 states" in shown
    values = json.loads((tmp_path / "show.json").read_text(encoding="utf-8"))
    assert values["parameters"]["drift_exponent"]["unit"] == "1"
    assert set(values["parameters"]) == set(find(PCM).parameters)
    assert all(number["source"] and number["unit"] for number in values["parameters"].values())
