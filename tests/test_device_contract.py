"""The contract of every device, kept by every card; and that the check finds what breaks it."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from helpers import IDEAL, every_card
from typer.testing import CliRunner

from neurosim import devices
from neurosim.cli import app
from neurosim.core.errors import InputError, UnknownNameError
from neurosim.core.protocols import DeviceKernels
from neurosim.devices import check
from neurosim.devices.ideal import Ideal
from neurosim.kernels.jit import inlined


@pytest.mark.parametrize("name", every_card())
def test_every_card_keeps_the_contract_under_a_million_pulses(name):
    """Physics that needs no source: finite, within bounds, no negative energy, at any order of pulses."""
    clauses = check(name)
    assert len(clauses) >= 12
    assert [clause for clause in clauses if not clause.holds] == []


@inlined
def _leaks(cell, count, state, params, now_s, event, key):
    state.conductance[cell] += count * params.nominal_step_uS
    state.conductance[(cell + 1) % state.conductance.size] += 10
    return -1e-12


class Leaky(Ideal):
    """Leaves its window, strikes its neighbour and gives energy back."""

    law: ClassVar[str] = "leaky"
    own_kernels: ClassVar[DeviceKernels] = Ideal.own_kernels._replace(pulse=_leaks)


def test_a_law_that_breaks_the_contract_is_found_out():
    law = Leaky(**devices.load(IDEAL).model_dump())
    broken = " ".join(clause.clause for clause in check(law, pulses=50_000) if not clause.holds)
    for words in (
        "within their bounds",
        "no energy is negative",
        "its own cell only",
        "down move the mean down",
    ):
        assert words in broken
    assert "NaN" not in broken


def test_check_refuses_too_few_pulses_and_unknown_devices():
    with pytest.raises(InputError, match="at least 10000"):
        check(IDEAL, pulses=10)
    with pytest.raises(UnknownNameError):
        check("nothing")


def test_the_command_says_what_holds(tmp_path):
    done = CliRunner().invoke(app, ["devices", "check", IDEAL, "--json", str(tmp_path / "c.json")])
    assert done.exit_code == 0, done.output
    assert "same seed, same bits" in done.output
    assert "BROKEN" not in done.output
    assert all(clause["holds"] for clause in json.loads((tmp_path / "c.json").read_text()))
