"""Weights that torch computes before each use, of pruned and parametrized modules: in a copy, parameters of their value."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from neurosim.core.errors import CapabilityError


def copied(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode without gradients; also of weights that pruning computed from others."""
    computed = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, computed).eval().requires_grad_(False)


def kind_of(module: nn.Module) -> type[nn.Module]:
    """Return the class of a module, of a parametrized one the class that it had before."""
    found: type[nn.Module] = parametrize.type_before_parametrizations(module)
    return found


def settle(name: str, module: nn.Module) -> None:
    """Make the weights that a layer computes (`torch.nn.utils.prune`, `parametrizations`) parameters of their value now.

    Raises
    ------
    CapabilityError
        If a hook of another kind computes them.
    """
    if parametrize.is_parametrized(module):
        # torch's remove_parametrizations would change a class that the trained model shares
        names = [own for own, _ in module.get_submodule("parametrizations").named_children()]
        computed = {own: getattr(module, own).detach() for own in names}
        module.__class__ = kind_of(module)
        del module._modules["parametrizations"]
        for own, value in computed.items():
            module.register_parameter(own, nn.Parameter(value, requires_grad=False))
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
    if "weight" not in dict(module.named_parameters(recurse=False)):
        raise CapabilityError(
            f"layer '{name}': its weight is no parameter but computed by a hook (weight_norm, spectral_norm); make it one "
            "first, for example with torch.nn.utils.remove_weight_norm"
        )
    module.requires_grad_(False)
