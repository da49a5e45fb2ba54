"""What several test files share: independent random numbers, the sampling laws, devices and small arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurosim import Crossbar, devices
from neurosim.core.seeds import key
from neurosim.kernels.cells import construct_cells, drift_cells, flat, pulse_cells
from neurosim.kernels.random import NORMAL_TABLE

ROOT = Path(__file__).resolve().parents[1]
PCM, HFO2, FINE, IDEAL = "pcm-nandakumar-2018", "rram-hfo2-om-2022", "rram-hfo2-gong-2018", "ideal"
BUILT_IN = (IDEAL, PCM, HFO2, FINE)
MODES = ("accumulate", "mixed", "online")
SPREADS = (
    "step_spread",
    "step_spread_lognormal",
    "state_max_spread",
    "state_min_spread",
    "asymmetry_spread",
    "cycle_to_cycle",
    "write_noise",
    "corrupt_share",
    "corrupt_range",
    "program_tolerance",
)
"""Every random effect of the soft-bounds law."""
SURROUNDED = ("pcm-projected-bruce-2021", "ecram-ysz-wox-chen-2023")
"""Cards with many effects around their laws."""


LAWS_OF_EVERY_RUN = ("ideal", "pcm-accumulative", "soft-bounds", "linear-step", "constant-step", "programmed")
"""Laws of most cards: the update kernel of each law takes a compiler 3 to 7 s of processor time, so that the others are for the slow tier."""


def every_card() -> list[Any]:
    """Return parameters of a test: a card of common laws, and `SURROUNDED`, for every run, all others for the slow tier."""
    names = sorted(devices.cards())
    first = {devices.load(name).law: name for name in reversed(names)}
    common = {*(first[law] for law in LAWS_OF_EVERY_RUN), *SURROUNDED}
    return [slow_unless(name in common, name) for name in names]


def slow_unless(common: bool, *values: Any) -> Any:
    """Return values of a parametrised test, for the slow tier unless they are common ones."""
    return pytest.param(*values, marks=() if common else pytest.mark.slow)


# Trainings that are killed.


class Killed(Exception):
    """Ends a training where a test wants it to."""


def killed_and_resumed(make: Callable[[], Any], folder: Path, at: int | None = None) -> tuple[Any, Any]:
    """Return a training that was left alone, and one that went on from the checkpoint of one that was killed.

    Their snapshots agree to the bit, which is asserted here. `at`: steps after which it is killed; just past half of them. The checkpoint
    stays in `folder` as ``c.npz``.
    """
    whole, killed, resumed = (make() for _ in range(3))
    at = killed.total // 2 + 1 if at is None else at
    whole.run()

    def save() -> None:
        if killed.steps == at:
            killed.save(folder / "c.npz")
            raise Killed

    with pytest.raises(Killed):
        killed.run(save=save)
    resumed.resume(folder / "c.npz")
    assert resumed.steps == at
    resumed.run()
    one, other = whole.snapshot(), resumed.snapshot()
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)
    return whole, resumed


# Philox4x32 (Salmon et al., SC'11), in plain Python integers, in numpy and in torch.

_M0, _M1, _W0, _W1, _LOW = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF


def philox_reference(counter: Sequence[int], key: Sequence[int], rounds: int) -> tuple[int, ...]:
    """Philox4x32 on Python integers, as the paper writes it."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def words(cells: Any, event: int, draw: int, key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Philox4x32-7 of many cells at once: (4, cells) words."""
    low = np.uint64(_LOW)
    c0 = np.atleast_1d(np.asarray(cells, np.uint64))
    c1, c2, c3 = (np.full_like(c0, value) for value in (event & _LOW, draw, event >> 32))
    k0, k1 = (int(word) for word in key)
    for _ in range(7):
        p0, p1 = np.uint64(_M0) * c0, np.uint64(_M1) * c2
        c0, c2 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & low, p0 & low
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return np.stack([c0, c1, c2, c3])


