"""What to write in place of an option that there is not: every setting has a name, though few have an option."""

from __future__ import annotations

from typing import Any

from neurosim.core.errors import NeurosimError

WRITES = "{by} parameters.added_write_noise=0.1 (in steps)"
READS = "{by} read_noise=0.02 (share of G_max)"
ON_GPU = "{by} backend=torch {by} torch_device=cuda"
RATE = "{by} {place}.learning_rate=0.1"
ELSEWHERE = {
    "noise": f"{READS} or {WRITES}",
    "device-noise": f"{WRITES} or {READS}",
    "write-noise": WRITES,
    "bits": "{by} adc_bits=6 or {by} dac_bits=8",
    "adc": "{by} adc_bits=6",
    "dac": "{by} dac_bits=8",
    "gpu": ON_GPU,
    "cuda": ON_GPU,
    "batch-size": "{by} batch=32",
    "learning-rate": RATE,
    "lr": RATE,
}
"""What other programs call settings, and what is written here."""


def instead(option: str, context: Any) -> str:
    """Return what to write in place of an option that a command does not have; "" where nothing is known.

    Parameters
    ----------
    option : str
        As it was given: "--adc-bits".
    context : click.Context
        Of the command, which takes settings by ``--set``, or axes by ``--axis``.
    """
    options = {name for each in context.command.params for name in each.opts}
    by = next((one for one in ("--set", "--axis") if one in options), None)
    if by is None or not option.startswith("--"):
        return ""
    name = option.removeprefix("--").partition("=")[0]
    place = "settings" if context.command.name in ("deep", "ff", "mortal", "spikes") else "rule_options"
    setting = _setting(name.replace("-", "_"), context.command.name)
    meant = ELSEWHERE.get(name, f"{{by}} {setting}=VALUE" if setting else "").format(by=by, place=place)
    return f"there is no option {option}, but any setting by its name: {meant}" if meant else ""


def _setting(name: str, command: str) -> str:
    """The setting of that name that a study by the command, or else of one layer, has; "" where there is none."""
    from neurosim.study.fields import full_name
    from neurosim.study.kinds import kind_of

    try:
        kind = kind_of(command)
    except NeurosimError:
        kind = kind_of(None)
    try:
        return full_name(kind(), name).removeprefix("experiment.")
    except (NeurosimError, ValueError):
        return ""
