"""Same seed, same bits: for one thread and two, for any chunking of reads, and for every kernel of BLAS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import helpers
import numpy as np
import pytest
from helpers import BUILT_IN, HFO2, IDEAL, MODES, PCM, local_update, small_weights
from threadpoolctl import threadpool_info

from neurosim import Crossbar, Dense, IdealArray, ReadPath, Refresh, WritePath, set_threads
from neurosim.crossbar import cells
from neurosim.kernels import jit
from neurosim.kernels.products import blocks, even_blocks, matmul
from neurosim.rules import SoftHebb

SMALL, LARGE = (64, 50), (784, 600)
CHUNKS = (1, 7, 128, 97)
F = np.float32


@pytest.fixture(autouse=True)
def threads_as_before():
    before = jit.threads()
    yield
    set_threads(before)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of work so small that a small array has many for the threads to share."""
    monkeypatch.setattr(cells, "BLOCK_PAIRS", 1000)


def images(n: int, rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, rows), F)


def life(shape: tuple[int, int], name: str, mode: str, threads: int, seed: int = 1) -> dict[str, bytes]:
    """Program, learn, read and age an array; every bit that comes out."""
    set_threads(threads)
    rows, cols = shape
    write = WritePath(refresh=Refresh(every=2), decay_mode="readback" if name != HFO2 else "device")
    array = Crossbar(shape, name, seed=seed, read=ReadPath(dac_bits=8), write=write)
    array.program(small_weights(rows, cols), w_max=array.w_max)
    seen = {}
    for step in range(3):
        array.update(*local_update(rows, cols, 6, seed=step, scale=0.05), mode)
        seen[f"norms {step}"] = array.column_norms().tobytes()
        seen[f"read {step}"] = array.forward(images(5, rows, step)).tobytes()
        array.advance(2.0)
    return {**seen, **helpers.bits(array), "g": array.conductance_uS().tobytes()}


