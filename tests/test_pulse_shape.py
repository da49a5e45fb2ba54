"""The kept study of pulse width and height: what its page says is in its runs."""

from __future__ import annotations

import pytest
from helpers import ROOT

from benchmarks.pulse_shape import GOAL, PLACE, down_V, experiment, page, pulses_J, reached
from neurosim import devices
from neurosim.report.text import made_with
from neurosim.study.store import read_json

FOLDER = ROOT / "results"


@pytest.fixture(scope="module")
def kept():
    return read_json(FOLDER / "pulse-shape.json")


def test_the_page_is_that_of_the_kept_runs(kept):
    written = (FOLDER / "pulse-shape.md").read_text(encoding="utf-8").partition(PLACE)[2]
    assert written.strip() == f"{page(kept).strip()}\n\n{made_with(kept)}".strip()


def test_pulses_down_drive_the_state_as_those_up_do():
    for arm in experiment().arm:
        law = arm.law()
        assert law.drive_down == pytest.approx(law.drive_up, rel=5e-3), arm.name
        assert law.reset_voltage_V == down_V(law.write_voltage_V)


def test_what_the_page_reads_from_the_table_is_there(kept):
    """Shorter pulses take more epochs, and at every height no fewer joules of pulses, periphery not counted."""
    at = {w: reached(kept, f"one pulse, 1.6 V, {w} ns") for w in (1, 3, 10)}
    assert at[1]["epochs"] > 2 * at[3]["epochs"] > 2 * at[10]["epochs"]
    for volts, widths in ((1.57, (10, 30)), (1.6, (1, 3, 10)), (1.65, (1, 3))):
        joules = [reached(kept, f"one pulse, {volts:g} V, {width} ns")["pulses_J"] for width in widths]
        assert joules == sorted(joules, reverse=True)
    assert at[1]["all_J"] > 3 * at[10]["all_J"]
    assert reached(kept, "one pulse, 1.6 V, 30 ns") is None
    cheap, dear = (
        reached(kept, f"one pulse, {name}")["pulses_J"] for name in ("1.65 V, 1 ns", "1.57 V, 30 ns")
    )
    assert cheap < dear / 10


def test_joules_to_the_goal_are_of_the_first_look_that_reaches_it(kept):
    runs = [run for run in kept["runs"] if run["arm"] == "one pulse, 1.6 V, 10 ns"]
    assert len(runs) == 3
    first = []
    for run in runs:
        images, _ = next((i, vote) for i, vote in run["curve"][1:] if vote >= GOAL)
        look = next(look for look in run["along"] if look["images"] == images)
        first.append(pulses_J(look))
    assert reached(kept, "one pulse, 1.6 V, 10 ns")["pulses_J"] == pytest.approx(sum(first) / 3)


def test_the_study_is_of_the_card_that_is_shipped(kept):
    card = devices.load("rram-vteam-kvatinsky-2015")
    numbers = kept["devices"]["one pulse, 1.6 V, 10 ns"]["numbers"]
    assert numbers["threshold_up_V"]["value"] == card.threshold_up_V
    assert numbers["write_voltage_V"]["value"] == 1.6
