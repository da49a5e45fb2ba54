"""From an experiment and an arm to the layer that learns, on the backend asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.core.config import Frozen, ReadPath, WritePath
from neurosim.core.hardware import Faults, Tiles, Wires
from neurosim.core.protocols import Array, DeviceArray, Floats
from neurosim.core.seeds import generator
from neurosim.crossbar.array import Crossbar
from neurosim.devices.card import load
from neurosim.network.dense import Dense
from neurosim.reference.ideal import IdealArray
from neurosim.study.spec import Arm, Experiment


def highest_start_weight(experiment: Experiment, rows: int) -> float:
    """The upper end of the uniform start weights, R sqrt(3 / rows)."""
    return float(experiment.start_radius * np.sqrt(3 / rows))


def start_weights(experiment: Experiment, rows: int, seed: int) -> Floats:
    """Uniform start weights (rows, neurons) of norm near `start_radius`; the same for every arm."""
    draws = generator(seed, "start weights").random((rows, experiment.neurons), np.float32)
    return draws * np.float32(highest_start_weight(experiment, rows))


def build_array(experiment: Experiment, arm: Arm | None, rows: int, seed: int) -> Any:
    """Return the arm's array, programmed with the start weights; `arm` None is ideal arithmetic."""
    shape = (rows, experiment.neurons)
    array: Any
    backend: dict[str, Any] = {"precision": experiment.precision}
    if experiment.backend == "torch":
        from neurosim.reference.twin.crossbar import on_device

        backend["torch_device"] = on_device(experiment.torch_device)
    if arm is None:
        array = _ideal_kind(experiment)(shape, **backend)
    else:
        highest = highest_start_weight(experiment, rows)
        write = {"w_max": (arm.window or experiment.window) * highest, **arm.write}
        array = _crossbar_kind(experiment)(
            shape,
            load(arm.device).with_parameters(**arm.parameters),
            seed=seed,
            read=ReadPath.parse(arm.read, f"arm {arm.name}, read"),
            write=WritePath.parse(write, f"arm {arm.name}, write"),
            periphery=experiment.periphery,
            name="layer 0",
            **_hardware(arm),
            **backend,
        )
    array.program(start_weights(experiment, rows, seed), w_max=array.w_max)
    return array


def _hardware(arm: Arm) -> dict[str, Frozen]:
    """Wires, tiles and faults of an arm, where it has them."""
    kinds: dict[str, type[Frozen]] = {"wires": Wires, "tiles": Tiles, "faults": Faults}
    given = {name: (kind, getattr(arm, name)) for name, kind in kinds.items()}
    return {
        name: kind.parse(values, f"arm {arm.name}, {name}")
        for name, (kind, values) in given.items()
        if values is not None
    }


def build_layer(experiment: Experiment, arm: Arm | None, rows: int, seed: int) -> Dense:
    """Return the arm's layer: its array, the rule, and how updates become pulses."""
    array = build_array(experiment, arm, rows, seed)
    mode = "accumulate" if arm is None or arm.mode is None else arm.mode
    layer: type[Dense] = Dense
    if experiment.backend == "torch":
        from neurosim.reference.twin.dense import TorchDense

        layer = TorchDense
    return layer(array, experiment.build_rule(), mode, experiment.norm_every)


def on_devices(array: Array) -> DeviceArray | None:
    """Return the array if it is one of devices, None for ideal arithmetic."""
    devices: Any = array
    return None if array.ideal else devices


def _crossbar_kind(experiment: Experiment) -> Any:
    if experiment.backend == "numba":
        return Crossbar
    from neurosim.reference.twin.crossbar import TorchCrossbar

    return TorchCrossbar


def _ideal_kind(experiment: Experiment) -> Any:
    if experiment.backend == "numba":
        return IdealArray
    from neurosim.reference.twin.arithmetic import TorchIdeal

    return TorchIdeal
