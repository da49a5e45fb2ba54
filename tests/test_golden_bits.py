"""Arithmetic that ends in other bits than it did must raise `core.bits.BITS`: python tests/test_golden_bits.py writes anew.

Bits of float arithmetic differ between processors and versions of libraries; the values of each operation are kept with
the machine that made them. The same machine must find the same bits; any other must find the same values.
"""

from __future__ import annotations

import base64
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim import (
    Arm,
    Crossbar,
    DeepArm,
    DeepExperiment,
    DenseExperiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
    IdealArray,
    ReadPath,
    Wires,
    WritePath,
)
from neurosim.core.bits import BITS
from neurosim.core.seeds import generator
from neurosim.data import load
from neurosim.study.deep import DeepTraining
from neurosim.study.dense import DenseTraining
from neurosim.study.forward_forward import ForwardForwardTraining
from neurosim.study.store import text_digest

FILE = Path(__file__).with_name("golden_bits.json")
PCM, RRAM = "pcm-nandakumar-2018", "rram-hfo2-gong-2018"
SHAPE = 12, 6


def _draws(*shape: int) -> np.ndarray:
    return generator(0, "golden", *map(str, shape)).standard_normal(shape).astype(np.float32)


def _array(device: str, mode: Any = "mixed", **settings: Any) -> np.ndarray:
    array = Crossbar(SHAPE, device, seed=3, **settings)
    array.program(0.4 * _draws(*SHAPE), w_max=1.0)
    for _ in range(3):
        array.update(_draws(8, SHAPE[0]), 0.05 * _draws(8, SHAPE[1]), mode=mode)
    array.advance(3600.0)
    return np.concatenate([array.forward(_draws(4, SHAPE[0])).ravel(), array.conductance_uS().ravel()])


def _ideal() -> np.ndarray:
    array = IdealArray(SHAPE)
    array.program(0.4 * _draws(*SHAPE))
    array.update(_draws(8, SHAPE[0]), 0.05 * _draws(8, SHAPE[1]), np.full(SHAPE[1], 0.01))
    return np.concatenate([array.forward(_draws(4, SHAPE[0])).ravel(), array.weights().ravel()])


def _weights(training: Any) -> np.ndarray:
    training.run()
    return np.concatenate([layer.array.weights().ravel()[:200] for layer in training.layers])


def _dense() -> np.ndarray:
    spec = DenseExperiment(dataset="digits", neurons=10, train_images=120, test_images=40, device=(PCM,))
    return _weights(DenseTraining(spec, Arm(device=PCM, name="a"), 0, spec.data()))


def _deep() -> np.ndarray:
    arm = DeepArm(name="a", device=RRAM, rule="softhebb", mode="mixed")
    spec = DeepExperiment(
        dataset="digits", train_images=60, test_images=40, width=1.0, depth=1, batch=20, arm=(arm,)
    )
    return _weights(DeepTraining(spec, arm, 0, load("digits").subset(60, 40)))


def _forward_forward() -> np.ndarray:
    arm = ForwardForwardArm(name="a", device=PCM, mode="mixed")
    spec = ForwardForwardExperiment(
        dataset="digits", train_images=120, test_images=40, widths=(12, 8), epochs=1, batch=20, arm=(arm,)
    )
    return _weights(ForwardForwardTraining(spec, arm, 0, load("digits").subset(120, 40)))


CASES: dict[str, Callable[[], np.ndarray]] = {
    "ideal arithmetic": _ideal,
    "PCM, accumulated": lambda: _array(PCM, "accumulate"),
    "PCM, online": lambda: _array(PCM, "online"),
    "RRAM, mixed, converters": lambda: _array(RRAM, read=ReadPath(dac_bits=8, adc_bits=8)),
    "ECRAM, gains": lambda: _array("ecram-li-tang-2018", write=WritePath(decay_mode="gain")),
    "PCM, wires": lambda: _array(PCM, wires=Wires(r_word_ohm=5, r_bit_ohm=5)),
    "closed loop, aged": lambda: _array("pcm-hermes-2023-1-device"),
    "dense": _dense,
    "deep": _deep,
    "forward-forward": _forward_forward,
}


def machine() -> dict[str, str]:
    """What bits of float arithmetic depend on beside our own code."""
    said = Path("/proc/cpuinfo").read_text().partition("\n\n")[0] if Path("/proc/cpuinfo").exists() else ""
    fields = dict(map(str.strip, line.split(":", 1)) for line in said.splitlines() if ":" in line)
    named = " ".join(fields.get(name, "") for name in ("model name", "cpu family", "model", "stepping"))
    cpu = f"{named} {text_digest(' '.join(sorted(fields.get('flags', '').split())))}"
    libraries = {name: version(name) for name in ("numpy", "numba", "scipy")}
    return {"cpu": cpu, "machine": platform.machine(), **libraries}


@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_this_number(name: str) -> None:
    kept = json.loads(FILE.read_text())
    assert kept["BITS"] == BITS, "write the golden values of the new number: python tests/test_golden_bits.py"
    wanted = np.frombuffer(base64.b64decode(kept["values"][name]), np.float32)
    found = CASES[name]().astype(np.float32)
    said = (
        f"{name}: other bits than BITS = {BITS} has. Raise neurosim.core.bits.BITS, and write the values anew"
    )
    if kept["machine"] == machine():
        assert found.tobytes() == wanted.tobytes(), said
    off = np.abs(found - wanted) > 1e-4 * np.abs(wanted).max()
    assert off.mean() < 0.02, said


def write() -> None:
    """Keep the values of this machine under the present number."""
    values = {
        name: base64.b64encode(case().astype(np.float32).tobytes()).decode() for name, case in CASES.items()
    }
    FILE.write_text(json.dumps({"BITS": BITS, "machine": machine(), "values": values}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(write())
