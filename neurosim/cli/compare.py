"""`neurosim compare`: one layer in ideal arithmetic and on devices, or weights that were not learnt here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.cli.options import Common, with_common
from neurosim.cli.report import write_comparison
from neurosim.cli.studies import carry_out, chosen, named, show
from neurosim.cli.terminal import console
from neurosim.core.errors import ConfigError

OWN_WEIGHTS = {"weights", "layers", "times"}
"""Options about weights that were trained elsewhere."""
WITH_THEM = {
    *OWN_WEIGHTS, "experiment", "dataset", "device", "arm", "seeds", "seed", "hold_out", "read_noise", "vary", "workers", "out",
    "settings", "overwrite", "json_file",
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
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your trained weights, instead of learning here.")
    ] = None,
    layers: Annotated[Path | None, typer.Option(metavar="MAP.toml", help="How they go together.")] = None,
    times: Annotated[
        str | None, typer.Option(metavar="T1,T2,...", help="Seconds after which they are read.")
    ] = None,
) -> None:
    """Show accuracy, gap and joules (devices, and with periphery) side by side, in ideal arithmetic and on devices.

    A layer learns on them by a local rule; or, with --weights or a file of kind "weights", a trained model is programmed
    and ages. Without --out the results lie in out/compare, those of --vary in out/vary, of --ablate in out/ablate.
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
    if named(spec, common, "ablate" if common.ablate else "vary"):
        return
    from neurosim.study.run import study

    _print(carry_out(spec, common, common.folder("compare"), study))
    write_comparison(common.folder("compare"))


compare_command = with_common(compare, file_needed=False)


def _only_fitting(context: typer.Context, kind: str) -> None:
    """Refuse options that mean nothing beside those given."""
    given = {
        name: next((text for text in option.opts if text.startswith("--")), "EXPERIMENT.toml")
        for name, option in ((option.name or "", option) for option in context.command.params)
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
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

    spec = chosen("weights", common, **options)
    if named(spec, common, "vary"):
        return
    results = carry_out(spec, common, common.folder("compare"), study)
    show(results, common.folder("compare"))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _print(results: dict[str, Any]) -> None:
    from neurosim.report.aged import aged_table
    from neurosim.report.table import mcnemar_table, summary_table

    for table in (summary_table(results), mcnemar_table(results), aged_table(results)):
        if table is not None:
            console().print(table)
