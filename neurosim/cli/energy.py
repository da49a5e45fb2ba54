"""`neurosim energy`: what kept runs cost, in joules and seconds, by any price lists, without running again."""

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
        typer.Argument(metavar="DIR|RESULTS.json", help="An --out folder of a study or sweep, or its results."),
    ] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option("--prices", metavar="NAME|PRICES.toml", help="A price list; repeat to compare several."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse joules that rest on assumed, remembered or unstated numbers.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Draw where the joules go: .svg, .png or .pdf.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Price kept runs again without running them, by one price list or several; without a folder, list the price lists."""
    from neurosim.energy.price_list import built_in, price_list
    from neurosim.report.device_sheet import check_figure_name
    from neurosim.report.energy import energy_bars, energy_table, unpriced, wear_table
    from neurosim.report.style import SAVERS
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
    found = priced(kept_results(where), prices or DEFAULT, strict)
    if json_file is not None:
        write_json(json_file, [each.as_dict() for each in found])
    console().print(energy_table(found), wear_table(found), sep="\n")
    for each in found:
        say(f"{each.name}: {each.bill.sentence(each.samples)}")
    for line in unpriced(found):
        say(line)
    if out is not None:
        with whole_file(out) as stream:
            stream.write(SAVERS[out.suffix.lower()](energy_bars(found)))
        say(f"figure: {out}")
