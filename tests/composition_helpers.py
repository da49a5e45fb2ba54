"""Devices and arrays of the simulator against the plain numpy composition, in standard errors.

Used by the tests with few devices and by `benchmarks/composition.py` with many.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from composition_reference import Parameters, Sample, composed, delay, parameters

from neurosim import devices

LIMIT = 4.0
"""Standard errors that a statistic may be off, once; what is further off is drawn again with more devices."""
HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0
SHARES = (0.15, 0.5, 0.9)
TENTHS = (0.1, 0.5, 0.9)
ROUNDING = 5e-6
"""Single precision: relative differences that are none."""
TELEGRAPH = {"telegraph_share": 0.3, "telegraph_amplitude": 0.1, "telegraph_spread": 0.5}
HEAT = {"temperature_K": 350.0, "reference_K": 300.0, "activation_low_eV": 0.2, "activation_high_eV": 0.02}
SWITCH_TIMES = {"telegraph_fastest_s": 1e-3, "telegraph_slowest_s": 1e3}
"""Telegraph noise has no trend: how fast it switches is not in the distribution at one age."""
Row = dict[str, Any]


def ages(p: Parameters) -> list[float]:
    """The earliest age that the device's drift sees, 25 s, an hour, a day and a year, in order."""
    return sorted({max(1.0, delay(p)), 25.0, HOUR, DAY, YEAR})


def targets(p: Parameters) -> list[float]:
    """15, 50 and 90 % of the window; 45 % where the middle is on the edge between two states."""
    shares = (0.15, 0.45, 0.9) if p["law"] == "binary" else SHARES
    return [p["g_min_uS"] + share * (p["g_max_uS"] - p["g_min_uS"]) for share in shares]


# Effects, one at a time.

OWN = {
    "programming": ("error_uS", "error_saturating_uS", "error_at_s", "program_c0", "program_tolerance"),
    "drift": ("drift_exponent", "drift_table_exponent", "drift_of"),
    "flicker": ("flicker", "flicker_of"),
    "relaxation": ("relaxation_mean_uS", "relaxation_sigma_uS", "relaxation_sigma_slope_uS"),
}
"""Parameters by which a card has an effect of its own."""


def added(effect: str, p: Parameters) -> Parameters:
    """Parameters that switch an effect on, in proportion to the window and from the card's own reading time on."""
    g_max, start = p["g_max_uS"], max(1.0, delay(p))
    return {
        "programming": {},
        "drift": {
            "drift_table_share": [0.0, 1.0],
            "drift_table_exponent": [0.08, 0.04],
            "drift_table_sigma": [0.02, 0.01],
            "drift_table_start_s": start,
        },
        "flicker": {"flicker": 0.0088, "flicker_power": 0.65, "flicker_most": 0.2, "flicker_read_s": 250e-9},
        "relaxation": {
            "relaxation_mean_uS": -0.002 * g_max,
            "relaxation_sigma_uS": 0.01 * g_max,
            "relaxation_sigma_slope_uS": 0.001 * g_max,
            "relaxation_start_s": start,
        },
        "retention": {"retention_s": 1e5},
        "temperature": HEAT,
        "telegraph": TELEGRAPH,
        "stuck": {"p_stuck_gmin": 0.05, "p_stuck_gmax": 0.03},
        "spread": {"added_conductance_spread": 0.1, "added_write_noise": 1.0},
    }[effect]


EFFECTS = (*OWN, "retention", "temperature", "telegraph", "stuck", "spread")
TOGETHER = tuple(effect for effect in EFFECTS if effect not in ("retention", "spread"))


def has(p: Parameters, effect: str) -> bool:
    """Whether the card has this effect itself."""
    return any(key in p for key in OWN.get(effect, ()))


def without_programming(p: Parameters) -> Parameters:
    """Parameters that switch the error of programming off, device-to-device bounds included."""
    if p["law"] == "programmed":
        rows = len(p.get("error_at_s", [1.0]))
        return {"error_uS": [[0.0]] * rows, "error_saturating_uS": None}
    if p["law"] == "pcm-accumulative":
        return dict.fromkeys(("program_c0", "program_c1", "program_c2"), 0.0)
    off = ("program_tolerance", "state_max_spread", "state_min_spread", "corrupt_share")
    return dict.fromkeys(off)


def only(p: Parameters, effects: Sequence[str]) -> tuple[Parameters, Parameters]:
    """Changes that leave these effects alone: those of the reference, those of the simulator's device.

    An effect that the card has is kept with the card's numbers, another is switched on. The simulator's card may
    state its 1/f noise by parameters that the reference does not know: the device's own list tells their names.
    """
    reference: Parameters = {}
    for effect, own in OWN.items():
        if effect in effects:
            continue
        if effect == "programming":
            reference |= without_programming(p)
        elif has(p, effect):
            reference |= dict.fromkeys(own)
    for effect in effects:
        if not has(p, effect):
            reference |= added(effect, p)
    return reference, {key: value for key, value in reference.items() if not key.endswith("_of")}


