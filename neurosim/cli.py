"""Command line: compare, run, report and devices. Heavy modules are imported by the commands that use them."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from neurosim import __version__
from neurosim.cli_deep import deep_command
from neurosim.cli_devices import Json, devices_app
from neurosim.cli_forward_forward import ff_command
from neurosim.cli_mortal import mortal_command
from neurosim.cli_sweep import collect_command, sweep_command
from neurosim.cli_terminal import PlainConsole, complain, console, expect_json, say, show_cautions
from neurosim.cli_wires import wires_command
from neurosim.core.errors import ConfigError, NeurosimError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neurosim.study.dense_spec import DenseExperiment
    from neurosim.study.training import Report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Will a network that learns by a local rule, on devices like mine, reach ideal accuracy?",
)
app.add_typer(devices_app, name="devices")
app.command("wires")(wires_command)
app.command("deep")(deep_command)
app.command("ff")(ff_command)
app.command("mortal")(mortal_command)
app.command("sweep")(sweep_command)
app.command("collect")(collect_command)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for results and report.")]
Seed = Annotated[int | None, typer.Option(help="First seed; same seed, same bits.")]
TRANSFER_ONLY = {"weights", "layers", "times"}
"""Options of `compare` about weights that were trained elsewhere."""


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Memristive and phase-change crossbars that learn in place with local rules."""
    if version:
        print(f"neurosim {__version__}")
        raise typer.Exit


@app.command()
def compare(
    context: typer.Context,
    experiment: Annotated[Path | None, typer.Argument(metavar="[EXPERIMENT.toml]")] = None,
    out: Out = Path("out/compare"),
    dataset: Annotated[str | None, typer.Option(help="digits, mnist, fashion-mnist or cifar10.")] = None,
    rule: Annotated[str | None, typer.Option(help="Local learning rule.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Card name or file; repeat for more.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds, paired between arms.")] = None,
    seed: Seed = None,
    neurons: Annotated[int | None, typer.Option(min=2)] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    mode: Annotated[str | None, typer.Option(help="accumulate, mixed or online.")] = None,
    decay_mode: Annotated[
        str | None, typer.Option(help="readback, gain, device or exact (an oracle).")
    ] = None,
    read_noise: Annotated[float | None, typer.Option(help="Share of G_max, instead of the card's.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Use so many training images.")] = None,
    vary: Annotated[
        str | None, typer.Option(metavar="EFFECT=L1,L2,...", help="Accuracy against one effect.")
    ] = None,
    ablate: Annotated[bool, typer.Option("--ablate", help="Noise budget: each effect alone.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes; results do not depend on it.")] = 1,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your trained weights, instead of learning here.")
    ] = None,
    layers: Annotated[Path | None, typer.Option(metavar="MAP.toml", help="How they go together.")] = None,
    times: Annotated[
        str | None, typer.Option(metavar="T1,T2,...", help="Seconds after which they are read.")
    ] = None,
    json_file: Json = None,
) -> None:
    """Show accuracy, gap and energy side by side, in ideal arithmetic and on devices.

    A layer learns on them by a local rule; or, with --weights, a trained model is programmed and ages.
    """
    from neurosim.study.store import open_folder, write_json

    _only_fitting_options(context)
    if weights is not None:
        _transfer(
            out,
            json_file,
            weights=str(weights),
            layers=None if layers is None else str(layers),
            dataset=dataset,
            device=device,
            instances=seeds,
            first_seed=seed,
            times_s=times,
            read=None if read_noise is None else {"read_noise": read_noise},
        )
        return
    spec = _experiment(
        experiment,
        dataset=dataset,
        rule=rule,
        device=tuple(device) if device else None,
        seeds=seeds,
        first_seed=seed,
        neurons=neurons,
        epochs=epochs,
        mode=mode,
        train_images=train_images,
        write=None if decay_mode is None else {"decay_mode": decay_mode},
        read=None if read_noise is None else {"read_noise": read_noise},
    )
    if vary is None:
        from neurosim.study.ablate import ablate as run_ablation
        from neurosim.study.ablate import ablation
        from neurosim.study.compare import compare as run_comparison

        spec.check()
        if ablate:
            ablation(spec).check()
        open_folder(out)
        expect_json(json_file)
        with _progress() as report:
            results = (run_ablation if ablate else run_comparison)(spec, out, report, workers)
        write_json(out / "results.json", results)
    else:
        from neurosim.study.vary import check_levels, parse_vary
        from neurosim.study.vary import vary as run_vary

        effect, levels = parse_vary(vary)
        spec.check()
        check_levels(spec, effect, levels)
        open_folder(out)
        expect_json(json_file)
        with _progress() as report:
            results = run_vary(spec, effect, levels, report, workers)
        write_json(out / "vary.json", results)
    if json_file is not None:
        write_json(json_file, results)
    _show(results)
    _report(out)


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml")],
    out: Out,
    arm: Annotated[str | None, typer.Option(help="Arm to train; default the first device.")] = None,
    seed: Seed = None,
    checkpoint_s: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 30.0,
    json_file: Json = None,
) -> None:
    """Train one arm with checkpoints; killed and started again, it ends in the same bits."""
    from neurosim.study.run import pick_arm, run_with_checkpoints
    from neurosim.study.store import open_folder, write_json

    spec = _experiment(experiment, first_seed=seed)
    if not 0 <= checkpoint_s < float("inf"):
        raise ConfigError(f"--checkpoint-s {checkpoint_s}: must be finite and at least 0")
    spec.check()
    pick_arm(spec, arm)
    open_folder(out)
    expect_json(json_file)
    with _progress() as report:
        result = run_with_checkpoints(spec, arm, out, checkpoint_s, report)
    write_json(out / "result.json", result)
    if json_file is not None:
        write_json(json_file, result)
    say(f"{result['arm']}, seed {result['seed']}: accuracy {100 * result['accuracy']:.2f} %, "
        f"vote {100 * result['vote']:.2f} %, weights {result['weights_sha256'][:12]}; {out / 'result.json'}")  # fmt: skip


