"""A small residual net with depthwise layers and BatchNorm on phase-change memory: python -m benchmarks.residual_cnn

Trained on the training split of MNIST alone (validation images left out), in 32-bit floating point; then converted with nothing
excluded, with its first and last layer excluded, and with its depthwise layers excluded. The test images are read at the end, with
settings that nothing was tried for. Writes residual-cnn.safetensors, residual-cnn.json and, from that, residual-cnn.md, in results/.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import neurosim as ns
import neurosim.data
from benchmarks import backpropagated
from benchmarks.kept_page import RESULTS
from neurosim.report.text import made_with, markdown_table, percent, si
from neurosim.study.statistics import Chips, mean_accuracy, mean_gap
from neurosim.study.store import versions, write_json, write_text

NAME, CARD = "residual-cnn", "pcm-nandakumar-2018"
TRAIN, TEST, CALIBRATION, EPOCHS, BATCH = 24_000, 2_000, 100, 6, 64
CHIPS = range(5)
DAY_S = 86_400.0
READ = {"dac_bits": 8, "adc_bits": 8}
OPTIONS: dict[str, list[str]] = {
    "nothing excluded": [],
    "first and last excluded": ["stem", "head"],
    "depthwise excluded": ["*.depthwise"],
}
WHEN = ("as programmed", "after a day", "after a day, drift compensated")


class Block(nn.Module):
    """Depthwise 3 x 3, pointwise, each with BatchNorm, and what came in is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.pointwise = nn.Conv2d(width, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Of images (batch, width, height, width) the same shape."""
        return torch.relu(x + self.norm2(self.pointwise(torch.relu(self.norm1(self.depthwise(x))))))


class Net(nn.Module):
    """Stem, block at 14 x 14, a convolution that halves and widens, block at 7 x 7, mean over the image, head."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width)
        self.block1 = Block(width)
        self.widen, self.norm2 = nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width)
        self.block2 = Block(2 * width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Of images (batch, 1, 28, 28) the scores of the classes."""
        x = self.block1(torch.relu(self.norm(self.stem(x))))
        x = self.block2(torch.relu(self.norm2(self.widen(x))))
        return self.head(x.mean(dim=(2, 3)))


def pictures(data: Any, images: Any) -> Tensor:
    """Images (n, 1, height, width) from 0 to 1."""
    return torch.from_numpy(data.inputs(images)).reshape(-1, 1, *data.shape[:2])


def train(data: Any) -> Net:
    """Train, and print the accuracy on the validation split."""
    fit = data.training(hold_out=True)
    x, y = pictures(data, fit.images), torch.from_numpy(fit.labels)
    model = Net()
    backpropagated.train(model, x, y, EPOCHS, BATCH, 1e-2)
    return model.eval()


def right(model: Any, x: Tensor, labels: np.ndarray) -> np.ndarray:
    """Which images (chips, n) each chip has right; of a model without chips (1, n)."""
    with torch.no_grad():
        answers = torch.cat([model(part).argmax(dim=-1) for part in x.split(250)], dim=-1)
    found: np.ndarray = np.atleast_2d(answers.numpy()) == labels
    return found


def on_devices(
    model: Net, exclude: list[str], typical: Tensor, x: Tensor, labels: np.ndarray
) -> dict[str, Any]:
    """Program one option and read the images at each time: (chips, n) right answers, and what stands where."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        chips = ns.convert(model, CARD, CHIPS, READ, exclude=exclude, fuse_batchnorm=True)
    chips.calibrate(typical)
    read = [right(chips, x, labels)]
    chips.advance(DAY_S)
    read.append(right(chips, x, labels))
    chips.compensate()
    read.append(right(chips, x, labels))
    return {
        "right": dict(zip(WHEN, read, strict=True)),
        "said": [str(one.message) for one in said],
        "arrays": len(chips.layers),
        "weights": sum(int(np.prod(layer.array.shape)) for layer in chips.layers.values()),
        "digital": {name: list(part) for name, part in chips.digital.items() if part.parameters},
        "folded": chips.folded,
        "program_J": float(np.mean([ledger.program_J for ledger in chips.ledgers])),
    }


def study(model: Net, data: Any) -> dict[str, Any]:
    """Read the test images in ideal arithmetic and with every option; all that is found, as JSON takes it."""
    fit = data.training(hold_out=True)
    typical, x, labels = pictures(data, fit.images[:CALIBRATION]), pictures(data, data.x_test), data.y_test
    validation = right(model, pictures(data, data.x_validation), data.y_validation)
    exact = right(model, x, labels)
    options = {}
    for name, exclude in OPTIONS.items():
        found = on_devices(model, exclude, typical, x, labels)
        reads = {}
        for when, table in found.pop("right").items():
            chips, ideal = Chips.of_table(table), Chips.of_table(np.repeat(exact, len(table), axis=0))
            accuracy, gap = mean_accuracy(chips), mean_gap(ideal, chips)
            reads[when] = {
                "of_chips": chips.accuracies.tolist(),
                "accuracy": [accuracy.value, accuracy.low, accuracy.high],
                "gap": [gap.value, gap.low, gap.high],
            }
        options[name] = {"exclude": exclude, "reads": reads, **found}
    return {
        "note": data.note,
        "card": CARD,
        "read": READ,
        "chips": len(CHIPS),
        "trained_on": len(fit.labels),
        "tested_on": len(labels),
        "calibrated_on": CALIBRATION,
        "epochs": EPOCHS,
        "parameters_of_the_net": sum(value.numel() for value in model.parameters()),
        "ideal": {"validation": float(validation.mean()), "test": float(exact.mean())},
        "options": options,
        "versions": versions(),
    }


def page(found: dict[str, Any]) -> str:
    """The page, from what was found."""

    def cell(ends: list[float]) -> str:
        value, low, high = ends
        return f"{percent(value, 2)} ({percent(low, 2)} to {percent(high, 2)})"

    options = found["options"].items()
    accuracies = [
        [name, *(cell(one["accuracy"]) for one in option["reads"].values())] for name, option in options
    ]
    gaps = [[name, *(cell(one["gap"]) for one in option["reads"].values())] for name, option in options]
    stands = [
        [
            name, f"{option['arrays']}", f"{option['weights']:,}", si(option["program_J"], "J"),
            ", ".join(f"{part} ({kind}, {count})" for part, (kind, count) in option["digital"].items()) or "no module with parameters",
        ]
        for name, option in options
    ]  # fmt: skip
    said = "".join(f"* {name}: {line}\n" for name, option in options for line in option["said"])
    about = (
        f"A residual net with depthwise layers and BatchNorm ({found['parameters_of_the_net']:,} parameters), trained by "
        f"backpropagation on {found['trained_on']:,} images of {found['note']} for {found['epochs']} epochs, its BatchNorm folded "
        f"(`fuse_batchnorm`), on {found['chips']} chips of `{found['card']}` with {found['read']['adc_bits']} bits of converters, "
        f"calibrated on {found['calibrated_on']} training images: `python -m benchmarks.residual_cnn`. In ideal arithmetic "
        f"{percent(found['ideal']['test'], 2)} % of {found['tested_on']:,} test images and "
        f"{percent(found['ideal']['validation'], 2)} % of the validation images are right. Test images were read once; nothing "
        "was chosen by them. In brackets: 95 % intervals for new chips and new images."
    )
    return "\n".join(
        [
            f"# {NAME}\n\n{about}\n",
            "Accuracy (%):\n",
            markdown_table(("option", *WHEN), accuracies),
            "Points below ideal arithmetic on the same images:\n",
            markdown_table(("option", *WHEN), gaps),
            "What stands where (joules: programming all weights once, devices alone):\n",
            markdown_table(
                ("option", "arrays", "weights on devices", "programming", "digital modules with parameters"),
                stands,
            ),
            f"What `convert` said:\n\n{said}" if said else "`convert` had nothing to say.\n",
        ]
    )


def main() -> None:
    """Train, unless the weights are there; read the test images; write numbers and page."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = neurosim.data.load("mnist").subset(TRAIN, TEST)
    file = RESULTS / f"{NAME}.safetensors"
    if not file.exists():
        save_file(train(data).state_dict(), file)
    model = Net().eval()
    model.load_state_dict(load_file(file))
    found = study(model, data)
    write_json(RESULTS / f"{NAME}.json", found)
    kept = json.loads((RESULTS / f"{NAME}.json").read_text())
    write_text(RESULTS / f"{NAME}.md", f"{page(kept).rstrip()}\n\n{made_with(kept)}")
    print(page(found))


if __name__ == "__main__":
    main()