def device(name: str, effects: Sequence[str] | None) -> tuple[Any, Parameters]:
    """The simulator's device and the reference's parameters, with all that the card has or with `effects` only."""
    p, law = parameters(name), devices.load(name)
    if effects is None:
        return law, p
    reference, changes = only(p, effects)
    fields = type(law).model_fields
    if "flicker" not in effects:
        flickers = [key for key in fields if key.startswith("flicker")]
        changes |= {key: None for key in flickers if fields[key].default is None}
    if "drift" not in effects:
        tables = [key for key in fields if key.startswith("drift_table")]
        changes |= {key: None for key in tables if fields[key].default is None}
    if "telegraph" in effects:
        changes |= SWITCH_TIMES
    return law.with_parameters(**{k: v for k, v in changes.items() if k in fields}), p | reference


# Two samples of one distribution?


def standard_errors(difference: float, error: float, scale: float) -> float:
    """How many standard errors a difference is; none where it is rounding."""
    left = max(abs(difference) - ROUNDING * abs(scale) - 1e-9, 0.0)
    return float(np.copysign(min(left / max(error, 1e-12), 999.0), difference))


def share_below(found: Sample, reference: Sample, edge: float) -> float:
    """The difference of the shares below `edge`, in standard errors of a binomial law."""
    a, b = np.mean(found <= edge), np.mean(reference <= edge)
    n, m = found.size, reference.size
    both = (a * n + b * m + 0.5) / (n + m + 1)
    return float((a - b) / np.sqrt(both * (1 - both) * (1 / n + 1 / m)))


def deviations(found: Sample, reference: Sample) -> dict[str, float]:
    """Mean, spread and three quantiles of `found` against those of a larger sample, in standard errors.

    A quantile is compared by the share of devices below it: off by d, this share is off by d times the density, and
    no density has to be known. Where many devices stand at one value, the shares just below and just above it count.
    """
    found, reference = np.asarray(found, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
    per_device = 1 / found.size + 1 / reference.size
    mean, variance = reference.mean(), reference.var()
    spread = np.sqrt(variance)
    varies = spread > 1e-9 * abs(mean) + 1e-12
    kurtosis = np.mean(((reference - mean) / spread) ** 4) if varies else 1.0
    rows = {
        "mean": standard_errors(found.mean() - mean, spread * np.sqrt(per_device), mean),
        "spread": standard_errors(
            found.std() - spread, spread * np.sqrt(max(kurtosis - 1, 0.0) / 4 * per_device), mean
        ),
    }
    for tenth, q in zip(TENTHS, np.quantile(reference, TENTHS), strict=True):
        off = [share_below(found, reference, q * (1 + s * ROUNDING) + s * 1e-12) for s in (-1, 1)]
        rows[f"{tenth:.0%}"] = max(off, key=abs)
    return rows


def compare(
    name: str, effects: Sequence[str] | None = None, n: int = 4000, reference_n: int = 200_000, seed: int = 0
) -> list[Row]:
    """Every target, age and statistic of a card, in standard errors of the difference."""
    law, p = device(name, effects)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    times, goals = ages(parameters(name)), targets(p)
    if effects is not None:  # with another effect off the reading time may be another one
        times = [time for time in times if time >= delay(parameters(name))]
    found = devices.programmed(law, goals, times, n, seed)
    rows = []
    for k, target in enumerate(goals):
        reference = composed(p, target, times, reference_n, rng)
        for i, age in enumerate(times):
            off = deviations(found[i, k], reference[i])
            rows += [
                {"card": name, "target_uS": target, "age_s": age, "statistic": key, "off": value}
                for key, value in off.items()
            ]
    return rows


def beyond(name: str, effects: Sequence[str] | None = None, n: int = 4000, seed: int = 0) -> list[str]:
    """What departs from the reference, in words: more than `LIMIT` now, and again with four times as many devices.

    Of some thousand statistics one is four standard errors off by chance; the same one hardly twice. A true
    departure is twice as many standard errors off in the second draw.
    """
    first = {key_of(row) for row in compare(name, effects, n, seed=seed) if abs(row["off"]) > LIMIT}
    if not first:
        return []
    again = compare(name, effects, 4 * n, seed=seed + 1)
    return [words(row) for row in again if key_of(row) in first and abs(row["off"]) > LIMIT]


def key_of(row: Row) -> tuple[float, float, str]:
    """Which statistic a row is."""
    return row["target_uS"], row["age_s"], row["statistic"]


def words(row: Row) -> str:
    """One line."""
    where = f"{row['card']} at {row['target_uS']:.4g} uS, {row['age_s']:.4g} s"
    return f"{where}: {row['statistic']} {row['off']:+.1f} standard errors"
