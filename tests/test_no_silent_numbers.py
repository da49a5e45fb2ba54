"""Conductances are never negative, silence is silence, pulses have an end, and what was cut is counted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from helpers import FINE, IDEAL, PCM, ROOT, every_card
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from test_own_law import LAW

import neurosim as ns
from neurosim import TorchCrossbar
from neurosim.core.cautions import PulsesCutWarning, StillWarning, WindowWarning
from neurosim.core.errors import CapabilityError, ConfigError, InputError
from neurosim.devices import cards, load, programmed
from neurosim.devices.card import find

OM = "rram-hfo2-om-2022"
EFFECTS = {
    "added_write_noise": some.floats(0, 30),
    "added_conductance_spread": some.floats(0, 2),
    "flicker": some.floats(0, 2),
    "flicker_most": some.floats(0.01, 5),
    "relaxation_mean_uS": some.floats(-20, 20),
    "relaxation_sigma_uS": some.floats(0, 50),
    "relaxation_sigma_slope_uS": some.floats(0, 20),
    "telegraph_share": some.floats(0, 1),
    "telegraph_amplitude": some.floats(0, 10),
    "telegraph_spread": some.floats(0, 3),
    "temperature_K": some.floats(100, 600),
    "p_stuck_between": some.floats(0, 1),
    "retention_s": some.floats(1e-3, 1e9),
}


ANY = {"data": some.data(), "name": some.sampled_from([PCM, OM, "pcm-joshi-2020", "rram-neurram-wan-2022"])}


@settings(max_examples=2, deadline=None, derandomize=True)
@given(**ANY)
def test_no_conductance_is_below_zero_under_any_effects_at_any_time(data, name):
    no_conductance_is_below_zero(data, name)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(**ANY)
def test_none_is_below_zero_in_many_more_cases(data, name):
    no_conductance_is_below_zero(data, name)


def no_conductance_is_below_zero(data, name):
    chosen = data.draw(some.lists(some.sampled_from(sorted(EFFECTS)), unique=True))
    changes = {effect: data.draw(EFFECTS[effect], label=effect) for effect in chosen}
    try:
        device = load(name).with_parameters(**changes)
    except ConfigError as refused:
        assume("closed the window" not in str(refused))
        raise
    low, high = device.cell_window_uS
    found = programmed(device, [low, (low + high) / 2, high], [0.0, 1.0, 1e4, 1e8], 200)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    array = ns.Crossbar((6, 5), device, seed=1)
    array.program(np.linspace(-1, 1, 30).reshape(6, 5), w_max=1.0)
    array.update(np.ones((2, 6)), np.linspace(-0.2, 0.2, 10).reshape(2, 5))
    assert (array.conductance_uS() >= 0).all()


def test_a_card_whose_corrupt_cells_would_conduct_below_zero_is_refused(tmp_path):
    """`corrupt_range = 2` reached -29.7 uS; the parameter is named, when loaded as when changed."""
    with pytest.raises(ConfigError, match=r"corrupt_range = 2: .* at most 1\.25"):
        load(OM).with_parameters(corrupt_range=2.0)
    card = tmp_path / "mine.toml"
    text = next(path for name, path in cards().items() if name == OM).read_text(encoding="utf-8")
    card.write_text(
        text.replace("corrupt_range = { value = 0.01", "corrupt_range = { value = 2.0"), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="corrupt_range"):
        load(card)
    widest = load(OM).with_parameters(corrupt_range=1.25, corrupt_share=1.0)
    assert (ns.Crossbar((40, 40), widest).conductance_uS() >= 0).all()


@pytest.mark.parametrize("name", sorted(cards()))
def test_a_card_says_what_it_is_silent_on(name):
    """Silence about read noise or retention is declared with its reason, and not where there are numbers."""
    card = find(name)
    assert set(card.silent_on) == set(card.omits)
    assert all(len(why) > 10 for why in card.omits.values())


def test_an_omission_that_is_none_is_refused(tmp_path):
    text = next(path for name, path in cards().items() if name == PCM).read_text(encoding="utf-8")
    card = tmp_path / "mine.toml"
    card.write_text(
        text.replace("[parameters]", "[omits]\nretention = 'not measured'\n\n[parameters]", 1),
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"omits\.retention"):
        load(card)


@pytest.mark.parametrize("name", every_card())
@pytest.mark.parametrize("kind", [ns.Crossbar, TorchCrossbar])
def test_read_noise_off_is_off_for_every_card(name, kind):
    """SONOS kept its noise: it has a part of its own that no list of fields knew."""
    array = kind((12, 4), name, seed=1, read=ns.ReadPath(read_noise=None))
    array.program(np.linspace(-0.5, 0.5, 48).reshape(12, 4))
    x = np.repeat(np.linspace(0.1, 1, 12)[None], 40, axis=0)
    found = np.asarray(array.forward(x))
    assert np.ptp(found, axis=0).max() <= 1e-5 * np.abs(found).max()
    assert not array.device.has_read_noise


LOUD = """@inlined
def loud(conductance_uS, params):
    return np.float32(5.0)


