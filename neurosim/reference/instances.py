"""Several instances in one pass: the axis of instances is torch's `vmap`, so no module can take it for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils import _pytree as pytree

from neurosim.core.errors import CapabilityError, NeurosimError

UNSUITED = ("vmap", "atching rule", "data pointer", "storage")
"""What stands in torch's errors about code that cannot run for several instances at once."""


class Apart(torch.autograd.Function):
    """A function of one tensor for each instance, handed all of them: (instances, ...) in and out."""

    @staticmethod
    def forward(call: Callable[..., tuple[Tensor, ...]], instance: Tensor, *tensors: Tensor) -> Any:
        """Never called: the numbers of the instances always come with the axis."""
        raise CapabilityError("several instances: only the model that convert returned can pass them on")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: outputs carry no gradient."""

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        call: Callable[..., tuple[Tensor, ...]],
        instance: Tensor,
        *tensors: Tensor,
    ) -> Any:
        """Call with the axis of instances in front of every tensor; one that all share is expanded."""
        if in_dims[1] is None:
            raise CapabilityError(
                "vmap within a converted model of several instances: convert one seed at a time"
            )
        stacked = [
            tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
            for axis, tensor in zip(in_dims[2:], tensors, strict=True)
        ]
        found = call(*stacked)
        return found, (0,) * len(found)


def apart(call: Callable[..., tuple[Tensor, ...]], instance: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Call a function of stacked tensors (instances, ...) from within a pass that is written as for one instance."""
    found: tuple[Tensor, ...] = Apart.apply(call, instance, *tensors)  # type: ignore[no-untyped-call]
    return found


class EachAlone:
    """Run a module instance by instance, where torch cannot run it for several at once."""

    instance: Tensor | None = None

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """As the module's own."""
        own: Callable[..., Any] = super().forward  # type: ignore[misc]
        if self.instance is None:
            return own(*inputs, **named)
        leaves, form = pytree.tree_flatten((inputs, named))
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        out: list[Any] = []

        def call(*stacked: Tensor) -> tuple[Tensor, ...]:
            answers = []
            for tensors in zip(*stacked, strict=True):
                filled = list(leaves)
                for place, tensor in zip(places, tensors, strict=True):
                    filled[place] = tensor
                given, called = pytree.tree_unflatten(filled, form)
                answer, shape = pytree.tree_flatten(own(*given, **called))
                answers.append(answer)
            out.append(shape)
            return tuple(torch.stack(parts) for parts in zip(*answers, strict=True))

        found = apart(call, self.instance, *(leaves[place] for place in places))
        return pytree.tree_unflatten(list(found), out[0])


class EachRNN(EachAlone, nn.RNN):
    """`torch.nn.RNN`, digital, instance by instance."""


class EachLSTM(EachAlone, nn.LSTM):
    """`torch.nn.LSTM`, digital, instance by instance."""


class EachGRU(EachAlone, nn.GRU):
    """`torch.nn.GRU`, digital, instance by instance."""


def prepare(module: nn.Module) -> None:
    """Make a digital module of a converted model one that several instances and layers on devices can pass.

    Recurrent modules become those of `ALONE`. Torch's transformer layers are kept from their fast path, which reads
    the weights of the layers within.
    """
    if type(module) in ALONE:
        module.__class__ = ALONE[type(module)]
    if isinstance(module, nn.TransformerEncoderLayer):
        module.activation_relu_or_gelu = 0
    if isinstance(module, nn.TransformerEncoder):
        module.use_nested_tensor = False


ALONE: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: EachRNN, nn.LSTM: EachLSTM, nn.GRU: EachGRU}
"""Modules that `vmap` cannot pass, and what they become in a converted model; their tensors keep their names."""


def on_every(count: int, told: Sequence[Any], run: Callable[[], Any]) -> Any:
    """Return what `run` returns for each of `count` instances, with an axis (count, ...) in front of its tensors.

    Parameters
    ----------
    count : int
    told : sequence of modules
        Those that hand `Apart` the numbers of the instances, which stand in their `instance` during the pass.
    run : callable
        One pass, written as for one instance.

    Raises
    ------
    CapabilityError
        If the pass does what `vmap` cannot follow: looks at numbers to decide, writes into tensors that it
        made itself, leaves torch.
    """

    def one(instance: Tensor) -> Any:
        for module in told:
            module.instance = instance
        return run()

    try:
        return vmap(one, randomness="different")(torch.arange(count))
    except NeurosimError:
        raise
    except (RuntimeError, ValueError) as error:
        if not any(word in str(error) for word in UNSUITED):
            raise
        raise CapabilityError(
            f"this model cannot run {count} instances in one pass, for it does what torch.func.vmap cannot follow; "
            f"convert it once for each seed, seed=0, seed=1, ... (torch: {str(error).splitlines()[0]})"
        ) from None
    finally:
        for module in told:
            module.instance = None
