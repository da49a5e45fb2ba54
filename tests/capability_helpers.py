"""One tiny training of each kind of study, and the same arrays driven by hand, without the studies' own loop or builders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from helpers import PCM, ROOT

import neurosim as ns
from neurosim import (
    LIF,
    Convolution,
    DeepExperiment,
    Dense,
    DenseExperiment,
    Draws,
    ForwardForwardExperiment,
    ForwardForwardStack,
    Hard,
    MortalExperiment,
    Neurons,
    Pool,
    SpikesExperiment,
    SpikingLayer,
    Stack,
)
from neurosim.core.seeds import generator, key
from neurosim.data import load
from neurosim.devices import load as card
from neurosim.network.forward_forward import SoftmaxHead
from neurosim.network.local_fields import LocalFields, locations, receptive_fields
from neurosim.network.negatives import with_labels, with_neutral_label, wrong_labels
from neurosim.rules import ForwardForward, SoftHebb, WindowStdp
from neurosim.study.mortal import ChipTraining
from neurosim.study.store import digest

CLASSES, BATCH = 10, 10
RATE, DEEP_RATES = 2.0, (0.08, 0.5)
"""Of Forward-Forward, and of the layers of a deep network: high enough that devices are pulsed in a handful of updates."""
EIGHT_BITS = {"dac_bits": 8, "adc_bits": 8}
SMALL: dict[str, Any] = {"dataset": "digits", "train_images": 60, "test_images": 20, "batch": BATCH}
FIELDS = ((4, 2), (2, 1))
KINDS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "dense": (DenseExperiment, {**SMALL, "neurons": 8, "curve_points": 1, "readout_epochs": 1}),
    "deep": (DeepExperiment, {**SMALL, "width": 0.1, "depth": 2, "head_epochs": 1}),
    "Forward-Forward": (ForwardForwardExperiment, {**SMALL, "widths": (10, 6), "epochs": 1}),
    "local fields": (ForwardForwardExperiment, {**SMALL, "widths": (4, 3), "fields": FIELDS, "epochs": 1}),
    "mortal": (MortalExperiment, {**SMALL, "widths": (10, 6), "epochs": 1, "kinds": ("devices",), "chips": 1}),
    "spikes": (SpikesExperiment, {**SMALL, "neurons": 8, "curve_points": 1, "readout_epochs": 1, "shown_s": 0.05}),
}  # fmt: skip
"""Of each kind that learns: its experiment and settings."""
OPTIONS: dict[str, dict[str, Any]] = {
    "wires": {"wires": {"r_word_ohm": 100.0, "r_bit_ohm": 100.0, "every": 2}},
    "tiles": {"tiles": {"word_lines": 16, "bit_lines": 8}},
    "faults": {
        "faults": {"broken_bit_lines": 0.2, "dead_columns": 0.2, "spare_columns": 2, "placement": "aware"}
    },
    "precision": {"precision": "float64"},
    "clock": {"seconds_per_update": 100.0},
    "neurons": {"neurons": {"power_spread": 0.3, "gain_spread": 0.1, "saturation": 4.0}},
    "reading delay": {"read": {"reading_delay_s": 1000.0}},
    "parameters": {"parameters": {"p_stuck_between": 0.1}},
    "write": {"write": {"mapping": "reference"}},
}
"""Of each option: what an arm says of it."""
PAGE = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
OWN = "own weights"
LINES = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"
]
CELLS = {
    (option, kind): said
    for option, *row in LINES[2:]
    for kind, said in zip(LINES[0][1:], row, strict=True)
}  # fmt: skip
"""What the page says of each option and kind."""
REASONS = {
    (option, kind): (said, reason)
    for kind, option, said, reason in re.findall(
        r"^- ([^,\n]+), ([^:\n]+): (refused|no meaning), because ((?:.|\n  )+)", PAGE, re.MULTILINE
    )
}


def cells(*said: str) -> list[tuple[str, str]]:
    """Options and kinds of which the page says one of these."""
    return [cell for cell, words in CELLS.items() if words in said]


def together(kind: str) -> dict[str, Any]:
    """Return all options at once that a kind takes."""
    taken = [OPTIONS[option] for option in OPTIONS if CELLS[option, kind] == "yes"]
    return {name: value for option in taken for name, value in option.items()}


def experiment(
    kind: str, arm: dict[str, Any] | None = None, beside: tuple[dict[str, Any], ...] = (), **others: Any
) -> Any:
    """Return the tiny experiment of a kind, of an arm with some settings and others beside it."""
    spec, settings = KINDS[kind]
    learns: dict[str, Any] = {"settings": {"learning_rate": RATE}}
    if kind in ("dense", "deep", "spikes"):
        learns = {"rule": "softhebb", "learning_rate": DEEP_RATES} if kind == "deep" else {}
    given = {"name": "a", "device": PCM, "mode": "mixed", **learns, **(arm or {})}
    return spec.parse({**settings, "arm": [given, *beside], **others}, "test")


def trained(kind: str, arm: dict[str, Any]) -> list[Any]:
    """Return the finished training of a kind; of mortal chips that of the first and of the one it is copied to."""
    spec = experiment(kind, arm)
    data, (first,) = spec.data(), spec.device_arms()
    if kind != "mortal":
        training = spec.training(first, 0, data)
        training.run()
        return [training]
    chip = ChipTraining(spec.for_epochs(1), first, 0, data)
    chip.run()
    copy = ChipTraining(spec.for_epochs(1), first, other_seed(), data, other_draws(), chip.learnt())
    copy.run()
    return [chip, copy]


def states(trainings: list[Any]) -> list[str]:
    """Return the digest of all that each layer's array holds."""
    return [digest(layer.array.snapshot()) for training in trainings for layer in training.layers]