class Knee"""
NOISY = LAW.replace("class Knee", LOUD, 1).replace(
    "kernels(share)", "kernels(share)._replace(read_sigma=loud)"
)


def test_read_noise_off_is_off_for_a_users_own_law(tmp_path):
    """By what it does, whatever the law calls its noise; a level in its place goes through the law's floor."""
    (tmp_path / "loud.py").write_text(NOISY, encoding="utf-8")
    from neurosim.devices.card import law_of

    own = law_of(f"{tmp_path}/loud.py:Knee")

    class Loud(own):  # type: ignore[misc, valid-type]
        @property
        def has_read_noise(self):
            return True

    given = {"name": "loud", "g_min_uS": 5.0, "g_max_uS": 45.0, "step": 0.02, "knee": 0.6,
             "write_voltage_V": 1.0, "write_time_s": 1e-7}  # fmt: skip
    x = np.repeat(np.linspace(0.1, 1, 12)[None], 500, axis=0)
    spread = {}
    for level in ("card", None, 0.02):
        array = ns.Crossbar((12, 4), Loud(**given), read=ns.ReadPath(read_noise=level))
        array.program(np.full((12, 4), 0.2))
        spread[level] = float(np.ptp(array.forward(x), axis=0).max())
    assert spread[None] <= 1e-6
    assert spread["card"] > spread[0.02] > 0


def test_a_level_of_read_noise_is_refused_where_the_law_cannot_carry_it():
    """A law without the field of the floor cannot take a number: it is told, not left as it was."""
    from collections import namedtuple
    from typing import ClassVar

    from neurosim.devices.ideal import Ideal
    from neurosim.devices.law import silent

    class Bare(Ideal):
        params_type: ClassVar = namedtuple("BareParams", "g_min_uS g_max_uS g_rest_uS nominal_step_uS")
        own_kernels: ClassVar = Ideal.own_kernels._replace(read_sigma=silent)

    bare = Bare(name="bare", g_min_uS=0.0, g_max_uS=10.0)
    with pytest.raises(CapabilityError, match="params_type"):
        ns.Crossbar((3, 2), bare, read=ns.ReadPath(read_noise=0.05))


@pytest.mark.parametrize("asked", [1e8, 1e12, 1e29])
@pytest.mark.parametrize("mode", ["accumulate", "mixed"])
@pytest.mark.parametrize("name", [PCM, FINE, IDEAL])
def test_updates_without_end_end_at_the_bound_and_say_what_was_cut(name, mode, asked):
    array = ns.Crossbar((3, 2), name)
    array.program(np.zeros((3, 2)), w_max=1.0)
    began = time.perf_counter()
    with pytest.warns(PulsesCutWarning, match="cut"):
        array.update(np.ones((1, 3)), np.full((1, 2), asked), mode=mode)
    assert time.perf_counter() - began < 30
    arms = 2 if array.device.polarity == "bipolar" else 1
    each = asked / array.weight_per_pulse
    given, cut = array.ledger.pulses / arms, array.ledger.pulses_cut
    held = float(np.abs(array.snapshot()["accumulator"]).sum())
    assert given + cut + held == pytest.approx(6 * each, rel=1e-5)
    assert array.weights().min() > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array.update(np.ones((1, 3)), np.full((1, 2), asked), mode=mode)


def test_the_twin_cuts_and_counts_the_same():
    arrays = [kind((3, 2), PCM) for kind in (ns.Crossbar, TorchCrossbar)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PulsesCutWarning)
        for mode in ("accumulate", "mixed", "mixed"):
            for array in arrays:
                array.update(np.ones((1, 3)), np.full((1, 2), 1e4), mode=mode)
    assert arrays[0].ledger.pulses == arrays[1].ledger.pulses
    assert arrays[0].ledger.pulses_cut == pytest.approx(arrays[1].ledger.pulses_cut, rel=1e-6)


