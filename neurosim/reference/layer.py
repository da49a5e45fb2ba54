"""What every trained torch layer on devices does: it programs, reads, is calibrated, ages and is compensated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.core.cautions import Once
from neurosim.core.checks import whole
from neurosim.core.config import Periphery, ReadPath, WritePath
from neurosim.core.errors import ConfigError, InputError
from neurosim.core.protocols import Device
from neurosim.crossbar.ledger import Ledger
from neurosim.crossbar.window import Window
from neurosim.reference.devices_held import HoldsDevices
from neurosim.reference.doors import finite, has_no_weight, one_warning, real, refuse_unless_finite
from neurosim.reference.instances import apart
from neurosim.reference.twin.crossbar import TorchCrossbar

BLOCK = 1 << 22
"""Elements of the inputs or outputs of one block of reads: bounds the memory, not the result."""


class CrossbarLayer(HoldsDevices):
    """A trained layer whose weights stand on a crossbar; base of those of `neurosim.reference.modules`. Inference only.

    Parameters
    ----------
    weight : (rows, cols) tensor
        One column an output.
    bias : (cols,) tensor, optional
        Added digitally, after the compensation of drift.
    device : str, path or Device
        Card name, card file or device.
    seed : int or sequence of int
        One instance (draw of devices) for each seed.
    read, periphery : ReadPath, Periphery
        As `neurosim.Crossbar`.
    write : WritePath, optional
        If it sets `w_max`, that is the weight of a full pair; otherwise `percentile` finds it.
    percentile : float
        Percentile of the magnitudes of the weights that becomes `w_max`; larger weights are clipped.
    name : str
        Tells the random numbers of several layers with one seed apart.
    torch_device : str
        "cpu" or "cuda".

    Notes
    -----
    Called by itself, a layer of n instances takes and returns n blocks of samples along the first axis, one an
    instance. `neurosim.reference.convert.CrossbarModel` hands over an axis of instances of its own instead, and a
    layer in such a model is read through the model only.

    Devices and converters compute in single precision, whatever `half()` or `double()` make of the modules around
    them; answers come back in the type of the samples (float32 for whole numbers). Outputs carry no gradient: the
    chain of devices and converters is not differentiable.

    `state_dict` holds the devices of every instance, their clock, ledgers, ADC ranges, gains and the reference of
    `compensate`; `load_state_dict` takes them back into a layer of the same card, settings, seeds and name, and
    raises `CheckpointError` for any other.

    Attributes
    ----------
    array : TorchCrossbar
    gain : (instances, 1, 1) tensor
        What outputs are multiplied by digitally; 1 until `compensate`.
    zeros : int
        Weights that are exactly zero: pairs programmed to equal conductances, each with the errors of two devices.

    Raises
    ------
    InputError
        If weights or bias are not finite real numbers, or `percentile` is out of range.
    ConfigError
        If both `percentile` and `write` say which weight is a full pair.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        device: str | Path | Device,
        *,
        seed: int | Sequence[int] = 0,
        read: ReadPath | dict[str, Any] | None = None,
        write: WritePath | dict[str, Any] | None = None,
        periphery: Periphery | dict[str, Any] | None = None,
        percentile: float = 100.0,
        name: str = "layer",
        torch_device: str | torch.device = "cpu",
    ):
        super().__init__()
        weight = finite(f"{name}: the weights", weight.detach())
        self.name = name
        write = WritePath.of(write, "write") or WritePath()
        self.w_max_given = write.w_max is not None
        self.zeros = int((weight == 0).sum())
        if not self.w_max_given and write.scale == "auto" and write.scale_by == "array":
            write = write.changed(w_max=_largest(weight, percentile))
        elif percentile != 100:
            raise ConfigError(
                f"layer '{name}', percentile = {percentile}: write says which weight is a full difference; give one of both"
            )
        given: Any = [seed] if np.ndim(seed) == 0 else seed
        self.seeds = [whole("seed", each) for each in given]
        rows, cols = weight.shape
        self.array = TorchCrossbar(
            (rows, cols), device, seed=self.seeds, read=read, write=write, periphery=periphery, name=name,
            torch_device=torch_device, compiled=False,
        )  # fmt: skip
        self.instances = len(self.seeds)
        self.array.program(weight)
        cells = self.array._cells
        used = weight.abs() * (cells.uS_per_weight[0] / cells.span_uS).to(weight.device)
        Window("percentile" if percentile < 100 else write.scale, Ledger(), Once()).look(
            used.cpu().numpy(), learns=False
        )
        if bias is not None:
            bias = finite(f"{name}: the bias", bias.detach()).to(self.array.on).clone()
        self.register_buffer("bias", bias)
        self.register_buffer(
            "gain", torch.ones(self.instances, 1, 1, dtype=torch.float32, device=self.array.on)
        )
        self._reference: tuple[Tensor, Tensor] | None = None
        """Fixed samples (instances, batch, ...), and the summed magnitude (instances, 1, 1) of the answer to them
        after programming."""
        self.instance: Tensor | None = None
        """Numbers of the instances while a `CrossbarModel` runs several."""
        self.of_model = False
        """Whether the layer stands in a model of several instances, which alone can call it."""
        self.calibrating = False

    @property
    def _door(self) -> str:
        return f"x of layer '{self.name}'"

    def _vectors(self, x: Tensor) -> Tensor:
        """Turn samples (instances, batch, ...) into read vectors (instances, batch * places, rows)."""
        raise NotImplementedError

    def _places(self, shape: tuple[int, ...]) -> int:
        """Read vectors that one sample of samples (batch, ...) makes; refuses a wrong shape."""
        raise NotImplementedError

    def _shaped(self, y: Tensor, x: Tensor) -> Tensor:
        """Turn answers (instances, batch * places, cols) to samples (instances, batch, ...) into what torch's
        layer returns of each instance."""
        raise NotImplementedError

    def _wrong(self, shape: tuple[int, ...], expected: str) -> InputError:
        several = (
            f", the first axis a multiple of {self.instances} instances" if self.instance is None else ""
        )
        return InputError(
            f"{type(self).__name__} '{self.name}': expected samples {expected}{several}, got {shape}"
        )

    def _blocks(self, x: Tensor) -> Tensor:
        """Return samples (instances * batch, ...) as (instances, batch, ...)."""
        if self.of_model:
            raise InputError(
                f"layer '{self.name}' stands in a model of {self.instances} instances: call the model that convert "
                "returned, which alone knows the axis of instances"
            )
        shape = tuple(x.shape)
        self._places(shape)
        if shape[0] % self.instances:
            raise self._wrong(shape, "of every instance")
        return x.reshape(self.instances, shape[0] // self.instances, *shape[1:])

    def _samples(self, x: Tensor) -> Tensor:
        """Return samples (instances, batch, ...) in single precision where the array is; refuses NaN."""
        self._places(tuple(x.shape[1:]))
        shared = x.shape[0] > 1 and x.stride(0) == 0
        return finite(self._door, x[:1] if shared else x).to(self.array.on).expand(x.shape)

    def _answers(self, samples: Tensor) -> Tensor:
        """Read samples block by block: (instances, batch * places, cols)."""
        places = self._places(tuple(samples.shape[1:]))
        if not samples.numel():
            return samples.new_zeros(self.instances, samples.shape[1] * places, self.array.shape[1])
        size = max(1, BLOCK // (self.instances * places * max(self.array.shape)))
        parts = [self.array.forward(self._vectors(part)) for part in torch.split(samples, size, dim=1)]
        return torch.cat(parts, dim=1)

    def _read(self, x: Tensor) -> Tensor:
        """Read samples (instances, batch, ...) of any real type; answers in that type, each as torch's layer."""
        samples = self._samples(x)
        if self.calibrating:
            self._calibrate(samples)
        y = self._answers(samples) * self.gain
        y = self._shaped(y if self.bias is None else y + self.bias, samples)
        return y.to(x.dtype) if x.is_floating_point() else y

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Read: what torch's layer returns, from the devices; (instances * batch, ...) in and out.

        Raises
        ------
        InputError
            If the shape is wrong, or an element NaN, infinite or no real number.
        """
        real(self._door, x)
        if self.instance is not None:
            return apart(lambda x: (self._read(x),), self.instance, x)[0]
        return self._read(self._blocks(x)).flatten(0, 1)

    @torch.no_grad()
    def calibrate(self, x: Tensor, percentile: float | None = None, margin: float | None = None) -> None:
        """Set the ADC's range from typical inputs, and keep them and the answer to them for `compensate`.

        Call it right after programming. All of `x` is held in memory at once. The range is found as in
        `TorchCrossbar.calibrate` (an idealisation, at no cost); the reference is a counted, noisy read.

        Raises
        ------
        InputError
            As `forward`; and if there are no samples, or `percentile` or `margin` is out of range.
        """
        self._calibrate(self._samples(self._blocks(real(self._door, x))), percentile, margin)

    def _calibrate(
        self, samples: Tensor, percentile: float | None = None, margin: float | None = None
    ) -> None:
        if not samples.numel():
            raise InputError(f"calibrate: layer '{self.name}' got no samples")
        if percentile is not None:
            _refuse_percentile(percentile)
        if margin is not None and not (math.isfinite(margin) and margin > 0):
            raise InputError(f"margin = {margin}: must be finite and above 0")
        self.array.calibrate(self._vectors(samples), percentile, margin)
        self._reference = samples.clone(memory_format=torch.contiguous_format), self._magnitude(samples)

    def _magnitude(self, samples: Tensor) -> Tensor:
        return self._answers(samples).abs().sum(dim=(1, 2), keepdim=True, dtype=torch.float64)

    @torch.no_grad()
    def compensate(self) -> Tensor:
        """Global drift compensation: find the one number that outputs are multiplied by from now on.

        It is the summed magnitude of the answer to the inputs of `calibrate` right after programming,
        divided by the same now (Joshi et al., Nat. Commun. 11, 2473, 2020). The reads are noisy and counted.

        Returns
        -------
        gain : (instances,) tensor

        Raises
        ------
        InputError
            If `calibrate` was not called.
        """
        if self._reference is None:
            raise InputError("compensate: call calibrate(x) right after programming; it keeps the reference")
        inputs, before = self._reference
        now = self._magnitude(inputs)
        gain = torch.where(now > 0, before / now, 1.0)
        refuse_unless_finite(f"compensate: the gain of layer '{self.name}'", gain)
        self.gain.copy_(gain)
        return gain.reshape(-1)

    def stop_compensation(self) -> None:
        """Multiply outputs by 1 again."""
        self.gain.fill_(1.0)

    def advance(self, seconds: float) -> None:
        """Let time pass for the devices (`Crossbar.advance`)."""
        one_warning([self.array], seconds)

    def __getattr__(self, name: str) -> Any:
        if name == "weight":
            raise has_no_weight(self.name, "layer.array.weights()")
        return super().__getattr__(name)

    def extra_repr(self) -> str:
        """What torch prints of the layer."""
        rows, cols = self.array.shape
        return f"{rows} x {cols}, {self.array.device.name}, {self.instances} instance(s)"


def _refuse_percentile(percentile: float) -> None:
    if not 0 < percentile <= 100:
        raise InputError(f"percentile = {percentile}: must be above 0 and at most 100")


def _largest(weight: Tensor, percentile: float) -> float:
    magnitudes = weight.abs().cpu().numpy()
    _refuse_percentile(percentile)
    return float(np.percentile(magnitudes, percentile)) or float(magnitudes.max()) or 1.0
