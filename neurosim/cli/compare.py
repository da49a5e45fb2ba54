"""`neurosim compare`: one layer in ideal arithmetic and on devices, against one effect, cause by cause, or not learnt here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.cli.options import Common, with_common
from neurosim.cli.report import write_comparison
from neurosim.cli.studies import carry_out, chosen, show, show_holding
from neurosim.cli.terminal import console
from neurosim.core.errors import ConfigError

OWN_WEIGHTS = {"weights", "layers", "times"}
"""Options about weights that were trained elsewhere."""
WITH_THEM = {
    *OWN_WEIGHTS, "experiment", "dataset", "device", "arm", "seeds", "seed", "hold_out", "read_noise", "workers", "out",
    "json_file",
}  # fmt: skip
"""Options that mean something with them."""


def compare(
    common: Common,
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Option(help="A name, or a folder, .npz or .csv of your own.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Local learning rule: a name, or FILE.py:RULE.")] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Card name or file, or FILE.py:DEVICE; repeat for more.")
    ] = None,
    neurons: Annotated[int | None, typer.Option(min=2)] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    mode: Annotated[str | None, typer.Option(help="accumulate, mixed or online.")] = None,
    decay_mode: Annotated[
        str | None, typer.Option(help="readback, gain, device or exact (an oracle).")
    ] = None,
    read_noise: Annotated[float | None, typer.Option(help="Share of G_max, instead of the card's.")] = None,
    vary: Annotated[
        str | None, typer.Option(metavar="EFFECT=L1,L2,...", help="Accuracy against one effect.")
    ] = None,
    ablate: Annotated[bool, typer.Option("--ablate", help="Noise budget: each effect alone.")] = False,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your trained weights, instead of learning here.")
    ] = None,
    layers: Annotated[Path | None, typer.Option(metavar="MAP.toml", help="How they go together.")] = None,
    times: Annotated[
        str | None, typer.Option(metavar="T1,T2,...", help="Seconds after which they are read.")
    ] = None,
) -> None:
    """Show accuracy, gap and energy side by side, in ideal arithmetic and on devices.

    A layer learns on them by a local rule; or, with --weights or a file of kind "weights", a trained model is programmed
    and ages.
    """
    from neurosim.study.kinds import kind_of

    kind = "weights" if weights is not None else kind_of(None, common.experiment).kind
    _only_fitting(context, kind)
    read = None if read_noise is None else {"read_noise": read_noise}
    if kind == "weights":
        _own_weights(common, weights=_text(weights), layers=_text(layers), dataset=dataset,
                     device=tuple(device) if device else None, times_s=times, read=read)  # fmt: skip
        return
    spec = chosen(
        "dense",
        common,
        dataset=dataset,
        rule=rule,
        device=tuple(device) if device else None,
        neurons=neurons,
        epochs=epochs,
        mode=mode,
        write=None if decay_mode is None else {"decay_mode": decay_mode},
        read=read,
    )
    if common.holding:
        show_holding(spec, common.json_file)
        return
    if vary is not None:
        _vary(spec, common, vary)
    elif ablate:
        from neurosim.study.ablate import ablate as run_ablation
        from neurosim.study.ablate import ablation

        spec.check()
        ablation(spec).check()
        _print(carry_out(spec, common, run_ablation))
    else:
        from neurosim.study.run import study

        _print(carry_out(spec, common, study))
    write_comparison(common.folder())


compare_command = with_common(compare, file_needed=False, out=Path("out/compare"))


def _vary(spec: Any, common: Common, text: str) -> None:
    """Compare at every level of one effect."""
    from neurosim.report.table import vary_table
    from neurosim.study.vary import check_levels, parse_vary
    from neurosim.study.vary import vary as run_vary

    effect, levels = parse_vary(text)
    spec.check()
    check_levels(spec, effect, levels)
    results = carry_out(
        spec,
        common,
        lambda spec, out, report, workers: run_vary(spec, effect, levels, report, workers, out),
        "vary.json",
    )
    console().print(vary_table(results))


def _only_fitting(context: typer.Context, kind: str) -> None:
    """Refuse options that mean nothing beside those given."""
    given = {
        name: next((text for text in option.opts if text.startswith("--")), "EXPERIMENT.toml")
        for name, option in ((option.name or "", option) for option in context.command.params)
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
    ways = [given[name] for name in ("ablate", "vary", "holding") if name in given]
    if len(ways) > 1:
        raise ConfigError(f"{ways[0]} does not go with {ways[1]}")
    if kind == "weights":
        odd = set(given) - WITH_THEM
        reason = "does not go with weights trained elsewhere (--weights), where nothing learns"
    else:
        odd, reason = set(given) & OWN_WEIGHTS, "goes with --weights FILE only"
    if odd:
        raise ConfigError(f"{', '.join(sorted(given[name] for name in odd))}: {reason}")


def _own_weights(common: Common, **options: Any) -> None:
    """Program trained weights onto devices and let them age."""
    from neurosim.study.run import study

    results = carry_out(chosen("weights", common, **options), common, study)
    show(results, common.folder())


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _print(results: dict[str, Any]) -> None:
    from neurosim.report.aged import aged_table
    from neurosim.report.table import budget_table, mcnemar_table, summary_table

    for table in (
        summary_table(results),
        mcnemar_table(results),
        budget_table(results),
        aged_table(results),
    ):
        if table is not None:
            console().print(table)
