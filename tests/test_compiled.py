"""Compiled passes of the torch crossbar: traced whole, the same results as eager ones, no new trace for a new event.

What is traced runs here operation by operation; the slow tier lets Inductor compile it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import FINE, HFO2, PCM, ROOT, local_update, slow_unless, small_weights

from neurosim import TorchCrossbar, WritePath
from neurosim.core.errors import CapabilityError
from neurosim.devices import cards, load
from neurosim.reference import agreement
from neurosim.reference.agreement import OPERATIONS, compare_operations
from neurosim.reference.twin import compiled
from neurosim.reference.twin.crossbar import MOST_UNROLLED
from neurosim.reference.twin.followed import FOLLOWED_AT
from neurosim.reference.twin.pcm import PcmTwin

ROWS, COLS = 20, 10
SEEDS = (1, 2)
LAWS = (PCM, HFO2, FINE)
SURROUNDED = "pcm-projected-bruce-2021"
_PLAINEST = sorted(cards(), key=lambda name: load(name).is_surrounded, reverse=True)
CARDS = sorted({SURROUNDED, *{load(name).law: name for name in _PLAINEST}.values()})
"""One of each law, without effects around it where there is one, and one with."""
TRACED = (SURROUNDED, "ideal", "rram-vteam-kvatinsky-2015")
"""Those that every run traces, beside those of `LAWS` in other tests."""
WRITES: tuple[dict[str, Any], ...] = (
    {},
    {"decay_mode": "exact", "momentum": 0.5},
    {"decay_mode": "gain"},
    {"mapping": "reference"},
    {"verify_reads": 1, "flush_pulses": 2},
    {"prompt": True, "flush_pulses": 2},
    {"pulse_train_slots": 3},
    {"pulse_train_slots": 3, "decay_mode": "gain"},
)


@pytest.fixture
def traced(monkeypatch):
    """What was traced runs as it is, without being compiled."""
    monkeypatch.setattr(compiled, "_compiled", lambda graph, arguments: graph)


def made(card: str, compile_it: bool, **write: Any) -> TorchCrossbar:
    settings = {"w_max": 0.5, "pulse_limit": 3, "refresh": None, **write}
    array = TorchCrossbar(
        (ROWS, COLS), card, seed=SEEDS, read={"dac_bits": 8, "adc_bits": 8}, write=WritePath(**settings),
        compiled=compile_it,
    )  # fmt: skip
    array.program(small_weights(ROWS, COLS, 4, 0.4), w_max=array.w_max)
    return array


def lived(array: TorchCrossbar, mode: Any, steps: int = 3) -> list[torch.Tensor]:
    """Reads, updates, norms and time passing; everything that came out."""
    found = []
    for k in range(steps):
        pre, post, decay = local_update(ROWS, COLS, 6, seed=k, scale=0.1)
        found += [array.forward(pre), array.update(pre, post, decay, mode), array.column_norms()]
        array.advance(10.0 ** (k + 1))
    return [*found, array.conductance_uS(), array.weights()]


def assert_same(one: TorchCrossbar, other: TorchCrossbar, mode: Any, steps: int = 3) -> None:
    for eager, fast in zip(lived(one, mode, steps), lived(other, mode, steps), strict=True):
        torch.testing.assert_close(eager, fast, rtol=1e-5, atol=1e-6)
    for k in range(len(SEEDS)):
        a, b = one.snapshot(k), other.snapshot(k)
        assert a.keys() == b.keys()
        for name, values in a.items():
            np.testing.assert_allclose(values, b[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("write", WRITES, ids=str)
@pytest.mark.parametrize("card", [slow_unless(card != FINE, card) for card in LAWS])
def test_a_traced_pass_is_the_eager_one(traced, card, write):
    mode = "mixed" if {"verify_reads", "prompt"} & set(write) else "accumulate"
    mode = "online" if "pulse_train_slots" in write else mode
    assert_same(made(card, False, **write), made(card, True, **write), mode)


@pytest.mark.parametrize("card", [slow_unless(card in TRACED, card) for card in CARDS])
def test_every_law_is_traced_whole(traced, monkeypatch, card):
    """Without a look at a number on the host, which a trace refuses; a mini-batch of every operation agrees with numba."""
    monkeypatch.setattr(agreement, "SHAPE", (40, 24))
    some = [
        name
        for name in OPERATIONS
        if name in ("forward", "update, mixed", "decay, readback", "a day, update")
    ]
    lines = list(compare_operations(load(card), "float32", True, 5, operations=some, compiled=True))
    assert lines
    assert [line for line in lines if not line.holds] == []


def test_a_hundred_updates_are_traced_once(traced):
    array = made(PCM, True)
    lived(array, "mixed", 1)
    before, seconds = dict(array._passes._made), array.seconds_compiling
    assert len(before) == 5
    assert seconds > 0
    lived(array, "mixed", 100)
    assert array._passes._made == before
    assert array.seconds_compiling == seconds


def test_what_changes_outside_of_passes_is_taken_over(traced):
    """Programming, a calibration, a checkpoint and updates that are written down between compiled passes."""
    eager, fast = made(HFO2, False), made(HFO2, True)
    for array in (eager, fast):
        lived(array, "mixed", 1)
        kept = array.snapshot(1)
        array.program(small_weights(ROWS, COLS, 9, 0.2))
        array.calibrate(np.random.default_rng(0).random((30, ROWS)))
        with array.record():
            lived(array, "accumulate", 1)
        array.restore(kept, 0)
    assert_same(eager, fast, "mixed")


@pytest.mark.parametrize("look", ["exact", "read"])
@pytest.mark.parametrize("rewrite", ["verify", "pulses"])
def test_refreshes_are_compiled(traced, look, rewrite):
    """But for a rewrite by more pulses than have a place in a text, which runs eagerly between compiled updates."""
    refresh = {"every": 2, "high": 0.3, "low": 0.01, "look": look, "rewrite": rewrite}
    eager, fast = made(PCM, False, refresh=refresh), made(PCM, True, refresh=refresh)
    assert_same(eager, fast, "accumulate", 5)
    assert fast.ledger.refreshed_pairs > 0
    few = fast._writer.refresher.most_pulses <= MOST_UNROLLED
    assert few == any(what == "refresh" for what, _ in fast._passes._made)
    assert few or rewrite == "pulses"


@pytest.mark.parametrize(
    ("card", "write"), [*((card, {}) for card in CARDS), (HFO2, {"scale": "percentile", "w_max": None})]
)
def test_programming_is_compiled(traced, card, write):
    """Twice: to a stated largest weight, and to the setting's or to what the weights choose."""
    eager, fast = (made(card, compile_it, **write) for compile_it in (False, True))
    for array in (eager, fast):
        array.program(small_weights(ROWS, COLS, 9, 0.2))
    passes = [what for what, _ in fast._passes._made]
    assert passes == list(dict.fromkeys([f"program to {fast.w_max}", "program to None"]))
    torch.testing.assert_close(eager.conductance_uS(), fast.conductance_uS(), rtol=1e-5, atol=1e-6)
    for k in range(len(SEEDS)):
        assert fast.ledgers[k].programmed_cells > 0
        np.testing.assert_allclose(fast.ledgers[k].to_array(), eager.ledgers[k].to_array(), rtol=1e-5)