def weights(trainings: list[Any]) -> list[Any]:
    """Return the weights of each array in single precision."""
    return [
        np.asarray(place.weights(), np.float32)
        for training in trainings
        for layer in training.layers
        for place in locations(layer.array)
    ]


def other_seed() -> int:
    """Seed of the chip that the first one, of seed 0, is copied to."""
    return int(key(0, "chip", 1)[0])


def other_draws() -> Draws:
    """What that chip is born with: devices of its own, all else as the first."""
    return Draws(devices=other_seed(), faults=0, converters=0, neurons=0)


class ByHand:
    """Layers of one kind of study with one option, made and driven here.

    Attributes
    ----------
    layers : list of Dense or SpikingLayer
        After the training.
    """

    def __init__(self, arm: dict[str, Any], seed: int = 0, draws: Draws | None = None):
        self.arm, self.seed, self.draws = arm, seed, draws or Draws()
        self.layers: list[Any] = []
        self.converters: dict[str, int] = EIGHT_BITS
        self.data = load("digits").subset(60, 20)

    def array(self, shape: tuple[int, int], name: str, w_max: float, momentum: float | None = None) -> Any:
        """Return an array of devices with the option."""
        models = {"wires": ns.Wires, "tiles": ns.Tiles, "faults": ns.Faults}
        built = {name: model(**self.arm[name]) for name, model in models.items() if name in self.arm}
        write = {"w_max": w_max, **({"momentum": momentum} if momentum else {}), **self.arm.get("write", {})}
        read = {**self.converters, **self.arm.get("read", {})}
        return ns.Crossbar(
            shape, card(PCM).with_parameters(**self.arm.get("parameters", {})), seed=self.seed, name=name,
            read=ns.ReadPath(**read), write=ns.WritePath(**write),
            precision=self.arm.get("precision", "float32"), draws=self.draws, **built,
        )  # fmt: skip

    def programmed(self, start: Any, name: str, w_max: float, momentum: float | None = None) -> Any:
        """Return such an array with weights (rows, cols)."""
        array = self.array(start.shape, name, w_max, momentum)
        array.program(start, w_max=w_max)
        return array

    def neurons(self, cols: int, name: str) -> dict[str, Any]:
        """Return the neurons of a layer, where the option has them."""
        if "neurons" not in self.arm:
            return {}
        seed = self.draws.seed_of("neurons", self.seed)
        return {"neurons": Neurons(**self.arm["neurons"]).draw(cols, seed, name)}

    def batches(self, images: Any, labels: Any) -> Iterator[tuple[int, Any, Any]]:
        """Yield number, images and labels of each mini-batch of one epoch; time passes behind each."""
        order = generator(self.seed, "order", 0).permutation(len(images))
        for k in range(len(images) // BATCH):
            some = order[k * BATCH : (k + 1) * BATCH]
            yield k, self.data.inputs(images[some]), labels[some]
            for layer in self.layers if "seconds_per_update" in self.arm else ():
                for place in locations(layer.array):
                    place.advance(self.arm["seconds_per_update"])

    def dense(self) -> None:
        """SoftHebb in one layer."""
        most = float(2.5 * np.sqrt(3 / 64))
        start = generator(self.seed, "start weights").random((64, 8), np.float32) * np.float32(most)
        array = self.programmed(start, "layer 0", 1.3 * most)
        layer = Dense(array, SoftHebb(), "mixed", 100, **self.neurons(8, "layer 0"))
        self.layers = [layer]
        for k, images, _ in self.batches(*self.data.training(hold_out=False)):
            if k == 0:
                array.calibrate(images)
            layer.learn(images)

    def spikes(self) -> None:
        """STDP with a rectangular window in one layer of spiking neurons, whose columns have no converters."""
        self.converters = {}
        draws = generator(self.seed, "start weights").random((64, 8), np.float32)
        array = self.programmed(0.1 + 0.4 * draws, "layer 0", 1.0)
        neuron = LIF(membrane_s=50e-3, threshold_mV=-64.0, gain_mV=0.1, adaptation_mV=0.1, target_Hz=0.4)
        layer = SpikingLayer(
            array,
            WindowStdp(),
            neuron,
            Hard(),
            highest_Hz=100.0,
            seed=self.seed,
            name="layer 0",
            mode="mixed",
        )
        self.layers = [layer]
        for _, images, _ in self.batches(*self.data.training(hold_out=False)):
            for x in images:
                layer.present(layer.trains(x, 0.05))

    def deep(self) -> None:
        """SoftHebb in two convolutions of the preset "cifar"."""
        shape, stack = (8, 8, 1), []
        for number, (cols, kernel, power, inverse) in enumerate(((96, 5, 0.7, 1.0), (10, 3, 1.4, 0.65))):
            rate = DEEP_RATES[number]
            rows, name = kernel**2 * shape[2], f"layer {number}"
            draws = generator(self.seed, "start weights", name).standard_normal((rows, cols))
            start = (draws * 25.0 / np.sqrt(rows)).astype(np.float32)
            stack.append(
                Convolution(
                    self.programmed(start, name, 4.0 * 25.0 / float(np.sqrt(rows))),
                    SoftHebb(learning_rate=rate, rate_power=0.5, inverse_temperature=inverse, anti_hebbian=True), shape,
                    kernel=kernel, pad=kernel // 2, power=power, pool=Pool("max", 4, 2, 1), mode="mixed",
                    **self.neurons(cols, name),
                )
            )  # fmt: skip
            shape = stack[-1].out_shape
        self.layers, together = [layer.dense for layer in stack], Stack(stack)
        for k, flat, _ in self.batches(*self.data.training(hold_out=False)):
            images = flat.reshape(-1, 8, 8, 1)
            if k == 0:
                x = images
                for layer in stack:
                    x = layer.calibrate(x)
            together.learn(images)

    def _started(self, rows: int, cols: int, number: int) -> Any:
        draws = generator(self.seed, "start weights", f"layer {number}").standard_normal((rows, cols))
        return np.concatenate([draws / np.sqrt(rows), np.zeros((1, cols))]).astype(np.float32)

    def _forward_forward(self, arrays: list[Any], updates: int) -> ForwardForwardStack:
        for number, array in enumerate(arrays):
            rule: Any = ForwardForward(learning_rate=RATE, rate_updates=updates, rate_held=0.5)
            drawn = self.neurons(array.shape[1], f"layer {number}")
            self.layers.append(Dense(array, rule, "mixed", **drawn))
        return ForwardForwardStack(self.layers)

    def _learn(self, stack: ForwardForwardStack, head: SoftmaxHead, part: Any) -> None:
        total = len(part.labels) // BATCH
        for k, images, labels in self.batches(*part):
            gain = min(1.0, (1 - k / total) / 0.5)
            neutral = stack.features(stack.forward(with_neutral_label(images, CLASSES)))
            scores = head.learn(neutral, labels, gain)
            wrong = wrong_labels(scores, labels, 1, generator(self.seed, "negatives", k))[0]
            positive = with_labels(images, labels, CLASSES)
            if k == 0:
                stack.calibrate(positive)
            stack.learn(positive, with_labels(images, wrong, CLASSES))

    def forward_forward(self) -> None:
        """Two fully connected layers."""
        arrays = [
            self.programmed(self._started(rows, cols, number), f"layer {number}", 4.0 / rows**0.5, 0.9)
            for number, (rows, cols) in enumerate(((64, 10), (10, 6)))
        ]
        self._learn(self._forward_forward(arrays, 6), SoftmaxHead(6, CLASSES), self.data.training(False))

    def local_fields(self) -> None:
        """Two layers of small arrays, each of which sees a field."""
        shape, arrays = (8, 8, 1), []
        for number, (cols, (size, stride), places) in enumerate(zip((4, 3), FIELDS, (3, 2), strict=True)):
            seen = receptive_fields(shape, size, stride)
            start = self._started(seen.shape[1], len(seen) * cols, number)
            each = [
                self.programmed(own, f"layer {number}, location {k}", 4.0 / seen.shape[1] ** 0.5, 0.9)
                for k, own in enumerate(np.split(start, len(seen), axis=1))
            ]
            arrays.append(LocalFields(seen, each, int(np.prod(shape)) + 1))
            shape = (places, places, cols)
        self._learn(self._forward_forward(arrays, 6), SoftmaxHead(12, CLASSES), self.data.training(False))

    def chip(self, copied: tuple[list[Any], Any] | None = None) -> tuple[list[Any], Any]:
        """A chip that learns from start weights, or from weights and a head that were copied; return its own."""
        part, head = self.data.training(hold_out=True), SoftmaxHead(6, CLASSES)
        shapes = ((64, 10), (10, 6))
        given = [self._started(rows, cols, k) for k, (rows, cols) in enumerate(shapes)]
        if copied is not None:
            given = copied[0]
            head.restore({**head.snapshot(), "weights": copied[1].snapshot()["weights"]})
        arrays = [
            self.programmed(start, f"layer {k}", 4.0 / rows**0.5, 0.9)
            for k, (start, (rows, _)) in enumerate(zip(given, shapes, strict=True))
        ]
        stack = self._forward_forward(arrays, len(part.labels) // BATCH)
        stack.calibrate(with_labels(self.data.inputs(part.images), part.labels, CLASSES))
        self._learn(stack, head, part)
        return [array.weights() for array in arrays], head


def by_hand(kind: str, arm: dict[str, Any]) -> list[ByHand]:
    """Return the layers of a kind of study after its training, driven here; of mortal chips the first and its copy."""
    one = ByHand(arm)
    ways: dict[str, Callable[[], Any]] = {
        "dense": one.dense, "deep": one.deep, "Forward-Forward": one.forward_forward,
        "local fields": one.local_fields, "mortal": one.chip, "spikes": one.spikes,
    }  # fmt: skip
    learnt = ways[kind]()
    if kind != "mortal":
        return [one]
    other = ByHand(arm, other_seed(), other_draws())
    other.chip(learnt)
    return [one, other]


def timeless(found: Any) -> Any:
    """Results without what a clock on the wall says."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if not key.startswith("seconds")}
    return [timeless(value) for value in found] if isinstance(found, list) else found
