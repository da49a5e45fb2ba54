"""What an array warns of: once an array, whatever others have said, and again only by an array that is new."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from helpers import HFO2, PCM
from torch import nn

import neurosim as ns
from neurosim import TorchCrossbar
from neurosim.core.cautions import (
    Caution,
    ExtrapolationWarning,
    Once,
    PulsesCutWarning,
    StillWarning,
    WindowWarning,
)
from neurosim.reference.modules import CrossbarLinear

BOTH = pytest.mark.parametrize("kind", [ns.Crossbar, TorchCrossbar])
WEIGHTS = np.linspace(-0.5, 0.5, 6).reshape(3, 2)
EARLY = {"reading_delay_s": 1.0}
FADING = "ecram-ysz-wox-chen-2023"


@contextmanager
def heard() -> Iterator[list[type]]:
    """Categories of our warnings in the block, whatever Python would show of them."""
    said: list[type] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    said += [each.category for each in caught if issubclass(each.category, Caution)]


def learn(array: Any, size: float = 1e-3) -> None:
    array.update(np.ones((1, 3)), np.full((1, 2), size))


def test_each_kind_is_said_once_and_a_copy_knows_what_was_said() -> None:
    once = Once()
    with heard() as said:
        for _ in range(2):
            once.say(StillWarning, "one")
            once.say(WindowWarning, "two")
        after = Once(once)
        after.say(StillWarning, "one")
        after.say(PulsesCutWarning, "three")
        once.say(PulsesCutWarning, "three")
    assert said == [StillWarning, WindowWarning, PulsesCutWarning, PulsesCutWarning]


@BOTH
def test_a_card_without_time_is_named_once_by_each_array(kind: Callable[..., Any]) -> None:
    """Not once for each line of code, which is what Python's filter would make of it."""
    with heard() as said:
        for _ in range(3):
            array = kind((3, 2), HFO2)
            for _ in range(4):
                array.advance(1.0)
    assert said == 3 * [StillWarning]


@BOTH
def test_a_fitted_window_is_warned_of_by_whoever_goes_on_learning(kind: Callable[..., Any]) -> None:
    """By the array, by one that takes its snapshot back, once; a stated window is never warned of."""
    array, other, stated = (kind((3, 2), PCM) for _ in range(3))
    array.program(WEIGHTS)
    stated.program(WEIGHTS, w_max=1.0)
    other.restore(array.snapshot())
    for each in (array, other):
        with pytest.warns(WindowWarning, match="fitted"):
            learn(each)
    with heard() as said:
        learn(array)
        learn(stated)
        other.restore(array.snapshot())
        learn(other)
        array.restore(stated.snapshot())
        learn(array)
    assert said == []


def test_an_array_with_other_wires_repeats_nothing_and_forgets_nothing() -> None:
    with pytest.warns(ExtrapolationWarning, match="nobody measured"):
        array = ns.Crossbar((3, 2), PCM, read=EARLY)
    array.program(WEIGHTS)
    with heard() as said:
        other = array.rewired({"r_word_ohm": 1.0}, {"word_lines": 2})
        again = other.rewired(None)
    assert said == []
    assert again.wires is None
    np.testing.assert_array_equal(other.conductance_uS(), array.conductance_uS())
    for each in (array, other):
        with pytest.warns(WindowWarning, match="fitted"):
            learn(each, 0.3)
    assert not np.array_equal(array.conductance_uS(), again.conductance_uS())


def test_a_layer_that_takes_its_devices_back_repeats_nothing() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(4, 3), nn.Linear(4, 3)
    with pytest.warns(ExtrapolationWarning):
        one, other = (CrossbarLinear.from_linear(layer, PCM, read=EARLY) for layer in layers)
    with heard() as said:
        other.load_state_dict(one.state_dict())
        copy.deepcopy(one).advance(10.0)
    assert said == []
    assert torch.equal(one.array.weights(), other.array.weights())


@BOTH
def test_a_delay_does_not_reach_what_fades_and_that_is_said(kind: Callable[..., Any]) -> None:
    with pytest.warns(ExtrapolationWarning, match="does not reach what fades"):
        late = kind((3, 2), FADING, read={"reading_delay_s": 1.0})
    with heard() as said:
        own = kind((3, 2), FADING)
        kind((3, 2), HFO2, read={"reading_delay_s": 1.0})
    assert said == []
    for array in (late, own):
        array.program(WEIGHTS, w_max=1.0)
        learn(array, 0.1)
    np.testing.assert_array_equal(late.conductance_uS(), own.conductance_uS())


@BOTH
@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
def test_cut_pulses_are_named_by_either_machine(kind: Callable[..., Any], mode: str) -> None:
    array, limited = kind((3, 2), PCM), kind((3, 2), PCM, write={"pulse_limit": 2})
    for each in (array, limited):
        each.program(np.zeros((3, 2)), w_max=1.0)
    with pytest.warns(PulsesCutWarning, match="learning rate is too high"):
        array.update(np.ones((1, 3)), np.full((1, 2), 1e4), mode=mode)
    with heard() as said:
        array.update(np.ones((1, 3)), np.full((1, 2), 1e4), mode=mode)
        learn(limited, 5.0)
    assert said == []
    assert limited.ledger.pulses_cut > 0
