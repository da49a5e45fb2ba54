"""The output error of arrays against the numpy composition of their pairs, in standard errors.

A weight is one of a few levels, so that the error of a pair is sampled once a level; what an output adds up is then
exact arithmetic: the mean and the variance of a sum of independent pairs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from composition_helpers import ages, standard_errors
from composition_reference import Parameters, composed, parameters, read_sigma, rest

import neurosim as ns

ROWS, COLS, BATCH = 64, 32, 4
LEVELS = (-0.9, -0.5, -0.2, 0.0, 0.2, 0.5, 0.9)
ARRAYS = (
    "pcm-joshi-2020",
    "pcm-hermes-2023-1-device",
    "rram-neurram-wan-2022",
    "rram-cmo-hfox-falcone-2025-fine",
    "pcm-nandakumar-2018",
    "rram-hfo2-om-2022",
    "ecram-li-tang-2018",
    "sonos-agrawal-2022",
)
READ_NOISY = ("pcm-nandakumar-2018", "sonos-agrawal-2022")
"""Cards whose reads have white noise."""
FIXED = ns.WritePath(scale="fixed", w_max=1.0)
SET_ONLY = ("pcm-accumulative", "programmed")
Pairs = dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]]


def pair_targets(p: Parameters, weight: float) -> tuple[float, float]:
    """Conductances that plus and minus device of a weight (w_max = 1) are asked for."""
    difference = weight * (p["g_max_uS"] - p["g_min_uS"])
    if p["law"] in SET_ONLY:
        return rest(p) + max(difference, 0.0), rest(p) + max(-difference, 0.0)
    low, high = p["g_min_uS"], p["g_max_uS"]
    plus, minus = (np.clip(rest(p) + side * difference / 2, low, high) for side in (1, -1))
    return float(plus), float(minus)


def pairs(p: Parameters, times: list[float], n: int, rng: np.random.Generator) -> Pairs:
    """For each level: mean error, its variance, and the variance of white read noise, all at each age, in weights."""
    scale = 1 / (p["g_max_uS"] - p["g_min_uS"])
    found: Pairs = {}
    for weight in LEVELS:
        plus, minus = (composed(p, target, times, n, rng) for target in pair_targets(p, weight))
        error = (plus - minus) * scale - weight
        white = (read_sigma(p, plus) ** 2 + read_sigma(p, minus) ** 2) * scale**2
        found[weight] = error.mean(1), error.var(1), white.mean(1)
    return found


def predicted(
    level: np.ndarray, x: np.ndarray, at_level: Pairs, is_read_noisy: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each output's error, (ages, BATCH, COLS)."""
    mean, variance, white = (np.array([at_level[w][k] for w in LEVELS])[level] for k in range(3))
    if is_read_noisy:
        variance = variance + white
    return np.einsum("bi,ija->abj", x, mean), np.einsum("bi,ija->abj", x**2, variance)


def errors(
    name: str, level: np.ndarray, x: np.ndarray, times: list[float], read: Any, seed: int
) -> np.ndarray:
    """What one array's outputs are off at each age, (ages, BATCH, COLS)."""
    weights = np.array(LEVELS)[level]
    array = ns.Crossbar((ROWS, COLS), name, seed=seed, read=read, write=FIXED)
    array.program(weights)
    found, now = [], 0.0
    for time in times:
        array.advance(time - now)
        now = time
        found.append(np.asarray(array.forward(x), np.float64) - x @ weights)
    return np.array(found)


def compare_array(
    name: str, is_read_noisy: bool = False, seeds: int = 16, n: int = 100_000, seed: int = 0
) -> list[dict[str, Any]]:
    """Mean, mean square and spread of an array's output error at each age, in standard errors over all columns.

    The spread is about the error that is predicted on average: where drift makes most of the error, the mean square
    says little about what is random.
    """
    p = parameters(name)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    times = ages(p)
    level = rng.integers(len(LEVELS), size=(ROWS, COLS))
    x = rng.uniform(-1, 1, (BATCH, ROWS))
    x[0] = abs(x[0])  # as activities are: errors of one sign add up
    mean, variance = predicted(level, x, pairs(p, times, n, rng), is_read_noisy)
    read = ns.ReadPath(read_noise="card" if is_read_noisy else None)
    found = np.array([errors(name, level, x, times, read, seed * 1000 + k) for k in range(seeds)])
    statistics: dict[str, tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]] = {
        "mean": (lambda e: e, mean),
        "mean square": (np.square, mean**2 + variance),
        "spread": (lambda e: np.square(e - mean), variance),
    }
    rows = []
    for statistic, (of, expected) in statistics.items():
        off = (of(found) - expected).mean(2)  # (seeds, ages, COLS): independent, each of mean zero
        for k, age in enumerate(times):
            error = off[:, k].std() / np.sqrt(off[:, k].size)
            rms = float(np.sqrt(np.square(found[:, k]).mean()))
            rows.append(
                {
                    "card": name,
                    "age_s": age,
                    "statistic": f"array, {statistic}" + (", read noise" if is_read_noisy else ""),
                    "rms": rms,
                    "predicted_rms": float(np.sqrt((mean**2 + variance)[k].mean())),
                    "off": standard_errors(off[:, k].mean(), error, expected[k].mean()),
                }
            )
    return rows
