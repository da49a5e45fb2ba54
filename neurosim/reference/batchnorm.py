"""BatchNorm folded into the layer before it, where a model's forward, followed by `torch.fx`, says that it can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from neurosim.core.errors import CapabilityError

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Folded(nn.Module):
    """What stands in the place of a BatchNorm that was folded into the weights of the layer before it: nothing is done."""

    def __init__(self, name: str, into: str, vectors: bool):
        super().__init__()
        self.name, self.into, self.vectors = name, into, vectors

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`; raises `CapabilityError` where BatchNorm would not have normalised what a linear layer returns."""
        if self.vectors and x.ndim != 2:
            raise CapabilityError(
                f"'{self.name}' was folded into '{self.into}', but gets {tuple(x.shape)}, of which it normalises axis 1 "
                "and not the outputs of that layer; convert(..., fuse_batchnorm=False)"
            )
        return x

    def extra_repr(self) -> str:
        """Where it went."""
        return f"into {self.into}"


def fold(model: nn.Module, layers: Mapping[str, nn.Module], kept: set[str]) -> list[str]:
    """Fold every BatchNorm that can be into the layer before it, in place; return which stay, each with the reason.

    Parameters
    ----------
    model : Module
        In evaluation mode.
    layers : dict of str to Module
        Its layers that go onto devices.
    kept : set of str
        Names of modules that are left as they are.

    Raises
    ------
    CapabilityError
        If `torch.fx` cannot follow the model's forward.
    """
    norms: dict[str, Any] = {
        name: module for name, module in model.named_modules() if type(module) in NORMS and name not in kept
    }
    if not norms:
        return ["no BatchNorm in this model"]
    givers = _givers(model)
    names = {id(module): name for name, module in layers.items()}
    left = []
    for name, norm in norms.items():
        layer, reason = givers.get(id(norm), (None, "it is never called"))
        into = names.get(id(layer), "")
        reason = (
            reason
            or ("" if into else "what comes to it is no layer on devices")
            or _misfit(norm, layer, into)
        )
        if reason:
            left.append(f"{name} stays digital, for {reason}")
            continue
        _fold_one(norm, layer)
        for path, same in list(model.named_modules(remove_duplicate=False)):
            if same is norm:
                parent, _, own = path.rpartition(".")
                setattr(model.get_submodule(parent), own, Folded(name, into, isinstance(layer, nn.Linear)))
    return left


def _givers(model: nn.Module) -> dict[int, tuple[Any, str]]:
    """What each module, by id, takes its input from (None: no module), and why nothing can be folded into that."""
    try:
        nodes = list(fx.Tracer().trace(model).nodes)
    except Exception as error:  # noqa: BLE001  whatever a model's own forward raises
        said = str(error).strip().split("\n")[0] or type(error).__name__
        raise CapabilityError(
            f"fuse_batchnorm: torch.fx cannot follow {type(model).__name__}.forward ({said}); fold BatchNorm before "
            "convert, with torch.nn.utils.fusion.fuse_conv_bn_eval, or leave fuse_batchnorm out"
        ) from None
    called = {node: model.get_submodule(str(node.target)) for node in nodes if node.op == "call_module"}
    calls = Counter(map(id, called.values()))
    found: dict[int, tuple[Any, str]] = {}
    for node, module in called.items():
        source = node.all_input_nodes[0] if node.all_input_nodes else None
        giver = called.get(source) if source is not None else None
        reason = ""
        if source is not None and giver is not None:
            if max(calls[id(giver)], calls[id(module)]) > 1:
                reason = "it, or what comes before it, is called more than once"
            elif len(source.users) > 1:
                reason = "what comes to it goes elsewhere as well"
        found[id(module)] = giver, reason
    return found


def _misfit(norm: Any, layer: Any, into: str) -> str:
    outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    if norm.running_mean is None:
        return "it has no running statistics"
    if outputs != norm.num_features:
        return f"it has {norm.num_features} features, '{into}' {outputs} outputs"
    if any(module._forward_hooks or module._forward_pre_hooks for module in (norm, layer)):
        return f"it or '{into}' has hooks"
    return ""


def _fold_one(norm: Any, layer: Any) -> None:
    """Fold in double precision, so that only the devices round; for a linear layer torch's formula is the same."""
    fuse: Any = fuse_conv_bn_weights
    values = (layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    weight, bias, mean, variance, factor, offset = (
        None if value is None else value.detach().double() for value in values
    )
    fused = fuse(weight, bias, mean, variance, norm.eps, factor, offset)
    layer.weight, layer.bias = (nn.Parameter(value.detach(), requires_grad=False) for value in fused)
