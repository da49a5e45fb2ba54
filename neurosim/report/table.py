"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.results import ArmSummary, Results
from neurosim.report.text import NO_PRICE, NOTHING, PULSE_UNKNOWN, joules, percent, spread
from neurosim.report.words import intervals, mcnemar

NARROWEST = 10
"""Characters that a column with words or intervals gets in a narrow terminal, at least."""


def summary_table(results: Results | dict[str, Any]) -> Table:
    """Return the summary of a comparison: one row an arm, then the baselines.

    Parameters
    ----------
    results : Results or dict
        What `neurosim.study.compare.compare` returns.
    """
    results = Results.of(results)
    table = Table(
        title=Text(f"Accuracy on the {results.data.where}"),
        caption=f"{intervals(results)}; gap in points below ideal; kept: share of the learning by readout / "
        "vote; joules per update (mini-batch) and synapse: devices | with the array's own periphery (lower bound); "
        f"`neurosim energy` tells which part is assumed{_unpriced(results)}",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold", min_width=NARROWEST)
    for heading in ("accuracy %", "gap", "vote %"):
        table.add_column(heading, justify="right", min_width=NARROWEST + 1)
    table.add_column("kept %", justify="right", no_wrap=True)
    table.add_column("devices | with periphery", justify="right", min_width=NARROWEST)
    for arm in results.summary:
        table.add_row(*_summary_row(arm))
    if results.baselines:
        table.add_section()
    for baseline in results.baselines:
        table.add_row(Text(baseline.name), percent(baseline.accuracy))
    return table


def _summary_row(arm: ArmSummary) -> list[Text | str]:
    kept = f"{percent(arm.accuracy_learning_kept, 0)} / {percent(arm.vote_learning_kept, 0)}"
    return [
        Text(arm.arm),
        spread(arm.accuracy_mean, arm.accuracy_interval),
        NOTHING if arm.is_ideal else spread(arm.gap_to_ideal_mean, arm.gap_interval),
        spread(arm.vote_mean, arm.vote_interval),
        NOTHING if arm.is_ideal else kept,
        _energy(arm),
    ]


def _unpriced(results: Results) -> str:
    """What stands beside arms whose pulses have no price."""
    lacking = any(arm.energy and not arm.energy.known for arm in results.summary)
    return f"; {NO_PRICE}: {PULSE_UNKNOWN}" if lacking else ""


def _energy(arm: ArmSummary) -> str:
    if arm.energy is None:
        return NOTHING
    return " | ".join(
        dict.fromkeys(
            joules(end)
            for end in (arm.energy.update_J_per_synapse, arm.energy.update_J_per_synapse_with_periphery)
        )
    )


def mcnemar_table(results: Results | dict[str, Any]) -> Table | None:
    """Return McNemar's test of every device against ideal; None if the results do not tell images apart."""
    results = Results.of(results)
    if not results.tested_arms:
        return None
    table = Table(
        title=Text(f"These chips, ideal : device, image by image on the {results.data.where}"),
        caption="images that only ideal : only the device gets right; McNemar's exact test, of these chips alone",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold", min_width=NARROWEST)
    for heading in ("linear readout", "vote"):
        table.add_column(heading, justify="right")
    for arm in results.tested_arms:
        table.add_row(Text(arm.arm), mcnemar(arm, "accuracy"), mcnemar(arm, "vote"))
    return table
