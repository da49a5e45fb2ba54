"""Groups of devices are pulsed to the same bits as each device alone."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import copied

from neurosim import devices
from neurosim.core.seeds import key
from neurosim.kernels.cells import construct_cells, flat
from neurosim.kernels.groups import FEW, GROUP, group_pulses, new_group
from neurosim.kernels.jit import jit
from neurosim.kernels.random import fill_normals, normal

GONG, OM, PCM = "rram-hfo2-gong-2018", "rram-hfo2-om-2022", "pcm-nandakumar-2018"
CELLS = 1000
SIZES = (1, FEW - 1, FEW, 37, GROUP)


@jit
def filled(size, words, out):
    fill_normals(size, words, out)


def test_normals_of_many_words_are_those_of_each():
    ends = [0, 1, 2, 3, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    words = np.append(ends, np.random.default_rng(0).integers(0, 2**32, 20_000)).astype(np.uint32)
    each = np.array([normal(np.uint64(word)) for word in words], np.float32)
    out = np.zeros(words.size, np.float32)
    filled(words.size - 1, words.copy(), out)
    np.testing.assert_array_equal(out[:-1].view(np.uint32), each[:-1].view(np.uint32))
    assert out[-1] == 0 != each[-1]


def _counts(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    signs = rng.choice([-1, 1], size)
    return (
        signs
        * {
            "one each": np.ones(size, int),
            "few": rng.integers(1, 4, size),
            "very different": np.where(rng.random(size) < 0.1, rng.integers(50, 90, size), 1),
        }[kind]
    )


@pytest.mark.parametrize("kind", ["one each", "few", "very different"])
@pytest.mark.parametrize(
    ("name", "changes", "precision"),
    [
        (GONG, {}, "float32"),
        (GONG, {"write_noise": None}, "float32"),
        (OM, {"cycle_to_cycle": None}, "float32"),
        (OM, {"gate_energy_J": 1e-12}, "float64"),
        (PCM, {"drift_exponent_sigma": 0.01}, "float32"),
    ],
)
def test_a_group_is_pulsed_to_the_bits_of_each_device_alone(name, changes, precision, kind):
    law = devices.load(name).with_parameters(**changes)
    assert law.kernels.pulses is not None
    one, params = law.allocate(CELLS, precision), law.params(precision)
    construct_cells(0, CELLS, one, params, key(0, "devices"), law.kernels.construct)
    other, rng, stream = copied(law, one), np.random.default_rng(1), key(0, "pulse")
    pulses, group = group_pulses(law.kernels), new_group(one.conductance)
    for event, size in enumerate(SIZES, 1):
        cells, counts = np.sort(rng.choice(CELLS, size, replace=False)), _counts(kind, size, rng)
        group.cells[:size], group.counts[:size] = cells, counts
        pulses(size, group, one, params, 0.0, event, stream)
        joules = [
            law.kernels.pulse(int(cell), int(count), other, params, 0.0, event, stream)
            for cell, count in zip(cells, counts, strict=True)
        ]
        np.testing.assert_array_equal(group.joules[:size], joules)
        kept = flat(other)
        for field, values in flat(one).items():
            np.testing.assert_array_equal(values, kept[field], err_msg=field)
