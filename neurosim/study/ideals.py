"""What a run takes as ideal, and what it takes on trust: said of every study, one line each, with the arms it is true of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neurosim.devices.card import card_or_none, silences
from neurosim.devices.parameters import not_given
from neurosim.study.experiment import Experiment

MARKS = ("assumption", "assumptions", "assumed", "from memory")
"""Words in the source of a card's number that say it was not measured."""


def ideals(experiment: Experiment) -> list[dict[str, Any]]:
    """Return what the arms on devices take as ideal.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    found : list of dict
        ``ideal``, a sentence, and ``arms``, the names of those it is true of.
    """
    arms: dict[str, list[str]] = {}
    for name, part in experiment.device_parts().items():
        for ideal in _of_arm(experiment, part):
            arms.setdefault(ideal, []).append(name)
    return [{"ideal": ideal, "arms": names} for ideal, names in arms.items()]


def _of_arm(experiment: Experiment, arm: Any) -> Iterator[str]:
    law, read, write = arm.law(), arm.read_path(), arm.write_path()
    silent = silences(arm.device)
    if card_or_none(arm.device) is None:
        yield f"Where the numbers of {law.name} come from is not known: the device was given without a card."
    if law.pulse_unknown:
        yield f"Pulses of {law.name} have no joules: {not_given(law.pulse_unknown)}."
    yield from _of_time(experiment, arm, law, read, silent)
    if experiment.learns:
        yield from _of_learning(experiment, arm, write)
    if write.programming.mode == "statistics":
        what = "Start weights" if experiment.learns else "Weights"
        yield f"{what} are written with the published statistics of program-and-verify, not pulse by pulse."
    yield from _of_reading(experiment, arm, law, read, silent)
    every = getattr(experiment, "calibrate_every", None)
    images = getattr(experiment, "calibration_images", None)
    free = read.adc_range == "calibrated" and read.adc_range_uS is None and read.calibration is None
    if (every or images) and free and read.adc_bits:
        when = (
            f"every {every} mini-batches the range is set by the present one"
            if every
            else f"exact currents of {images} training images set the range"
        )
        yield f"Converters are calibrated for nothing: {when} (read.calibration)."
    if getattr(arm, "statistics", None) == "batch":
        yield "Each layer is normalised by exact statistics of the whole mini-batch, computed digitally."
    if getattr(experiment, "fine_tuning", None):
        yield (
            "Fine-tuning starts from the weights that devices hold, read exactly; it is digital, in ideal arithmetic, and no joules "
            "or pulses here are of it."
        )
    if experiment.spikes:
        yield "Neurons, their thresholds and the readout cost nothing, in the array's own prices and in those of lists."
    else:
        yield "Neurons, activations and readouts are digital and exact; the array's own prices hold no joules for them."


def _of_learning(experiment: Experiment, arm: Any, write: Any) -> Iterator[str]:
    if experiment.spikes:
        yield "Traces of spikes and what the rule makes of them are exact, digital or analog, and cost nothing."
    elif arm.mode == "accumulate":
        yield "Changes are summed over the mini-batch by digital arithmetic (an exact outer product) before they become pulses."
    elif arm.mode == "mixed":
        yield "Changes are summed in a digital accumulator of full precision, one number a synapse."
    if write.decay_mode == "exact":
        yield "Weight decay is exact: an oracle takes it, no pulse is given."
    if write.refresh is not None and write.refresh.look == "exact":
        yield "Where saturated pairs are refreshed, the controller sees exact conductances (write.refresh.look)."


def _of_time(experiment: Experiment, arm: Any, law: Any, read: Any, silent: dict[str, str]) -> Iterator[str]:
    if "retention" in silent:
        yield f"No retention data on the card {arm.device}: its conductances stand still, whatever the time."
    elif not read.drift:
        yield "Time does not pass for the devices (read.drift = false)."
    elif experiment.learns and not (arm.seconds_per_update or experiment.spikes) and law.drifts:
        yield "The clock stands still while it learns: no device drifts or relaxes between updates (seconds_per_update)."


def _of_reading(
    experiment: Experiment, arm: Any, law: Any, read: Any, silent: dict[str, str]
) -> Iterator[str]:
    if read.read_noise is None:
        yield "Reads have no noise (read.read_noise)."
    elif read.read_noise == "card" and "read noise" in silent:
        yield f"No read noise on the card {arm.device}: reads have none."
    perfect = [
        name for name, bits in (("inputs", read.dac_bits), ("currents", read.adc_bits)) if bits is None
    ]
    if experiment.spikes:
        yield "Neurons integrate their columns' currents without offset, gain error or noise of their own."
        perfect = []
    if perfect:
        yield f"Converters of {' and '.join(perfect)} are perfect."
    if not (experiment.spikes or read.adc_gain_spread or read.adc_offset_lsb or read.amplifier_offset_V):
        yield "Converters and amplifiers have neither offset nor gain error."
    if not (experiment.spikes or read.thermal_noise_K or read.shot_noise):
        yield "Amplifiers have no thermal and no shot noise."
    if not arm.wires:
        yield "Wires are perfect, in reading and in writing."
    elif arm.write_path().pulse_sensitivity_V is None:
        yield "Wires are perfect in writing (write.pulse_sensitivity_V)."
    if not arm.tiles:
        yield "The array is as large as the layer: no tiles."
    ways = ("p_stuck_gmin", "p_stuck_gmax", "p_stuck_between", "p_stuck_measured")
    stuck = [getattr(law, name, None) for name in ways]
    if not arm.faults and not any(stuck):
        yield "Every line and every device works."


def assumed(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the numbers of the arms' cards that were not measured but assumed, or remembered.

    Returns
    -------
    found : list of dict
        ``card``, ``number``, ``value``, ``unit``, ``source``, and ``arms``.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for part, arm in experiment.device_parts().items():
        card = card_or_none(arm.device)
        if card is None:
            continue
        for name, number in card.parameters.items():
            if name in arm.parameters or not any(mark in number.source.casefold() for mark in MARKS):
                continue
            entry = found.setdefault(
                (card.name, name),
                {
                    "card": card.name, "number": name, "value": number.value, "unit": number.unit,
                    "source": number.source, "arms": [],
                },
            )  # fmt: skip
            entry["arms"].append(part)
    return list(found.values())


def changed_settings(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that are not the defaults, by name; those of arms as ``arm NAME``."""
    own = experiment.model_dump(mode="json", exclude={"arm"}, exclude_defaults=True)
    return own | {
        f"arm {arm.name}": arm.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
        for arm in experiment.arm
    }