def test_a_limit_that_was_asked_for_is_counted_without_a_warning():
    array = ns.Crossbar((3, 2), PCM, write=ns.WritePath(pulse_limit=2))
    array.program(np.zeros((3, 2)), w_max=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array.update(np.ones((1, 3)), np.full((1, 2), 20 * array.weight_per_pulse))
    assert array.ledger.pulses == 12
    assert array.ledger.pulses_cut == pytest.approx(6 * 18, rel=1e-5)


def test_a_change_that_overflows_is_refused_in_words():
    array = ns.Crossbar((3, 2), PCM)
    with pytest.raises(InputError, match="learning rate is too high"):
        array.update(np.full((1, 3), 1e20), np.full((1, 2), 1e20))


def test_still_cards_warn_of_time_and_telegraph_noise_is_time():
    array = ns.Crossbar((3, 2), load(OM).with_parameters(telegraph_share=0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error", StillWarning)
        array.advance(1.0)


TOLD = """
import sys
import numpy as np
import neurosim as ns
device = ns.devices.load("sonos-agrawal-2022").with_parameters(p_stuck_gmin=0.01, temperature_K=300.0)
level = "card" if sys.argv[1] == "card" else float(sys.argv[1])
array = ns.Crossbar((20, 6), device, seed=1, read=ns.ReadPath(read_noise=level))
array.program(np.full((20, 6), 0.5))
print(float(array._cells.grid.variance.mean()))
"""


@pytest.mark.slow
def test_compiled_kernels_of_one_arm_never_serve_the_read_noise_of_another(tmp_path):
    """Read noise told from outside is another kernel within the effects around a law: it has a name of its own."""
    found = {}
    for cache in ("one", "other"):
        env = {**os.environ, "NEUROSIM_CACHE": str(tmp_path / cache)}
        order = ("card", "0.01") if cache == "one" else ("0.01", "card")
        for level in order:
            done = subprocess.run(
                [sys.executable, "-c", TOLD, level],
                env=env,
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
            )
            found[cache, level] = float(done.stdout)
    assert found["one", "card"] == found["other", "card"] > 0
    assert found["one", "0.01"] == found["other", "0.01"] > found["one", "card"]


def test_a_shared_reference_has_one_path_of_noise():
    """The minus device that all columns of a row share fluctuates once, for all of them alike."""
    device = load(OM).with_parameters(flicker=0.05)
    array = ns.Crossbar((8, 5), device, seed=1, write=ns.WritePath(mapping="offset"))
    array.program(np.zeros((8, 5)))
    array.advance(1e3)
    minus = array.conductance_uS()[:, 1::2]
    assert np.ptp(minus, axis=1).max() == 0
    assert np.ptp(minus[:, 0]) > 0


def test_noise_of_a_users_own_law_is_seen_by_what_its_kernel_does(tmp_path):
    """A law whose kernel of read noise asks for no parameter of ours is not taken for a silent one."""
    from neurosim.devices.card import law_of

    (tmp_path / "loud.py").write_text(NOISY, encoding="utf-8")
    own = law_of(f"{tmp_path}/loud.py:Knee")
    given = {"name": "loud", "g_min_uS": 5.0, "g_max_uS": 45.0, "step": 0.02, "knee": 0.6,
             "write_voltage_V": 1.0, "write_time_s": 1e-7}  # fmt: skip
    array = ns.Crossbar((12, 4), own(**given))
    array.program(np.full((12, 4), 0.2))
    seen = array.forward(np.ones((200, 12)))
    expected = 5.0 * np.sqrt(2 * 12) / (40.0 / 0.2)
    np.testing.assert_allclose(seen.std(axis=0), expected, rtol=0.3)


def test_depression_pulses_that_wait_are_not_cut():
    array = ns.Crossbar((4, 3), OM, write=ns.WritePath(decay_mode="device", pulse_limit=2))
    array.program(np.full((4, 3), 0.2), w_max=1.0)
    for _ in range(20):
        array.update(np.zeros((1, 4)), np.zeros((1, 3)), np.full(3, 0.01))
    assert array.ledger.pulses > 0
    assert array.ledger.pulses_cut == 0


def test_a_limit_beyond_what_any_device_needs_is_lowered_and_said():
    array = ns.Crossbar((3, 2), PCM, write=ns.WritePath(pulse_limit=5000))
    array.program(np.zeros((3, 2)), w_max=1.0)
    with pytest.warns(PulsesCutWarning):
        array.update(np.ones((1, 3)), np.full((1, 2), 4000 * array.weight_per_pulse))
    assert array.ledger.pulses == 600


def test_an_array_stands_and_its_window_with_it():
    array = ns.Crossbar((3, 2), load(PCM).with_parameters(temperature_K=300.0))
    array.expose(temperature_K=350.0)
    for change in ({"g_max_uS": 20.0}, {"reading_delay_s": 1e5}, {"nominal_set_step_uS": 1.0}):
        with pytest.raises(CapabilityError, match="while it stands"):
            array.expose(**change)


def test_a_converted_model_says_what_its_window_clips():
    import torch

    from neurosim import convert

    layer = torch.nn.Linear(20, 10)
    torch.nn.init.normal_(layer.weight, std=3.0)
    with pytest.warns(WindowWarning, match="beyond the window"):
        convert(torch.nn.Sequential(layer), PCM, write=ns.WritePath(w_max=1.0))
    by_column = convert(torch.nn.Sequential(layer), IDEAL, write=ns.WritePath(scale_by="column"))
    gains = next(iter(by_column.layers.values())).array._cells.uS_per_weight[0]
    assert len(torch.unique(gains)) == 10


def test_read_noise_does_not_begin_while_an_array_stands():
    quiet = load(PCM).with_parameters(read_noise_relative=None, read_noise_floor_uS=None)
    with pytest.raises(CapabilityError, match=r"reads of this array have no noise.*build it with"):
        ns.Crossbar((3, 2), quiet).expose(read_noise_relative=0.1)
    array = ns.Crossbar((3, 2), PCM)
    array.expose(read_noise_relative=0.1)
    array.expose(read_noise_relative=0.0, read_noise_floor_uS=0.0)
    array.expose(read_noise_relative=0.1)
