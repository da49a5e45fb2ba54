"""One programmed device from its writing to any age, in plain numpy; nothing of `neurosim` is imported here.

`composed` draws devices, one effect after the other in the order that `docs/devices.md` states. `PUBLISHED` has
the numbers of the four families that were published with a formula, typed from the publication's formula and not
from our cards; every other card is read from its file.

Ages are seconds since the last write, conductances uS. No conductance is below zero: each is cut there once, when
it is complete.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CARDS = Path(__file__).resolve().parents[1] / "devices" / "cards"
BOLTZMANN_EV = 8.617333262e-5
Parameters = dict[str, Any]
Sample = NDArray[np.float64]


@cache
def _card(name: str) -> Parameters:
    with (CARDS / f"{name}.toml").open("rb") as file:
        card = tomllib.load(file)
    return {"law": card["law"], **{key: entry["value"] for key, entry in card["parameters"].items()}}


def parameters(name: str) -> Parameters:
    """Numbers of a card: those of the publication where we have its formula, else those of the file."""
    return dict(PUBLISHED[name] if name in PUBLISHED else _card(name))


def names() -> list[str]:
    """Every card in the folder."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


# The published formulas. g is a conductance over the largest one.


def _clip_log(g: Any, slope: float, offset: float, low: float, high: float) -> Any:
    return np.clip(slope * np.log(np.maximum(g, 1e-9)) + offset, low, high)


def joshi_drift(g: Any) -> tuple[Any, Any]:
    """Mean and spread of the exponent of a state written to g (Joshi et al. 2020)."""
    return _clip_log(g, -0.0155, 0.0244, 0.049, 0.1), _clip_log(g, -0.0125, -0.0059, 0.008, 0.045)


def joshi_flicker(g: Any) -> Any:
    """1/f noise as a share of the conductance, before the growth with time (Joshi et al. 2020)."""
    return np.minimum(0.0088 * np.maximum(g, 1e-9) ** -0.65, 0.2)


def _hermes_mean(g: Any) -> Any:
    high = -0.0436 * g**2 - 0.0126 * g + 0.0736
    return np.where(g < 0.0945, _clip_log(g, -0.0387, -0.0182, 0.072, 0.13), high)


def hermes_1_drift(g: Any) -> tuple[Any, Any]:
    """The same for one HERMES device a side (Le Gallo et al. 2023, as fitted in aihwkit)."""
    high = -0.0165 * g**2 + 0.0116 * g + 0.0104
    return _hermes_mean(g), np.where(g < 0.3039, _clip_log(g, -0.0120, -0.0023, 0.0124, 0.04), high)


def hermes_2_drift(g: Any) -> tuple[Any, Any]:
    """The same for two HERMES devices a side."""
    high = -0.0118 * g**2 + 0.0093 * g + 0.0073
    return _hermes_mean(g), np.where(g < 0.3055, _clip_log(g, -0.0117, -0.0057, 0.0091, 0.04), high)


def hermes_1_flicker(g: Any) -> Any:
    """1/f noise of one HERMES device a side."""
    high = 0.0664 * g**3 - 0.1352 * g**2 + 0.0768 * g + 0.0088
    return np.where(g < 0.1591, _clip_log(g, -0.0078, 0.0038, 0.0179, 0.04), high)


def hermes_2_flicker(g: Any) -> Any:
    """1/f noise of two HERMES devices a side."""
    high = 0.0069 * g**3 - 0.0280 * g**2 + 0.0211 * g + 0.0123
    return np.where(g < 0.16, _clip_log(g, -0.0117, -0.0069, 0.015, 0.04), high)


def cmo_flicker(g: Any) -> Any:
    """1/f noise of CMO/HfOx: 0.02773 log10(G) uS, as a share of G (Falcone et al. 2025)."""
    conductance = np.maximum(90.0 * g, 1.0)
    return 0.02773 * np.log10(conductance) / conductance


def _pcm(g_max: float, error: list[float], t0: float, read_s: float, drift: Any, flicker: Any) -> Parameters:
    return {
        "law": "programmed",
        "g_min_uS": 0.0,
        "g_max_uS": g_max,
        "error_uS": [error],
        "error_reference_uS": g_max,
        "drift_of": drift,
        "drift_table_start_s": t0,
        "flicker_of": flicker,
        "flicker_read_s": read_s,
    }


def _cmo(offset: float, slope: float) -> Parameters:
    """`slope` is a share of the target: the polynomial counts in targets over 90 uS."""
    return {
        "law": "programmed",
        "g_min_uS": 9.0,
        "g_max_uS": 90.0,
        "error_uS": [[offset, 90.0 * slope]],
        "error_reference_uS": 90.0,
        "relaxation_mean_uS": -0.0890,
        "relaxation_sigma_uS": 0.4118,
        "relaxation_sigma_slope_uS": 0.0420,
        "relaxation_start_s": 1.0,
        "flicker_of": cmo_flicker,
        "flicker_read_s": 1e-6,
    }