def uniforms(word: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Uniform float32 from the high 24 bits of each word."""
    return (word >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def probabilities(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The probability in (0, 1/2] that `normal` makes of a word; its lowest bit chooses the tail."""
    return (word | np.uint64(1)).astype(np.float32).astype(np.float64) * 2.0**-33


def normals(word: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Standard normals of words by the same table, in numpy."""
    bits = (word | np.uint64(1)).astype(np.float32).view(np.int32)
    c = NORMAL_TABLE[(bits >> 20) - 1016]
    t = (bits & 0xFFFFF).astype(np.float32) * np.float32(2.0**-20)
    z = ((c[:, 3] * t + c[:, 2]) * t + c[:, 1]) * t + c[:, 0]
    return np.where(word & np.uint64(1), z, -z).astype(np.float32)


# Sampling laws: five standard errors.


def check_mean(sample: Any, mean: float, sigma: float | None = None, extra: float = 0.0) -> None:
    """The sample's mean lies within 5 sigma / sqrt(n) of `mean` (sigma None: the sample's own)."""
    sample = np.asarray(sample, np.float64).ravel()
    spread = sample.std() if sigma is None else sigma
    bound = 5 * spread / np.sqrt(sample.size) + extra
    assert abs(sample.mean() - mean) <= bound, f"mean {sample.mean()} not within {bound} of {mean}"


def std_error(sample: Any) -> float:
    """Standard error of the sample's standard deviation, sigma sqrt((kurtosis - 1) / (4 n))."""
    centred = np.asarray(sample, np.float64).ravel()
    centred = centred - centred.mean()
    variance = np.square(centred).mean()
    kurtosis = np.mean(centred**4) / variance**2
    return float(np.sqrt(variance * (kurtosis - 1) / (4 * centred.size)))


def check_std(sample: Any, sigma: float, extra: float = 0.0) -> None:
    """The sample's standard deviation lies within five standard errors of `sigma`."""
    found = float(np.asarray(sample, np.float64).std())
    bound = 5 * std_error(sample) + extra
    assert abs(found - sigma) <= bound, f"standard deviation {found} not within {bound} of {sigma}"


def check_count(found: int, n: int, p: float) -> None:
    """A binomial count lies within five standard deviations of n p."""
    bound = 5 * np.sqrt(n * p * (1 - p))
    assert abs(found - n * p) <= bound, f"{found} of {n} not within {bound} of {n * p}"


def check_uncorrelated(a: Any, b: Any) -> None:
    """The correlation of two samples lies within 5 / sqrt(n) of zero."""
    a, b = np.ravel(a), np.ravel(b)
    r = np.corrcoef(a, b)[0, 1]
    assert abs(r) <= 5 / np.sqrt(a.size), f"correlation {r} of {a.size} pairs"


# Devices and arrays.


def quiet(name: str = HFO2, **changes: float | None) -> Any:
    """A soft-bounds device with every random effect off but those in `changes`."""
    return devices.load(name).with_parameters(**{**dict.fromkeys(SPREADS), **changes})


def quiet_pcm(**changes: float | None) -> Any:
    """PCM whose SET steps, programming and reads have no spread at all."""
    still: dict[str, float | None] = dict.fromkeys(
        ("sigma_slope", "sigma_offset_uS", "sigma_first_uS", "program_c0", "program_c1", "program_c2"), 0.0
    )
    off = dict.fromkeys(("reset_sigma_uS", "read_noise_relative", "read_noise_floor_uS"))
    return devices.load(PCM).with_parameters(**{**still, **off, **changes})


def fresh(law: Any, cells: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """State, parameters and pulse key of `cells` newly made devices."""
    state, params = law.allocate(cells), law.params()
    construct_cells(0, cells, state, params, key(seed, "construct"), law.kernels.construct)
    return state, params, key(seed, "pulse")


def copied(law: Any, state: Any) -> Any:
    """The same devices once more, laid out in memory in the same way, so that no kernel is compiled again for them."""
    own = law.allocate(state.conductance.size, str(state.conductance.dtype))
    for name, values in flat(own).items():
        values[...] = flat(state)[name]
    return own


def give(
    law: Any, state: Any, params: Any, count: int, event: int, pulse_key: Any, now_s: float = 0.0
) -> float:
    return pulse_cells(count, state, params, now_s, event, pulse_key, law.kernels.pulse)


def drifted(law: Any, state: Any, params: Any, now_s: float) -> NDArray[np.float32]:
    out = np.empty(state.conductance.size, np.float32)
    drift_cells(out, state, params, now_s, law.kernels.drifted)
    return out


def small_weights(rows: int, cols: int, seed: int = 0, reach: float = 0.6) -> NDArray[np.float32]:
    """Weights spread evenly over +-reach."""
    return np.random.default_rng(seed).uniform(-reach, reach, (rows, cols)).astype(np.float32)


def local_update(rows: int, cols: int, batch: int, seed: int, scale: float = 0.02) -> tuple[Any, Any, Any]:
    """(pre, post, decay) like a rule's: inputs in [0, 1), small signed post, a share of decay."""
    rng = np.random.default_rng(seed)
    pre = rng.random((batch, rows), np.float32)
    post = (scale * rng.standard_normal((batch, cols))).astype(np.float32)
    decay = rng.uniform(0, 0.08, cols).astype(np.float32)
    return pre, post, decay


def bits(array: Crossbar) -> dict[str, bytes]:
    """Everything an array remembers, as bytes."""
    return {name: values.tobytes() for name, values in array.snapshot().items()}


def digest() -> dict[str, list[float]]:
    """A few numbers from every layer of kernels; also run with NUMBA_DISABLE_JIT=1 in a process of its own."""
    from neurosim.kernels.random import normal, philox, uniform

    stream = key(3, "digest")
    drawn = [philox(cell, 2**33 + cell, 1, stream) for cell in range(5)]
    found = {
        "words": [float(word) for four in drawn for word in four],
        "uniform": [float(uniform(four[0])) for four in drawn],
        "normal": [float(normal(word)) for four in drawn for word in four],
        "pcm": devices.pulse_response(PCM, [1, 1, 1, -1, 1], 6, seed=1).ravel().tolist(),
        "rram": devices.pulse_response(HFO2, [1, -1, 1], 6, seed=1).ravel().tolist(),
    }
    for name in ("rram-hfo2-exp-gong-2018", "ecram-li-tang-2018", "example-power-step"):
        found[name] = devices.pulse_response(name, [1, -1, 1], 6, seed=1).ravel().tolist()
    label = devices.load("epiram-sige-choi-2018").with_parameters(nonlinearity_spread=0.2)
    found["label"] = devices.pulse_response(label, [1, -1, 1], 6, seed=1).ravel().tolist()
    for name in (PCM, HFO2):
        array = Crossbar((6, 4), name, seed=2)
        array.program(small_weights(6, 4), w_max=array.w_max)
        for mode in MODES:
            array.update(*local_update(6, 4, 3, seed=5, scale=0.1), mode)
        array.advance(100.0)
        found[f"{name} forward"] = array.forward(np.eye(6)).ravel().tolist()
        found[f"{name} conductance"] = array.conductance_uS().ravel().tolist()
        found[f"{name} joule"] = [1e12 * array.ledger.update_J, 1e12 * array.ledger.read_J]
    return found