def differing(a: dict[str, bytes], b: dict[str, bytes]) -> set[str]:
    return {name for name in a if a[name] != b[name]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.usefixtures("small_blocks")
def test_one_thread_and_two_give_the_same_bits(name, mode):
    assert len(Crossbar((200, 50), name)._cells.row_blocks()) == 10
    assert not differing(life((200, 50), name, mode, 1), life((200, 50), name, mode, 2))


@pytest.mark.parametrize(("name", "mode"), [(PCM, "accumulate"), (HFO2, "mixed"), (PCM, "online")])
@pytest.mark.usefixtures("small_blocks")
def test_one_four_and_sixteen_threads_give_the_same_bits(name, mode):
    """Counter-based draws (Philox, Salmon et al., SC'11): no number depends on which thread asks for it."""
    assert len(Crossbar((400, 50), name)._cells.row_blocks()) >= 16
    one, *others = (life((400, 50), name, mode, threads) for threads in (1, 4, 16))
    for other in others:
        assert not differing(one, other)


@pytest.mark.parametrize(("name", "mode"), [(PCM, "accumulate"), (HFO2, "mixed"), (PCM, "online")])
def test_one_thread_and_two_give_the_same_bits_on_a_larger_array(name, mode):
    assert len(Crossbar(LARGE, name)._cells.row_blocks()) > 4
    assert not differing(life(LARGE, name, mode, 1), life(LARGE, name, mode, 2))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_same_seed_repeats_and_another_differs(name, mode):
    a, b, c = (life(SMALL, name, mode, 2, seed) for seed in (1, 1, 2))
    assert not differing(a, b)
    different = differing(a, c)
    random = not (name == IDEAL and mode == "mixed")
    assert ({"g", "state.conductance"} <= different) == random
    if name == PCM:
        assert {"read 0", "norms 0"} <= different


def test_arrays_of_other_names_differ():
    a, b = (Crossbar(SMALL, PCM, seed=0, name=name) for name in ("layer 0", "layer 1"))
    assert (a.conductance_uS() != b.conductance_uS()).mean() > 0.99


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["64x50", "784x600"])
@pytest.mark.parametrize("name", [PCM, IDEAL])
def test_any_chunking_of_reads_gives_the_same_bits(name, shape):
    rows, cols = shape
    array = Crossbar(shape, name, seed=3, read=ReadPath(dac_bits=8, adc_bits=8))
    array.program(small_weights(rows, cols), w_max=array.w_max)
    saved, x = array.snapshot(), images(300, rows)
    whole = array.forward(x)
    energy = array.ledger.read_J
    for chunk in CHUNKS:
        array.restore(saved)
        parts = np.concatenate([array.forward(x[k : k + chunk]) for k in range(0, 300, chunk)])
        np.testing.assert_array_equal(parts, whole, err_msg=f"chunks of {chunk}")
        assert array.ledger.reads == 300
        assert array.ledger.read_J == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize(
    ("rows", "cols"),
    [(64, 50), (784, 600), (60, 2200), (2000, 70), (1, 700), (300, 1), (784, 513), (9000, 15), (8, 17000)],
)
def test_products_equal_themselves_for_any_split_and_number_of_threads(rows, cols):
    """Also where BLAS changes its kernel with the height of a block (60 x 2200)."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((150, rows), F), rng.standard_normal((rows, cols), F)
    whole = matmul(a, b)
    np.testing.assert_allclose(whole, a.astype(np.float64) @ b, rtol=0, atol=1e-4 * np.sqrt(rows))
    set_threads(1)
    np.testing.assert_array_equal(matmul(a, b), whole)
    for chunk in (7, 33, 64, 97, 128):
        parts = np.concatenate([matmul(a[k : k + chunk], b, k) for k in range(0, 150, chunk)])
        np.testing.assert_array_equal(parts, whole, err_msg=f"chunks of {chunk}")
    one = np.concatenate([matmul(a[k : k + 1], b, k) for k in (0, 1, 149)])
    np.testing.assert_array_equal(one, whole[[0, 1, 149]], err_msg="single samples")


def test_a_product_does_not_depend_on_the_threads_that_blas_would_take():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 784), F), rng.standard_normal((784, 600), F)
    before = [info["num_threads"] for info in threadpool_info()]
    first = matmul(a, b)
    assert [info["num_threads"] for info in threadpool_info()] == before, "the limit is given back"
    np.testing.assert_array_equal(matmul(a, b), first)


def test_blocks_cover_everything_once():
    assert blocks(0, 128) == []
    for count in (1, 5, 128, 129, 1000, 1025):
        for split in (blocks, even_blocks):
            found = split(count, 128)
            assert [k for first, last in found for k in range(first, last)] == list(range(count))
            assert all(0 < last - first <= 128 for first, last in found)
        sizes = [last - first for first, last in even_blocks(count, 128)]
        assert len(sizes) == -(-count // 128)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", [None, PCM])
def test_learning_ends_in_the_same_bits_for_one_thread_and_two(name):
    def learned(threads: int) -> bytes:
        set_threads(threads)
        array = IdealArray((64, 40)) if name is None else Crossbar((64, 40), name, seed=4)
        array.program(np.abs(small_weights(64, 40)), w_max=array.w_max)
        layer = Dense(array, SoftHebb(), norm_every=3)
        for step in range(8):
            layer.learn(images(16, 64, step))
        return b"".join(value.tobytes() for value in layer.snapshot().values())

    assert learned(1) == learned(2)


CORE_PROGRAM = """
import json, numpy as np
from threadpoolctl import threadpool_info
from neurosim.kernels.products import matmul
rng = np.random.default_rng(0)
a, b = rng.standard_normal((130, 300)).astype('f'), rng.standard_normal((300, 500)).astype('f')
whole = matmul(a, b)
parts = {chunk: np.concatenate([matmul(a[k:k + chunk], b, k) for k in range(0, 130, chunk)]) for chunk in (1, 7, 64)}
cores = [info.get('architecture') for info in threadpool_info() if info['user_api'] == 'blas']
print(json.dumps({'cores': cores, 'unequal': [c for c, p in parts.items() if not np.array_equal(p, whole)]}))
"""


@pytest.mark.parametrize("core", ["SkylakeX", "Haswell", "Sandybridge"])
def test_products_equal_themselves_for_any_split_on_other_processors_kernels(core):
    """OpenBLAS picks its kernels by processor (Haswell: also AMD Zen and Intel without AVX-512); bits must not
    depend on the chunking of reads on any of them."""
    env = {**os.environ, "OPENBLAS_CORETYPE": core}
    done = subprocess.run(
        [sys.executable, "-c", CORE_PROGRAM],
        check=False,
        env=env,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    if done.returncode < 0:
        pytest.skip(f"this processor cannot run the kernels of {core}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if core not in found["cores"]:
        pytest.skip(f"BLAS here has no kernels for {core}: {found['cores']}")
    assert found["unequal"] == []
