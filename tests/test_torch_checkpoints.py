"""State dicts, copies and pickles of trained layers on devices: the chip goes along, and only into the same chip."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_helpers import EIGHT_BITS, PCM, QUIET, RRAM, aged, network, other_model

import neurosim as ns
from neurosim import convert
from neurosim.core.errors import CheckpointError, InputError
from neurosim.reference.convert import CrossbarModel
from neurosim.reference.modules import CrossbarConv2d


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same_from_now_on(a: CrossbarModel, b: CrossbarModel) -> None:
    """Reads, noise, drift, compensation and ledgers go on alike, to the bit."""
    x = torch.rand(8, 20)
    assert torch.equal(a(x), b(x))
    assert a.ledgers == b.ledgers
    for model in (a, b):
        model.advance(3e8)
    for mine, other in zip(a.compensate().values(), b.compensate().values(), strict=True):
        assert torch.equal(mine, other)
    assert torch.equal(a(x), b(x))
    assert a.ledgers == b.ledgers
    assert [one.array.now_s for one in a.layers.values()] == [one.array.now_s for one in b.layers.values()]


@pytest.mark.parametrize("seed", [0, [3, 5]])
def test_state_dict_takes_the_devices_along(seed: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    a = aged(seed)
    state = a.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    save_file(state, tmp_path / "chip.safetensors")
    b, c, d = other_model(seed), other_model(seed), other_model(seed)
    assert str(b.load_state_dict(state)) == "<All keys matched successfully>"
    c.load_state_dict(through_a_file(state))
    d.load_state_dict(load_file(tmp_path / "chip.safetensors"))
    held = copy.deepcopy(a)
    for other in (b, c, d):
        same_from_now_on(copy.deepcopy(held), other)
    same_from_now_on(a, held)


def test_a_checkpoint_from_before_calibration_has_no_reference() -> None:
    a, b = other_model(), aged()
    b.load_state_dict(a.state_dict())
    with pytest.raises(InputError, match="call calibrate"):
        b.compensate()
    x = torch.rand(4, 20)
    assert torch.equal(a(x), b(x))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 1}, r"seeds is \[1\] here and \[0\]"),
        ({"seed": [0, 1]}, r"seeds is \[0, 1\] here"),
        ({"card": RRAM}, r"device\.law is .* device\.name is"),
        ({"card": ns.devices.load(PCM).with_parameters(drift_exponent=0.06)}, r"device\.drift_exponent is 0\.06 here"),
        ({"read": QUIET}, r"read\.adc_bits is the default here and 8"),
        ({"write": ns.WritePath(w_max=2.0)}, r"write\.w_max is 2\.0 here and the default"),
        ({"write": ns.WritePath(mapping="reference")}, r"write\.mapping"),
        ({"periphery": ns.Periphery(mac_pJ=1.0)}, r"periphery\.mac_pJ"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_chip_is_refused_and_nothing_changes(
    other: dict[str, Any], said: str
) -> None:
    state = aged().state_dict()
    b = other_model(**other)
    before = copy.deepcopy(b)
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=said):
            b.load_state_dict(state, strict=strict)
    x = torch.rand(5, 20)
    assert torch.equal(b(x), before(x))
    assert torch.equal(b.model[2].running_mean, before.model[2].running_mean)


def test_checkpoints_of_other_shapes_of_torch_or_damaged_are_refused() -> None:
    a = aged()
    state = a.state_dict()
    with pytest.raises(CheckpointError, match="shape"):
        convert(network(21), PCM, read=EIGHT_BITS).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"Missing key.*model\.0\.configuration"):
        a.load_state_dict(network().state_dict())
    with pytest.raises(CheckpointError, match="before convert"):
        a.load_state_dict(
            {f"model.{key}": value for key, value in network().state_dict().items()}, strict=False
        )
    lacking = dict(state)
    del lacking["model.0.array.state.conductance"]
    with pytest.raises(CheckpointError, match=r"array\.state\.conductance"):
        a.load_state_dict(lacking)
    with pytest.raises(CheckpointError, match="precision"):
        a.load_state_dict(
            {k: v.half() if v.is_floating_point() and "array.state" in k else v for k, v in state.items()}
        )
    with pytest.raises(CheckpointError, match="damaged"):
        a.load_state_dict({**state, "model.0.configuration": torch.zeros(3, dtype=torch.uint8)})
    with pytest.raises(CheckpointError, match=r"expected array\.uS_per_weight \(1, 6\)"):
        a.load_state_dict({**state, "model.0.array.uS_per_weight": torch.ones(1, 1)})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*more"):
        a.load_state_dict({**state, "model.0.more": torch.ones(1)})


def test_a_convolution_of_another_stride_takes_no_checkpoint() -> None:
    layer = nn.Conv2d(2, 3, 3)
    one, other = (CrossbarConv2d(layer.weight, layer.bias, PCM, stride=stride) for stride in (1, 2))
    again = CrossbarConv2d(torch.rand(3, 2, 3, 3), torch.rand(3), PCM)
    again.load_state_dict(one.state_dict())
    x = torch.rand(2, 2, 6, 6)
    assert torch.equal(again(x), one(x))
    with pytest.raises(CheckpointError, match="stride"):
        other.load_state_dict(one.state_dict())


@pytest.mark.parametrize("seed", [0, [3, 5]])
def test_copies_and_pickles_are_second_chips_in_the_same_state(seed: Any) -> None:
    a = aged(seed)
    copied, pickled = copy.deepcopy(a), pickle.loads(pickle.dumps(a))
    before = copy.deepcopy(a)
    same_from_now_on(copied, pickled)
    same_from_now_on(a, before)