def test_a_twin_that_looks_at_a_number_is_refused(traced, monkeypatch):
    pulse = PcmTwin.pulse

    def curious(self: PcmTwin, state: Any, counts: torch.Tensor, *rest: Any) -> Any:
        return pulse(self, state, counts * int(counts.max() < 100), *rest)

    monkeypatch.setattr(PcmTwin, "pulse", curious)
    array = made(PCM, True)
    pre, post, _ = local_update(ROWS, COLS, 6, seed=0, scale=0.1)
    with pytest.raises(CapabilityError, match="compiled=False"):
        array.update(pre, post)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
@pytest.mark.parametrize("card", LAWS)
def test_inductor_computes_the_same(card, mode):
    assert_same(made(card, False), made(card, True), mode)


@pytest.mark.slow
def test_inductor_refreshes_the_same():
    refresh = {"every": 2, "high": 0.3, "low": 0.01, "look": "read"}
    eager, fast = (made(PCM, compile_it, refresh=refresh) for compile_it in (False, True))
    assert_same(eager, fast, "mixed", 5)
    assert fast.ledger.refreshed_pairs > 0


@pytest.mark.slow
def test_inductor_compiles_once_for_all_seeds_and_updates():
    torch._dynamo.reset()
    array = made(FINE, True)
    lived(array, "accumulate", 1)
    compiled_once = len(compiled._COMPILED)
    torch._dynamo.utils.counters.clear()
    lived(array, "accumulate", 100)
    lived(
        TorchCrossbar((ROWS, COLS), FINE, seed=(8, 9), read=array.read, write=array.write, compiled=True),
        "accumulate",
    )
    assert len(compiled._COMPILED) == compiled_once
    assert not torch._dynamo.utils.counters["graph_break"]
    assert torch._dynamo.utils.counters["stats"].get("unique_graphs", 0) == 0


def test_the_page_names_what_stays_out():
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8").split("## What stays out")[1]
    for settings in FOLLOWED_AT.values():
        for name in settings:
            assert f"`{name}`" in page, name
