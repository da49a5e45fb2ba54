"""Races: every kernel against its reference in one run, as a ratio: python -m benchmarks [MODULE ...] [--json FILE]"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

from benchmarks import backends, deep, devices, fits, forward_forward, kernels, spikes, sweeps, wires
from benchmarks.timing import line
from neurosim.kernels.jit import threads
from neurosim.study.store import versions, write_json

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (kernels, devices, backends, fits, wires, deep, forward_forward, spikes, sweeps)
}


def main() -> None:
    """Print a line a race; keep all of them with `--json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; all by default"
    )
    parser.add_argument("--json", type=Path, help="file that keeps the figures")
    given = parser.parse_args()
    if unknown := set(given.modules) - set(MODULES):
        parser.error(f"no module {', '.join(sorted(unknown))}: choose of {', '.join(MODULES)}")
    print(f"{threads()} threads")
    found = []
    for name in given.modules or MODULES:
        for figure in MODULES[name].figures():
            print(line(figure), flush=True)
            found.append(figure)
    if given.json:
        machine = {
            "threads": threads(),
            "machine": platform.machine(),
            "modules": given.modules or [*MODULES],
        }
        write_json(given.json, {"races": found, **machine, "versions": versions()})


if __name__ == "__main__":
    main()
