"""The options that commands share, and those that every command of a study has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from neurosim.cli.terminal import json_goes_to
from neurosim.core.errors import ConfigError

Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        callback=json_goes_to,
        help="Write the results as JSON; - is standard output, tables then go to standard error.",
    ),
]
ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.toml")]
FirstSeed = Annotated[int | None, typer.Option("--seed", help="First seed; same seed, same bits.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="Change any setting, by the name that an axis has: read.adc_bits=4, window=2; repeat for more.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Write over what is there of another experiment, or another card."),
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="dense, deep, forward-forward, mortal, spikes, weights or my.py:Kind; default as the file says."
    ),
]
Workers = Annotated[
    int,
    typer.Option("--workers", min=1, help="Processes, a run each at a time; results do not depend on it."),
]

RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try failed blocks of a sweep again.")]


@dataclass(frozen=True)
class Common:
    """What every command of a study is given."""

    experiment: Annotated[Path | None, typer.Argument(metavar="EXPERIMENT.toml")] = None
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of checkpoints, results and figures."),
    ] = None
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            help="Only this arm; repeat for more. Several may share a folder, then all are collected.",
        ),
    ] = None
    seed: FirstSeed = None
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Runs of each arm, paired between arms.")
    ] = None
    train_images: Annotated[
        int | None, typer.Option("--train-images", help="Use so many training images.")
    ] = None
    hold_out: Annotated[
        bool,
        typer.Option(
            "--hold-out", help="Leave the validation images out, and report on them instead of the test set."
        ),
    ] = False
    settings: Settings = None
    vary: Annotated[
        str | None,
        typer.Option(
            "--vary",
            metavar="SETTING=L1,L2,...",
            help="Accuracy at levels of one setting: the sweep of that axis.",
        ),
    ] = None
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate",
            help="Noise budget: each effect alone, none, and all; the sweep of the axis only=each.",
        ),
    ] = False
    then_aged: Annotated[
        float | None,
        typer.Option(
            "--then-aged",
            metavar="SECONDS",
            help="After the results: leave each chip alone for so long, read it, let it learn on.",
        ),
    ] = None
    holding: Annotated[
        bool,
        typer.Option(
            "--holding",
            help="Train nothing: show what each arm's devices make of the weights of each layer, with --vary at each level.",
        ),
    ] = False
    workers: Workers = 1
    retry_failed: RetryFailed = False
    overwrite: Overwrite = False
    json_file: Json = None

    @property
    def changes(self) -> dict[str, Any]:
        """Settings of the experiment that were given as options."""
        given = {
            "first_seed": self.seed,
            "seeds": self.seeds,
            "train_images": self.train_images,
            "hold_out": True if self.hold_out else None,
            "then_aged_s": self.then_aged,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def axes(self) -> list[str]:
        """The axes that `--vary` and `--ablate` are names of; raises `ConfigError` if both are given."""
        if self.vary is not None and self.ablate:
            raise ConfigError(
                "--ablate does not go with --vary; both at once are a grid: neurosim sweep EXPERIMENT.toml "
                f"--axis only=each --axis {self.vary}"
            )
        return [*([] if self.vary is None else [self.vary]), *(["only=each"] if self.ablate else [])]

    def folder(self, unless_given: str | None = None) -> Path:
        """Return the folder of results; raises `ConfigError` without one."""
        if self.out is None and unless_given is None:
            raise ConfigError("--out: give a folder for checkpoints and results")
        return self.out or Path("out") / (unless_given or "")


def with_common(command: Callable[..., None], file_needed: bool = True) -> Callable[..., None]:
    """Return a command with the common options before its own.

    Parameters
    ----------
    command : callable
        Called with a `Common` and its own options by name.
    file_needed : bool
        Whether there is nothing to do without an experiment file.
    """
    kinds = get_type_hints(Common, include_extras=True)
    defaults = {field.name: field.default for field in fields(Common)}
    if file_needed:
        kinds["experiment"], defaults["experiment"] = ExperimentFile, inspect.Parameter.empty
    common = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=kinds[name]
        )
        for name in defaults
    ]
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]

    def called(**given: Any) -> None:
        shared = {name: given.pop(name) for name in kinds}
        command(Common(**shared), **given)

    called.__doc__ = command.__doc__
    called.__signature__ = inspect.Signature([*common, *parameters])  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in [*common, *parameters]}
    return called
