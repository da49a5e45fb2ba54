"""Counter-based random numbers: the published generator, exact laws, independent streams, one result everywhere."""

from __future__ import annotations

import helpers
import numpy as np
import pytest
from helpers import check_count, check_mean, check_std, check_uncorrelated, philox_reference
from scipy import stats

from neurosim.core.seeds import generator, key
from neurosim.kernels import random
from neurosim.kernels.random import fill_normal, fill_uniform, normal, philox, uniform

PI = ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))
ONES = ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2)
ZEROS = ((0,) * 4, (0,) * 2)
EXTREME = np.unique(
    np.concatenate(
        [
            np.arange(4096, dtype=np.uint64),
            np.arange(2**32 - 4096, 2**32, dtype=np.uint64),
            *((np.uint64(1) << np.arange(32, dtype=np.uint64)) - np.uint64(k) for k in (0, 1)),
        ]
    )
)
"""Words at both ends of the scale and at every power of two."""


def filled(fill, n: int, event: int = 0, stream=None) -> np.ndarray:
    out = np.empty(n, np.float32)
    fill(out, event, key(0, "test") if stream is None else stream)
    return out


@pytest.mark.parametrize(
    ("rounds", "start", "answer"),
    [
        (10, ZEROS, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (10, ONES, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (10, PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
        (7, ZEROS, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
        (7, ONES, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
        (7, PI, (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A)),
    ],
)
def test_the_reference_is_philox_by_the_known_answers_of_random123(rounds, start, answer):
    """kat_vectors of Random123 1.14 (D. E. Shaw Research)."""
    assert philox_reference(*start, rounds) == answer


def test_the_kernel_is_philox_with_seven_rounds():
    rng = np.random.default_rng(1)
    cells = [*rng.integers(0, 2**32, 300).tolist(), 0, 1, 2**32 - 1]
    events = [*rng.integers(0, 2**45, 300).tolist(), 0, 2**32, 2**64 - 1]
    draws = [*rng.integers(0, 2**20, 300).tolist(), 0, 1, 2**32 - 1]
    keys = rng.integers(0, 2**32, (303, 2), np.uint64)
    for cell, event, draw, stream in zip(cells, events, draws, keys, strict=True):
        counter = (cell, event & 0xFFFFFFFF, draw, event >> 32)
        found = philox(np.uint64(cell), np.uint64(event), np.uint64(draw), stream)
        assert tuple(map(int, found)) == philox_reference(counter, stream.tolist(), random.ROUNDS)
    assert random.ROUNDS == 7


def test_filling_and_the_numpy_oracle_give_the_same_bits():
    stream = key(5, "oracle")
    word = helpers.words(np.arange(20_000), 2**40 + 3, 0, stream)[0]
    np.testing.assert_array_equal(filled(fill_uniform, 20_000, 2**40 + 3, stream), helpers.uniforms(word))
    np.testing.assert_array_equal(filled(fill_normal, 20_000, 2**40 + 3, stream), helpers.normals(word))


def test_uniforms_lie_in_the_half_open_unit_interval():
    assert float(uniform(np.uint64(0))) == 0.0
    assert float(uniform(np.uint64(2**32 - 1))) == 1 - 2.0**-24
    sample = filled(fill_uniform, 1_000_000)
    assert sample.dtype == np.float32
    assert sample.min() >= 0
    assert sample.max() < 1


def test_uniforms_have_the_mean_variance_and_shape_of_the_uniform_law():
    sample = filled(fill_uniform, 1_000_000)
    check_mean(sample, 0.5, np.sqrt(1 / 12))
    check_std(sample, np.sqrt(1 / 12))
    counts = np.histogram(sample, 1000, (0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_a_normal_is_the_quantile_of_its_words_probability():
    """Against scipy's inverse normal at the very probability that the word stands for."""
    word = np.concatenate([EXTREME, helpers.words(np.arange(300_000), 0, 0, key(0, "test"))[0]])
    exact = stats.norm.ppf(helpers.probabilities(word))
    exact = np.where(word & np.uint64(1), exact, -exact)
    found = np.concatenate([[normal(w) for w in EXTREME], filled(fill_normal, 300_000)])
    assert np.abs(found - exact).max() < 1e-6
    assert np.abs(found).max() > 6


def test_normals_never_decrease_with_the_probability_and_are_symmetric():
    odd = np.sort(np.concatenate([EXTREME, np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint64)]))
    odd |= np.uint64(1)
    lower, upper = helpers.normals(odd), helpers.normals(odd - np.uint64(1))
    assert (np.diff(lower) >= -5e-7).all()
    np.testing.assert_array_equal(lower, -upper)


def test_the_tails_hold_as_many_words_as_the_normal_law_wants():
    """Of all 2**32 words, the share with z < -k equals Phi(-k) to 1e-5 of itself, up to 6 sigma."""
    for k in np.arange(0.5, 6.01, 0.5):
        low, high = 0, 2**31 - 1
        while low < high:
            middle = (low + high) // 2
            beyond = float(normal(np.uint64(2 * middle + 1))) >= -k
            low, high = (low, middle) if beyond else (middle + 1, high)
        share = low / 2**32
        assert share == pytest.approx(stats.norm.cdf(-k), rel=1e-5, abs=2.0**-32)


def test_normals_have_the_moments_and_tails_of_the_normal_law():
    sample = filled(fill_normal, 4_000_000, event=1)
    check_mean(sample, 0.0, 1.0)
    check_std(sample, 1.0)
    cube, fourth = sample.astype(np.float64) ** 3, sample.astype(np.float64) ** 4
    check_mean(cube, 0.0, np.sqrt(15))
    check_mean(fourth, 3.0, np.sqrt(96))
    for k in range(1, 6):
        p = stats.norm.cdf(-k)
        check_count(int((sample < -k).sum()), sample.size, p)
        check_count(int((sample > k).sum()), sample.size, p)


def test_normals_pass_kolmogorov_and_smirnov():
    assert stats.kstest(filled(fill_normal, 200_000, event=2), "norm").pvalue > 1e-4


@pytest.mark.parametrize(
    "other",
    [
        (0, "layer", "pulse"),
        (0, "layer 1", "read"),
        (1, "layer", "read"),
        (-1, "layer", "read"),
    ],
)
def test_streams_of_other_purposes_arrays_and_seeds_are_uncorrelated(other):
    a, b = (filled(fill_normal, 200_000, 7, key(*path)) for path in ((0, "layer", "read"), other))
    check_uncorrelated(a, b)
    check_uncorrelated(a[1:], b[:-1])
    check_uncorrelated(np.abs(a), np.abs(b))


def test_neighbouring_cells_events_draws_and_words_are_uncorrelated():
    stream = key(0, "test")
    table = np.stack([filled(fill_normal, 2000, event, stream) for event in range(100)])
    check_uncorrelated(table[:, 1:], table[:, :-1])
    check_uncorrelated(table[1:], table[:-1])
    check_uncorrelated(table[1:, 1:], table[:-1, :-1])
    check_uncorrelated(table[1:, :-1], table[:-1, 1:])
    for high in (1 << 32, 1 << 40):
        check_uncorrelated(table[0], filled(fill_normal, 2000, high, stream))
    cells = np.arange(100_000)
    draws = [helpers.normals(word) for draw in (0, 1) for word in helpers.words(cells, 9, draw, stream)]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            check_uncorrelated(a, b)


def test_keys_name_their_purpose_and_repeat():
    np.testing.assert_array_equal(key(3, "a", 1), key(3, "a", 1))
    paths = [(3, "a", 1), (3, "a", 2), (3, "a"), (3, "b", 1), (4, "a", 1), (-3, "a", 1)]
    assert len({tuple(key(*path).tolist()) for path in paths}) == len(paths)
    assert (key(3, "a") < 2**32).all()


def test_generators_for_work_outside_kernels_repeat_and_differ_by_path():
    draws = [generator(*path).random(8).tolist() for path in ((1, "a"), (1, "a"), (1, "b"), (2, "a"))]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]


def test_torch_gives_the_same_words_uniforms_and_normals_bit_for_bit():
    """The design's claim: integer bits and plain float32 arithmetic round alike on every backend."""
    torch = pytest.importorskip("torch")
    cells, stream, event = np.arange(200_000), key(11, "torch"), 2**35 + 5
    ours = helpers.words(cells, event, 3, stream)
    from neurosim.reference.twin import draws

    words = tuple(torch.tensor(int(word)) for word in stream)
    theirs = torch.stack(draws.words(torch.from_numpy(cells), event, 3, words))
    np.testing.assert_array_equal(ours, theirs.numpy().astype(np.uint64))
    word = torch.cat([theirs[0], torch.from_numpy(EXTREME.astype(np.int64))])
    plain = word.numpy().astype(np.uint64)
    np.testing.assert_array_equal(draws.uniform(word).numpy(), helpers.uniforms(plain))
    np.testing.assert_array_equal(
        draws.normal(word).numpy().view(np.int32), helpers.normals(plain).view(np.int32)
    )
    kernel = np.array([normal(w) for w in plain[-5000:]], np.float32)
    np.testing.assert_array_equal(draws.normal(word[-5000:]).numpy().view(np.int32), kernel.view(np.int32))
    first = draws.normal(draws.words(torch.from_numpy(cells), event, 0, words)[0])
    np.testing.assert_array_equal(first.numpy(), filled(fill_normal, len(cells), event, stream))
