"""BatchNorm folded into weights before they are programmed: where it can be, the same net; where it cannot, said by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch_helpers import PCM, residual

from neurosim import convert
from neurosim.core.errors import CapabilityError
from neurosim.network.readout import single_threaded_torch
from neurosim.reference.convert import CrossbarModel


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    with single_threaded_torch():
        yield


def trained(model: nn.Module) -> nn.Module:
    """With statistics as if it had been trained."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.1, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.uniform_(module.bias, -1, 1)
    return model.eval()


def folded(model: nn.Module, **options: Any) -> CrossbarModel:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return convert(model, "ideal", fuse_batchnorm=True, **options)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        (lambda bias, affine: [nn.Linear(6, 4, bias=bias), nn.BatchNorm1d(4, affine=affine)], (6,)),
        (lambda bias, affine: [nn.Conv2d(2, 4, 3, bias=bias), nn.BatchNorm2d(4, affine=affine)], (2, 5, 5)),
        (lambda bias, affine: [nn.Conv2d(2, 4, 3, groups=2, bias=bias), nn.BatchNorm2d(4, affine=affine)], (2, 5, 5)),
        (lambda bias, affine: [nn.Conv1d(2, 4, 3, bias=bias), nn.BatchNorm1d(4, affine=affine)], (2, 7)),
    ],
)  # fmt: skip
def test_a_folded_net_is_the_net(layers: Any, shape: tuple[int, ...], affine: bool, bias: bool) -> None:
    model, x = trained(nn.Sequential(*layers(bias, affine), nn.ReLU())), torch.randn(5, *shape)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = folded(model)
    torch.testing.assert_close(found(x), model(x).detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(folded(model, seed=[0, 1])(x)[1], model(x).detach(), atol=1e-4, rtol=1e-4)
    assert found.folded == {"1": "0"}
    assert list(found.digital) == ["2"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_is_programmed_is_the_folded_weight() -> None:
    """w' = w gamma / sqrt(variance + eps), b' = (b - mean) gamma / sqrt(variance + eps) + beta."""
    model = trained(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)))
    layer, norm = model[0], model[1]
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    found = folded(model).layers["0"]
    torch.testing.assert_close(
        found.array.weights()[0], (layer.weight * factor[:, None]).detach().T, atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(found.bias, ((layer.bias - norm.running_mean) * factor + norm.bias).detach())
    assert found.array.write.w_max == pytest.approx(
        float((layer.weight * factor[:, None]).detach().abs().max())
    )


def test_a_model_left_in_training_mode_is_folded_with_its_running_statistics() -> None:
    """As the copy on devices answers without folding: it is in evaluation mode."""
    model, x = residual(), torch.rand(3, 1, 8, 8)
    wanted = model(x).detach()
    torch.testing.assert_close(folded(model.train())(x), wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(convert(model, "ideal")(x), wanted, atol=1e-4, rtol=1e-4)
    assert model.training


def test_a_residual_net_is_followed_through_its_forward() -> None:
    model, x = residual(), torch.rand(3, 1, 8, 8)
    found = folded(model)
    assert found.folded == {
        "norm": "stem",
        "block.norm1": "block.depthwise",
        "block.norm2": "block.pointwise",
    }
    assert {part.kind for part in found.digital.values()} == {"ReLU"}
    torch.testing.assert_close(found(x), model(x).detach(), atol=1e-4, rtol=1e-4)


class Elsewhere(nn.Module):
    """What the layer returns goes past the norm too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        return self.norm(y) + y


class Twice(Elsewhere):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.a(self.norm(self.a(x))))


class Added(Elsewhere):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.a(x) + x)


class Unused(Elsewhere):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    return model


@pytest.mark.parametrize(
    ("build", "options", "said"),
    [
        (Elsewhere, {}, "norm stays digital, for what comes to it goes elsewhere as well"),
        (Twice, {}, "norm stays digital, for it, or what comes before it, is called more than once"),
        (Added, {}, "norm stays digital, for what comes to it is no layer on devices"),
        (Unused, {}, "norm stays digital, for it is never called"),
        (hooked, {}, "1 stays digital, for it or '0' has hooks"),
        (
            lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
            {},
            "1 stays digital, for it has no running statistics",
        ),
        (
            lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)),
            {"exclude": "0"},
            "1 stays digital, for what comes to it is no layer on devices",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:weights that stay in digital")
def test_what_cannot_be_folded_stays_digital_and_is_named_with_the_reason(
    build: Any, options: Any, said: str
) -> None:
    model, x = trained(build()), torch.randn(6, 4)
    with pytest.warns(UserWarning, match=f"^fuse_batchnorm: {said}$"):
        found = convert(model, "ideal", fuse_batchnorm=True, **options)
    torch.testing.assert_close(found(x), model(x).detach(), atol=1e-4, rtol=1e-4)
    assert not found.folded
    assert "BatchNorm1d" in {part.kind for part in found.digital.values()}


def test_a_norm_that_is_excluded_stays_as_it_is() -> None:
    model = trained(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4)))
    found = folded(model, exclude="1")
    assert found.folded == {"3": "2"}
    assert found.digital == {"1": ("BatchNorm1d", 8)}


def test_a_linear_layer_over_sequences_is_not_what_the_norm_normalises() -> None:
    """BatchNorm1d of (batch, C, L) normalises axis 1; the outputs of a linear layer are the last."""
    model = trained(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)))
    x = torch.randn(3, 4, 6)
    found = folded(model)
    with pytest.raises(CapabilityError, match=r"'1' was folded into '0', but gets \(3, 4, 4\)"):
        found(x)
    torch.testing.assert_close(convert(model, "ideal")(x), model(x).detach(), atol=1e-4, rtol=1e-4)


def test_what_torch_cannot_follow_is_refused_with_a_way_out() -> None:
    class Deciding(Elsewhere):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.a(x)) if x.sum() > 0 else x

    with pytest.raises(
        CapabilityError, match=r"torch\.fx cannot follow Deciding\.forward .*fuse_conv_bn_eval"
    ):
        convert(Deciding().eval(), PCM, fuse_batchnorm=True)
    with pytest.warns(UserWarning, match="no BatchNorm in this model"):
        convert(nn.Sequential(nn.Linear(4, 4)).eval(), PCM, fuse_batchnorm=True)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_fold_rounds_no_more_than_the_model_does(kind: torch.dtype) -> None:
    model = trained(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))).to(kind)
    exact, x = convert(model.float(), "ideal")(torch.ones(2, 6)), torch.ones(2, 6)
    torch.testing.assert_close(folded(model.to(kind))(x), exact, atol=2e-3, rtol=2e-3)
