"""Several instances of a trained model in one pass: each is the model of its seed, whatever the model does with axes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch_helpers import EIGHT_BITS, PCM

from neurosim import convert
from neurosim.core.errors import CapabilityError, InputError


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class SequenceFirst(nn.Module):
    """Batch first outside, sequence first inside."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 4), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x.transpose(0, 1)).tanh()).transpose(0, 1)


class Mixing(nn.Module):
    """Reads a position that all samples share, and sums over the batch: blocks of samples would mix instances."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.place = nn.Linear(6, 4), nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.a(x) + self.place(torch.eye(3))
        return {"y": y - y.mean(dim=0, keepdim=True), "first": y[:1]}


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.a, self.cell, self.b = nn.Linear(6, 4), kind(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, state = self.cell(self.a(x))
        y, _ = self.cell(y[..., :4], hx=state)
        return self.b(y)


@pytest.mark.filterwarnings("ignore:weights that stay in digital")
@pytest.mark.parametrize(
    "build",
    [
        SequenceFirst,
        Mixing,
        lambda: Recurrent(nn.LSTM),
        lambda: Recurrent(nn.GRU),
        lambda: Recurrent(nn.RNN),
        lambda: nn.TransformerEncoderLayer(6, 2, 8),
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2),
        lambda: nn.Sequential(nn.Unflatten(0, (2, -1)), nn.Flatten(0, 1), nn.Linear(6, 2)),
    ],
)
@pytest.mark.parametrize("seeds", [[0], [0, 1], [7, 3, 2], [0, 1, 2, 3]])
def test_instance_k_is_the_model_of_seed_k(build: Any, seeds: list[int]) -> None:
    model, x = build().eval(), torch.rand(4, 3, 6)
    several = convert(model, PCM, seeds, EIGHT_BITS)
    alone = [convert(model, PCM, seed, EIGHT_BITS) for seed in seeds]
    for one in (several, *alone):
        one.calibrate(x)
        one.advance(1e5)
        one.compensate()
    both, single = several(x), [one(x) for one in alone]
    for name in both if isinstance(both, dict) else [...]:
        torch.testing.assert_close(
            both[name], torch.stack([one[name] for one in single]), atol=1e-5, rtol=1e-4
        )
    for ledger, one in zip(several.ledgers, alone, strict=True):
        for name, value in vars(one.ledgers[0]).items():
            assert getattr(ledger, name) == pytest.approx(value, rel=1e-5), name


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        return y if y.sum() > 0 else -y


class Writing(Deciding):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(x.shape[0], 4)
        out[:] = self.a(x)
        return out


class Leaving(Deciding):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.a(x).numpy())


@pytest.mark.parametrize("kind", [Deciding, Writing, Leaving])
def test_what_cannot_run_several_instances_at_once_is_refused_and_runs_alone(kind: type[Deciding]) -> None:
    model, x = kind().requires_grad_(False), torch.rand(4, 6)
    with pytest.raises(CapabilityError, match="convert it once for each seed"):
        convert(model, "ideal", seed=range(2))(x)
    torch.testing.assert_close(convert(model, "ideal")(x), model(x), atol=1e-5, rtol=0)


def test_a_models_own_error_is_not_blamed_on_the_instances() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"):
        convert(Adding(), "ideal", seed=range(2))(torch.rand(2, 6))


class Adding(Deciding):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x) + torch.ones(3)


def test_parts_of_a_model_of_several_instances_are_read_through_the_model_only() -> None:
    model = convert(SequenceFirst(), "ideal", seed=range(2))
    with pytest.raises(InputError, match="call the model that convert returned"):
        model.model(torch.rand(2, 4, 6))
    with pytest.raises(InputError, match="call the model that convert returned"):
        model.layers["a"].calibrate(torch.rand(2, 4, 6))
    torch.testing.assert_close(model(torch.rand(2, 4, 6)).shape, torch.Size([2, 2, 4, 5]))