PUBLISHED: dict[str, Parameters] = {
    "pcm-joshi-2020": _pcm(25.0, [0.26348, 1.9650, -1.1731], 20.0, 250e-9, joshi_drift, joshi_flicker),
    "pcm-hermes-2023-1-device": _pcm(
        10.35, [0.15782, 2.32444, -2.16311, 0.68842], 200.0, 512e-9, hermes_1_drift, hermes_1_flicker
    ),
    "pcm-hermes-2023-2-devices": _pcm(
        20.7, [0.16603, 4.71806, -8.48101, 4.68961], 300.0, 512e-9, hermes_2_drift, hermes_2_flicker
    ),
    "rram-neurram-wan-2022": {
        "law": "programmed",
        "g_min_uS": 0.0,
        "g_max_uS": 40.0,
        "error_uS": [
            [0.348, 16.030, -43.853, 45.393, -16.815],
            [0.701, 22.086, -50.773, 47.095, -16.458],
            [0.782, 20.274, -43.507, 37.062, -11.934],
        ],
        "error_at_s": [1.0, 86400.0, 172800.0],
        "error_reference_uS": 40.0,
    },
    "rram-cmo-hfox-falcone-2025": _cmo(0.01122, 0.01129),
    "rram-cmo-hfox-falcone-2025-fine": _cmo(8.1e-4, 1.069e-3),
}


# Writing. Each of these draws what `n` devices are written to, cut at zero later.


def error_sigma(p: Parameters, target: Any, row: int) -> Any:
    """Standard deviation in uS of the written state of `target`, at the time of `row`."""
    g = target / p["g_max_uS"]
    sigma = 0.0 * g
    if "error_uS" in p:
        sigma = sigma + sum(c * g**k for k, c in enumerate(p["error_uS"][row]))
    if "error_saturating_uS" in p:
        most, scale = p["error_saturating_uS"][row]
        sigma = sigma + most * (1 - np.exp(-target / scale))
    return np.maximum(sigma, 0.0) * p["g_max_uS"] / p["error_reference_uS"]


def error_at(p: Parameters, target: Any, age: float) -> Any:
    """The same at an age: linear in its logarithm between rows, constant before the first and after the last."""
    times = np.log(p.get("error_at_s", [1.0]))
    weights = (np.interp(np.log(age), times, row) for row in np.eye(len(times)))
    return sum(weight * error_sigma(p, target, row) for row, weight in enumerate(weights))


def _write_table(p: Parameters, target: Any, n: int, rng: np.random.Generator) -> Sample:
    return target + error_sigma(p, target, 0) * rng.standard_normal(n)


def _write_pcm(p: Parameters, target: Any, n: int, rng: np.random.Generator) -> Sample:
    g = target / p["g_max_uS"]
    sigma = (p["program_c0"] + p["program_c1"] * g + p["program_c2"] * g**2) * p["g_max_uS"]
    written = target + sigma / p["program_reference_uS"] * rng.standard_normal(n)
    return np.clip(written, p["reset_floor_uS"], p["g_max_uS"])


def origin_and_span(p: Parameters) -> tuple[float, float]:
    """Conductance of the normalised state zero, and of one unit of it."""
    low, high = p.get("state_min", -1.0), p.get("state_max", 1.0)
    span = (p["g_max_uS"] - p["g_min_uS"]) / (high - low)
    return p["g_min_uS"] - low * span, span