@app.command()
def validate(
    training: Annotated[
        Path | None,
        typer.Option(metavar="EXPERIMENT.toml", help="Training for both backends; default digits."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Machine to compare numba with: torch.")] = "torch",
    dtype: Annotated[list[str] | None, typer.Option(help="float32 or float64; default both.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Card name or file; default all cards.")] = None,
    torch_device: Annotated[
        list[str] | None, typer.Option(help="cpu or cuda; default cpu, and cuda where there is a GPU.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep finished trainings here.")] = None,
    seed: Seed = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the trainings.")] = 1,
    json_file: Json = None,
) -> None:
    """Compare the numba and the torch backend: operations, rules, trainings. Exit code 1 if a bound fails."""
    from neurosim.report.validation import validation_tables
    from neurosim.study.store import write_json
    from neurosim.study.validate import validate_everywhere

    expect_json(json_file)
    results = validate_everywhere(
        backend,
        tuple(dtype or ("float32", "float64")),
        tuple(device or ()),
        None if training is None else _experiment(training),
        seed,
        tuple(torch_device or ()),
        out,
        workers,
        PlainConsole(stderr=True).print if sys.stderr.isatty() else None,
    )
    terminal = console()
    for machine in results["machines"]:
        terminal.print(*validation_tables(machine))
    if json_file is not None:
        write_json(json_file, results)
    print("the backends agree" if results["holds"] else "the backends DISAGREE")
    if not results["holds"]:
        raise typer.Exit(1)


@app.command("fit")
def fit_command(
    data: Annotated[list[Path], typer.Argument(metavar="DATA.csv...")],
    model: Annotated[str | None, typer.Option(help="Law to fit; default all that can be, ranked.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CARD.toml", help="Default: DATA.toml, here.")
    ] = None,
    read_voltage: Annotated[float | None, typer.Option(help="Volt; columns hold currents.")] = None,
    write_voltage: Annotated[float | None, typer.Option(help="Volt, of a write pulse.")] = None,
    write_time: Annotated[float | None, typer.Option(help="Seconds, of a write pulse.")] = None,
    json_file: Json = None,
) -> None:
    """Fit a device law to measured pulses, programming errors or drift, and write a card and a figure."""
    from neurosim.devices.fitting import fit, to_toml
    from neurosim.report.fit_sheet import fit_numbers, fit_tables, write_fit_sheet
    from neurosim.study.store import expect_file, write_json, write_text

    card = out or Path(f"{data[0].stem}.toml")
    if card.suffix != ".toml":
        raise ConfigError(f"--out {card}: expected a name that ends in .toml")
    expect_file(card, "--out")
    expect_file(card.with_suffix(".svg"), "figure")
    expect_json(json_file)
    found = fit(data, model, read_voltage, write_voltage, write_time, card.stem)
    write_text(card, to_toml(found.card))
    figure = write_fit_sheet(found, card.with_suffix(".svg"))
    if json_file is not None:
        write_json(json_file, fit_numbers(found))
    console().print(*fit_tables(found), *(Text(f"- {note}") for note in found.card.notes), sep="\n")
    say(f"card: {card}\nfigure: {figure}")


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An --out folder of compare.")],
) -> None:
    """Write the self-contained HTML report of a comparison again."""
    _report(folder)


def _only_fitting_options(context: typer.Context) -> None:
    """Refuse options of `compare` that mean nothing beside those given."""
    given = {
        name: next((text for text in option.opts if text.startswith("--")), "EXPERIMENT.toml")
        for name, option in ((option.name or "", option) for option in context.command.params)
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
    if {"ablate", "vary"} <= set(given):
        raise ConfigError("--ablate does not go with --vary")
    if "weights" in given:
        fitting = {*TRANSFER_ONLY, "dataset", "device", "seeds", "seed", "read_noise", "out", "json_file"}
        odd, reason = set(given) - fitting, "does not go with --weights, where nothing learns"
    else:
        odd, reason = set(given) & TRANSFER_ONLY, "goes with --weights FILE only"
    if odd:
        raise ConfigError(f"{', '.join(sorted(given[name] for name in odd))}: {reason}")


def _transfer(out: Path, json_file: Path | None, **options: Any) -> None:
    """Program trained weights onto devices and let them age."""
    from neurosim.report.transfer import aged_table
    from neurosim.study.store import open_folder, write_json
    from neurosim.study.transfer import Transfer, prepare, transfer

    spec = Transfer.parse(
        {name: value for name, value in options.items() if value is not None}, "command line"
    )
    prepare(spec)
    open_folder(out)
    expect_json(json_file)
    with _progress() as report:
        results = transfer(spec, report)
    write_json(out / "weights.json", results)
    if json_file is not None:
        write_json(json_file, results)
    console().print(aged_table(results))
    _report(out)


def _experiment(path: Path | None, **options: Any) -> DenseExperiment:
    """Merge an experiment file with command-line options; options win."""
    from neurosim.study.dense_spec import DenseExperiment

    given = {name: value for name, value in options.items() if value is not None}
    if path is None:
        return DenseExperiment.parse(given, "command line")
    spec = DenseExperiment.from_toml(path)
    for part in ("read", "write"):
        if part in given:
            given[part] = {**getattr(spec, part).model_dump(exclude_unset=True), **given[part]}
    return spec.changed(**given)


@contextmanager
def _progress() -> Iterator[Report | None]:
    """A progress bar on a terminal, nothing when piped."""
    errors = PlainConsole(stderr=True)
    if not errors.is_terminal:
        yield None
        return
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=errors, transient=True) as bars:
        tasks: dict[tuple[str, int], Any] = {}

        def report(arm: str, seed: int, done: int, total: int) -> None:
            if (arm, seed) not in tasks:
                tasks[arm, seed] = bars.add_task(escape(f"{arm}, seed {seed}"), total=total)
            bars.update(tasks[arm, seed], completed=done, visible=done < total)

        yield report


def _show(results: dict[str, Any]) -> None:
    from neurosim.report.table import budget_table, mcnemar_table, summary_table, vary_table

    terminal = console()
    if "parameter" in results:
        terminal.print(vary_table(results))
        return
    terminal.print(summary_table(results))
    if (tests := mcnemar_table(results)) is not None:
        terminal.print(tests)
    if (budgets := budget_table(results)) is not None:
        terminal.print(budgets)


def _report(folder: Path) -> None:
    from neurosim.report.transfer import write_reports

    for page in write_reports(folder):
        say(f"report: {page}")


def main() -> None:
    """Run the command line; an error is one line on standard error and exit code 2."""
    show_cautions()
    try:
        app(standalone_mode=True)
    except NeurosimError as error:
        complain(f"neurosim: {error}")
        raise SystemExit(2) from None
    except MemoryError:
        complain("neurosim: out of memory; use fewer neurons or images")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
