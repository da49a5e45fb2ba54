"""The pulse programme of an array: a table of its pulses, which end in the same bits when they are given again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import PCM

from neurosim import Crossbar, Dense, Faults, PulseProgramme, Refresh, Tiles, Wires, WritePath
from neurosim.core.errors import CapabilityError, DataError, InputError
from neurosim.crossbar import programme as module
from neurosim.crossbar.programme import COLUMNS
from neurosim.kernels.cells import flat
from neurosim.rules import SoftHebb

RRAM = "rram-hfo2-om-2022"
ROWS, COLS = 9, 5


def made(device: str = RRAM, **options: Any) -> Crossbar:
    options["write"] = WritePath(w_max=1.0).changed(**options.pop("write", {}))
    array = Crossbar((ROWS, COLS), device, seed=4, **options)
    array.program(np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, COLS)), w_max=1.0)
    return array


def learn(array: Crossbar, mode: Any) -> None:
    rng = np.random.default_rng(2)
    for _ in range(6):
        array.update(rng.random((3, ROWS)), 0.3 * rng.standard_normal((3, COLS)), np.full(COLS, 0.03), mode)
        array.advance(60.0)


def assert_same_bits(one: Crossbar, other: Crossbar) -> None:
    mine, theirs = flat(one._cells.state), flat(other._cells.state)
    for name, values in mine.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    np.testing.assert_array_equal(one.worn, other.worn)
    np.testing.assert_array_equal(one._cells.grid.row_sum, other._cells.grid.row_sum)
    x = np.random.default_rng(3).random((4, ROWS))
    with one.looking(), other.looking():
        np.testing.assert_array_equal(one.forward(x), other.forward(x))


CASES = {
    "mixed": {}, "accumulate": {}, "online": {}, "tiles": {"tiles": Tiles(word_lines=4, bit_lines=4)},
    "faults": {"faults": Faults(broken_word_lines=0.2, spare_columns=1, placement="aware")}, "PCM": {"device": PCM},
    "PCM online": {"device": PCM}, "PCM counted": {"device": PCM, "write": {"refresh": Refresh(every=2, high=0.2, low=0.1)}},
    "depression": {"device": "rram-hfo2-gong-2018", "write": {"decay_mode": "device"}},
    "reference": {"write": {"mapping": "reference"}}, "double": {"precision": "float64"}, "wires": {"wires": Wires(r_word_ohm=5, r_bit_ohm=5)},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_programme_given_again_ends_in_the_same_bits(case: str, tmp_path: Any) -> None:
    mode = next((word for word in ("online", "accumulate") if word in case), "mixed")
    free, told, again = (made(**CASES[case]) for _ in range(3))
    learn(free, mode)
    with told.record() as programme:
        learn(told, mode)
    assert_same_bits(free, told)  # writing down changes nothing
    again.replay(PulseProgramme.read(programme.save(tmp_path / "pulses.csv"), programme.shape))
    assert_same_bits(told, again)
    assert again.ledger.pulses == told.ledger.pulses > 0
    assert again.ledger.up_J == pytest.approx(told.ledger.up_J, rel=1e-12)


def test_the_table_says_each_pulse() -> None:
    array = made(tiles=Tiles(word_lines=5, bit_lines=4))
    with array.record() as programme:
        learn(array, "mixed")
    frame = programme.to_pandas()
    assert tuple(frame) == COLUMNS
    pulses = frame[frame["kind"] == "pulse"]
    assert pulses["count"].sum() == array.ledger.pulses
    assert pulses.loc[pulses["polarity"] < 0, "count"].sum() == array.ledger.downs
    down, up = array.device.pulse_shapes[1], array.device.pulse_shapes[0]
    assert set(pulses.loc[pulses["polarity"] < 0, "voltage_V"]) == {down[0]}
    assert set(pulses.loc[pulses["polarity"] > 0, "width_s"]) == {up[1]}
    assert pulses["tile"].nunique() == 2 * 3
    assert (pulses.groupby("tile")["word_line"].max() - pulses.groupby("tile")["word_line"].min()).max() < 5
    waits = frame[frame["kind"] == "wait"]
    assert waits["width_s"].tolist() == [60.0] * 6
    assert waits["time_s"].tolist() == [60.0 * k for k in range(6)]
    assert len(programme) == len(frame)
    assert "pulses in" in repr(programme)


def test_a_recorded_training_of_a_layer_is_replayed() -> None:
    told, again = made(), made()
    layer = Dense(told, SoftHebb(learning_rate=0.5), "mixed")
    x = np.random.default_rng(0).random((20, ROWS)).astype(np.float32)
    with told.record() as programme:
        for k in range(0, 20, 4):
            layer.learn(x[k : k + 4])
    again.replay(programme)
    np.testing.assert_array_equal(told.conductance_uS(), again.conductance_uS())


def test_what_cannot_be_told_or_given_is_refused(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = made(wires=Wires(r_word_ohm=1, r_bit_ohm=1), write={"pulse_sensitivity_V": 0.2})
    with pytest.raises(CapabilityError, match="half-selected"), weak.record():
        pass
    array = made()
    with array.record() as programme:
        learn(array, "mixed")
    with pytest.raises(InputError, match="this array has 9 x 8"):
        Crossbar((ROWS, 4), RRAM).replay(programme)
    with pytest.raises(InputError, match="csv or"):
        programme.save(tmp_path / "pulses.txt")
    frame = programme.to_pandas()
    for name, value, said in (
        ("word_line", 99, "outside"),
        ("count", 0.5, "whole"),
        ("polarity", 2, "whole"),
        ("kind", "x", "none of"),
    ):
        wrong = frame.copy()
        wrong[name] = wrong[name].astype(object)
        wrong.loc[0, name] = value
        wrong.to_csv(tmp_path / "wrong.csv", index=False)
        with pytest.raises(DataError, match=said):
            PulseProgramme.read(tmp_path / "wrong.csv", programme.shape)
    frame.drop(columns="count").to_csv(tmp_path / "less.csv", index=False)
    with pytest.raises(DataError, match="no column count"):
        PulseProgramme.read(tmp_path / "less.csv", programme.shape)
    monkeypatch.setattr(module, "MOST", 10)
    with pytest.raises(CapabilityError, match="at most 10 lines"), array.record():
        learn(array, "mixed")
    assert array._writer.recorder is None
