"""Train the multilayer perceptron of mnist-mlp by backpropagation: python -m benchmarks.mnist_mlp

784-128-10 with ReLU, on the training split alone (validation images left out), in 32-bit floating point.
"""

from __future__ import annotations

import torch
from safetensors.torch import save_file
from torch import nn

import neurosim.data
from benchmarks import backpropagated
from benchmarks.kept_page import RESULTS

FILE = RESULTS / "mnist-mlp.safetensors"
HIDDEN, EPOCHS, BATCH, SEED = 128, 10, 64, 0


def main() -> None:
    """Train, print the accuracy on the validation split, and save the weights."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    data = neurosim.data.load("mnist")
    fit = data.training(hold_out=True)
    x, y = torch.from_numpy(data.inputs(fit.images)), torch.from_numpy(fit.labels)
    model = nn.Sequential(nn.Linear(data.rows, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, data.classes))
    backpropagated.train(model, x, y, EPOCHS, BATCH, 3e-3)
    with torch.no_grad():
        answers = model(torch.from_numpy(data.inputs(data.x_validation))).argmax(dim=1)
    right = float((answers == torch.from_numpy(data.y_validation)).float().mean())
    save_file({name: value.half() for name, value in model.state_dict().items()}, FILE)
    print(f"{100 * right:.2f} % on the validation split; {FILE.name} ({FILE.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