def bounds(p: Parameters, n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Lower and upper end of each of `n` bipolar devices."""
    origin, span = origin_and_span(p)
    far = abs(p.get("state_max", 1.0) * (1 + p.get("state_max_spread", 0.0) * rng.standard_normal(n)))
    near = abs(p.get("state_min", -1.0) * (1 + p.get("state_min_spread", 0.0) * rng.standard_normal(n)))
    upper, lower = origin + span * far, origin - span * near
    corrupt = rng.random(n) < p.get("corrupt_share", 0.0)
    one = origin + span * p.get("corrupt_range", 0.0) * rng.uniform(-1, 1, n)
    upper[corrupt] = lower[corrupt] = one[corrupt]
    return np.maximum(lower, 0.0), np.maximum(upper, 0.0)


def _write_bipolar(p: Parameters, target: Any, n: int, rng: np.random.Generator) -> Sample:
    lower, upper = bounds(p, n, rng)
    error = p.get("program_tolerance", 0.0) * (p["g_max_uS"] - p["g_min_uS"])
    return np.clip(target + error * rng.standard_normal(n), lower, upper)


def _write_window(p: Parameters, target: Any, n: int, rng: np.random.Generator) -> Sample:
    """Laws whose devices all end at the window; an error only where the card has one."""
    error = p.get("program_tolerance", 0.0) * (p["g_max_uS"] - p["g_min_uS"])
    return np.clip(target + error * rng.standard_normal(n), p["g_min_uS"], p["g_max_uS"])


def _write_binary(p: Parameters, target: Any, n: int, rng: np.random.Generator) -> Sample:
    """The nearer of two resistances, each off by a normal share; failed writes are repeated until they hold."""
    low, high = p["g_min_uS"], p["g_max_uS"]
    state = np.where(target >= (low + high) / 2, high, low)
    return state / abs(1 + p.get("resistance_spread", 0.0) * rng.standard_normal(n))


Write = Callable[[Parameters, Any, int, np.random.Generator], Sample]
WRITE: dict[str, Write] = {
    "programmed": _write_table,
    "pcm-accumulative": _write_pcm,
    "binary": _write_binary,
    **dict.fromkeys(("nonlinearity-label", "measured-steps", "vteam", "ideal"), _write_window),
    **dict.fromkeys(
        ("constant-step", "linear-step", "soft-bounds", "exp-step", "power-step", "piecewise-step"),
        _write_bipolar,
    ),
}
"""How each law is programmed; a law that is not here has no programming that the documentation defines."""


# What time does to it.


def delay(p: Parameters) -> float:
    """The device's own reading time: drift, relaxation and 1/f noise see no younger age than this."""
    found = [0.0]
    if p["law"] == "pcm-accumulative":
        found.append(p["drift_reference_s"])
    if "drift_of" in p or "drift_table_exponent" in p:
        found.append(p["drift_table_start_s"])
    if relaxes(p):
        found.append(p["relaxation_start_s"])
    if "error_at_s" in p:
        found.append(p["error_at_s"][0])
    if "flicker_of" in p or "flicker" in p:
        found.append(p["flicker_read_s"])
    return max(found)


def relaxes(p: Parameters) -> bool:
    """Whether the device relaxes at all."""
    return any(f"relaxation_{part}_uS" in p for part in ("mean", "sigma", "sigma_slope"))


def exponents(p: Parameters, target: Any, n: int, rng: np.random.Generator) -> list[tuple[float, Sample]]:
    """(time at which the conductance is the written one, exponent of each device) of both power laws."""
    found = []
    if "drift_exponent" in p:
        spread = p.get("drift_exponent_sigma", 0.0)
        found.append((p["drift_reference_s"], abs(p["drift_exponent"] + spread * rng.standard_normal(n))))
    share = target / p["g_max_uS"]
    if "drift_of" in p:
        mean, sigma = p["drift_of"](share)
    elif "drift_table_exponent" in p:
        nodes, means = p["drift_table_share"], p["drift_table_exponent"]
        mean = np.interp(share, nodes, means)
        sigma = np.interp(share, nodes, p.get("drift_table_sigma", [0.0] * len(nodes)))
    else:
        return found
    return [*found, (p["drift_table_start_s"], abs(mean + sigma * rng.standard_normal(n)))]


def flicker_share(p: Parameters, written: Sample) -> Sample:
    """1/f noise of each device as a share of its conductance, by the conductance that it was written to."""
    g = np.maximum(written / p["g_max_uS"], 1e-9)
    if "flicker_of" in p:
        return np.asarray(p["flicker_of"](g))
    share = p["flicker"] * g ** -p.get("flicker_power", 0.65)
    return np.minimum(share, p.get("flicker_most", 0.2))


def flicker_growth(age: float, read_s: float) -> float:
    """By how much 1/f noise has grown since the write."""
    return float(np.sqrt(np.log((age + read_s) / (2 * read_s))))


def rest(p: Parameters) -> float:
    """Conductance of both devices of a pair with weight zero, for the laws where it takes no search."""
    if p["law"] in ("pcm-accumulative", "programmed"):
        return p["g_min_uS"]
    if p["law"] in ("constant-step", "linear-step", "soft-bounds") and not p.get("asymmetry"):
        return origin_and_span(p)[0]
    raise NotImplementedError(f"rest point of {p['law']}")


def nominal_step(p: Parameters) -> float:
    """The step that a controller counts in, where it takes no search."""
    window = p["g_max_uS"] - p["g_min_uS"]
    if p["law"] == "pcm-accumulative":
        return p["nominal_set_step_uS"]
    if p["law"] == "programmed":
        return window / p.get("steps", 100.0)
    if p["law"] in ("constant-step", "linear-step", "soft-bounds") and not p.get("asymmetry"):
        return p["step"] * origin_and_span(p)[1]
    raise NotImplementedError(f"nominal step of {p['law']}")


def heated(p: Parameters, g: Sample) -> Sample:
    """Thermally activated; the energy is that of the end of the window beyond it."""
    share = np.clip(g / p["g_max_uS"], 0.0, 1.0)
    energy = p["activation_low_eV"] + (p["activation_high_eV"] - p["activation_low_eV"]) * share
    return g * np.exp(-energy / BOLTZMANN_EV * (1 / p["temperature_K"] - 1 / p["reference_K"]))


def telegraph_factor(p: Parameters, n: int, rng: np.random.Generator) -> Sample:
    """One for quiet cells, 1 + a/2 or 1 - a/2 with equal chance for the others."""
    amplitude = p["telegraph_amplitude"] * np.exp(p["telegraph_spread"] * rng.standard_normal(n))
    noisy = rng.random(n) < p["telegraph_share"]
    return 1 + np.where(noisy, rng.choice([-0.5, 0.5], n) * amplitude, 0.0)


def stuck(p: Parameters, n: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], Sample]:
    """Which cells are stuck, and where."""
    low, high = p["g_min_uS"], p["g_max_uS"]
    at_min, at_max = p.get("p_stuck_gmin", 0.0), p.get("p_stuck_gmax", 0.0)
    between = p.get("p_stuck_between", 0.0)
    u, value = rng.random(n), rng.uniform(low, high, n)
    value = np.where(u < at_min + at_max, np.where(u < at_min, low, high), value)
    return u < at_min + at_max + between, value


