"""`neurosim energy`: what kept runs cost, or an experiment would, in joules and seconds, by any price lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosim.cli.options import Json
from neurosim.cli.terminal import console, expect_json, say

DEFAULT = ("hermes-14nm", "generic-28nm")
"""Price lists where none is given."""


def energy_command(
    where: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR|RESULTS.json|EXPERIMENT.toml",
            help="An --out folder of a study or sweep, or its results; or an experiment, to be estimated.",
        ),
    ] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option("--prices", metavar="NAME|PRICES.toml", help="A price list; repeat to compare several."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse joules that rest on assumed, remembered or unstated numbers."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Draw where the joules go: .svg, .png or .pdf."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Price kept runs again, or estimate an experiment by its first mini-batches; alone, list the price lists."""
    from neurosim.energy.price_list import built_in, price_list
    from neurosim.report.device_sheet import check_figure_name
    from neurosim.report.energy import energy_bars, energy_table, reached_table, unpriced, wear_table
    from neurosim.report.style import SAVERS
    from neurosim.study.estimate import estimated
    from neurosim.study.kinds import load_experiment
    from neurosim.study.priced import kept_results, priced
    from neurosim.study.store import expect_file, whole_file, write_json

    if where is None:
        for name in built_in():
            say(f"{name}: {price_list(name).summary}")
        return
    expect_json(json_file)
    if out is not None:
        check_figure_name(out)
        expect_file(out, "--out")
    results = estimated(load_experiment(where)) if where.suffix == ".toml" else kept_results(where)
    found = priced(results, prices or DEFAULT, strict)
    if json_file is not None:
        write_json(
            json_file, {"estimated": results.get("estimated"), "arms": [each.as_dict() for each in found]}
        )
    tables = (energy_table(found), reached_table(found), wear_table(found))
    console().print(*(table for table in tables if table.row_count), sep="\n")
    for each in found:
        say(f"{each.name}: {each.bill.sentence(each.samples)}")
    for line in [
        *unpriced(found),
        *(f"{arm}: {words}" for arm, words in results.get("estimated", {}).items()),
    ]:
        say(line)
    if out is not None:
        with whole_file(out) as stream:
            stream.write(SAVERS[out.suffix.lower()](energy_bars(found)))
        say(f"figure: {out}")
