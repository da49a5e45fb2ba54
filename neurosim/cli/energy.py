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
        typer.Option(
            "--out",
            metavar="FILE",
            help="Draw where the joules go, and beside it what accuracy costs: .svg, .png or .pdf.",
        ),
    ] = None,
    json_file: Json = None,
    endurance: Annotated[
        float | None,
        typer.Option(
            "--endurance",
            metavar="PULSES",
            min=1,
            help="What a device stands, instead of what its card says.",
        ),
    ] = None,
) -> None:
    """Price kept runs again, or estimate an experiment by its first mini-batches; alone, list the price lists."""
    from neurosim.energy.price_list import built_in, price_list
    from neurosim.report.costs import Costs
    from neurosim.report.device_sheet import check_figure_name
    from neurosim.report.style import SAVERS
    from neurosim.study.estimate import estimated
    from neurosim.study.kinds import load_experiment
    from neurosim.study.priced import kept_results, priced
    from neurosim.study.store import expect_file, whole_file, write_json

    expect_json(json_file)
    if where is None:
        if json_file is not None:
            write_json(json_file, {name: price_list(name).summary for name in built_in()})
        for name in built_in():
            say(f"{name}: {price_list(name).summary}")
        return
    if out is not None:
        check_figure_name(out)
        expect_file(out, "--out")
    results = estimated(load_experiment(where)) if where.suffix == ".toml" else kept_results(where)
    found = Costs(priced(results, prices or DEFAULT, strict, endurance))
    if json_file is not None:
        write_json(
            json_file, {"estimated": results.get("estimated"), "arms": [each.as_dict() for each in found]}
        )
    console().print(*found.table(), sep="\n")
    for line in [
        *found.sentences(),
        *(f"{arm}: {words}" for arm, words in results.get("estimated", {}).items()),
    ]:
        say(line)
    if out is not None:
        for name, figure in found.plot().items():
            file = out if name == "where" else out.with_stem(f"{out.stem}-{name}")
            with whole_file(file) as stream:
                stream.write(SAVERS[out.suffix.lower()](figure))
            say(f"figure: {file}")