def composed(
    p: Parameters, target: float, ages: Sequence[float], n: int, rng: np.random.Generator, **effects: Any
) -> Sample:
    """Conductances (ages, n) of devices programmed to `target`; `effects` are added to the parameters, None drops.

    Devices at different ages are the same devices with the same draws, so that only the distribution at each age
    means something, not how a device's noise moves from one age to the next.
    """
    p = {key: value for key, value in {**p, **effects}.items() if value is not None}
    scale = np.exp(p.get("added_conductance_spread", 0.0) * rng.standard_normal(n))
    target = target / scale  # program-and-verify corrects the scale
    if relaxes(p):  # and reads after the delay: there the mean of what relaxed is the target
        target = target - p.get("relaxation_mean_uS", 0.0) * np.log(delay(p) / p["relaxation_start_s"])
    target = np.clip(target, p["g_min_uS"], p["g_max_uS"])
    raw = WRITE[p["law"]](p, target, n, rng)
    written = np.maximum(raw, 0.0)
    powers = exponents(p, target, n, rng)
    is_grown = len(p.get("error_at_s", ())) > 1
    flickers = "flicker_of" in p or "flicker" in p
    later, relaxed, flickered = (
        rng.standard_normal(n) if on else np.zeros(1) for on in (is_grown, relaxes(p), flickers)
    )
    share = flicker_share(p, written) if flickers else np.zeros(1)
    noise = p["added_write_noise"] * nominal_step(p) if "added_write_noise" in p else 0.0
    offset = noise * rng.standard_normal(n)
    factor = telegraph_factor(p, n, rng) if "telegraph_share" in p else None
    is_stuck, stuck_at = stuck(p, n, rng)
    path = np.empty((len(ages), n))
    for k, true_age in enumerate(ages):
        age = max(true_age, delay(p))
        g = written
        if is_grown:
            more = np.maximum(error_at(p, target, age) ** 2 - error_sigma(p, target, 0) ** 2, 0.0)
            g = np.maximum(raw + np.sqrt(more) * later, 0.0)
        for start, nu in powers:
            g = g * (age / start) ** -nu
        if "retention_s" in p:
            g = rest(p) + (g - rest(p)) * np.exp(-true_age / p["retention_s"])
        if relaxes(p):
            log = np.log(age / p["relaxation_start_s"])
            spread = p.get("relaxation_sigma_uS", 0.0) + p.get("relaxation_sigma_slope_uS", 0.0) * log
            g = g + p.get("relaxation_mean_uS", 0.0) * log + spread * relaxed
        if flickers:
            g = g * (1 + share * flicker_growth(age, p["flicker_read_s"]) * flickered)
        g = np.maximum(scale * (g + offset), 0.0)
        if "temperature_K" in p:
            g = heated(p, g)
        if factor is not None:
            g = np.maximum(g * factor, 0.0)
        path[k] = np.where(is_stuck, stuck_at, g)
    return path


def read_sigma(p: Parameters, g: Sample) -> Sample:
    """White read noise of conductances, in uS."""
    sigma = p.get("read_noise_relative", 0.0) * g + p.get("read_noise_floor_uS", 0.0)
    if "read_noise_most_uS" in p:
        sigma = sigma + p["read_noise_most_uS"] * (1 - np.exp(-g / p["read_noise_scale_uS"]))
    return sigma
