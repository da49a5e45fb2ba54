"""What is too long for CI: races with their bars, devices against plain numpy, and the main claims on MNIST.

python -m benchmarks.verify --out results
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks import backends, kernels
from benchmarks.composition import composition
from benchmarks.timing import line
from neurosim import Arm, DenseExperiment
from neurosim.study.compare import compare
from neurosim.study.store import open_folder, versions, write_json

IDEAL_BAR = 0.965
KEPT_BAR = 0.90


def learning() -> list[dict[str, Any]]:
    """MNIST, 784-2000, one epoch, seed 0: ideal arithmetic and the best arm of `mnist-modes.toml`."""
    spec = DenseExperiment.from_toml(Path(__file__).parents[1] / "results" / "mnist-modes.toml")
    best: Arm = spec.arm[0]
    results = compare(spec.changed(arm=(best,), seeds=1, curve_points=0))
    ideal, device = results["summary"]
    return [
        claim("MNIST, ideal, linear readout", ideal["accuracy_mean"], IDEAL_BAR),
        claim(f"MNIST, {best.name}, learning kept by vote", device["vote_learning_kept"], KEPT_BAR),
        claim(f"MNIST, {best.name}, learning kept by readout", device["accuracy_learning_kept"], KEPT_BAR),
    ]


def claim(name: str, value: float, at_least: float) -> dict[str, Any]:
    """One figure with its bar."""
    return {"name": name, "value": value, "at_least": at_least, "holds": value >= at_least}


def main() -> int:
    """Run everything, print a line each, write verify.json; exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/verify"))
    folder = open_folder(parser.parse_args().out)
    figures = [*kernels.figures(), *backends.figures()]
    print(*map(line, figures), sep="\n")
    composed = composition()
    claims = learning()
    for one in claims:
        print(f"{one['name']:<60} {one['value']:.4f}  bar {one['at_least']}")
    kept = {"races": figures, "claims": claims, "composition": composed, "versions": versions()}
    write_json(folder / "verify.json", kept)
    missed = [f["name"] for f in figures if not f["holds"]] + [c["name"] for c in claims if not c["holds"]]
    missed += [] if composed["holds"] else ["devices against the plain numpy composition"]
    print("every bar holds" if not missed else f"missed: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
