"""Errors planted one at a time, and what catches each: does the suite, and `neurosim validate`, see them?

python -m benchmarks.mutations [--only NAME] [--out FILE] [--page FILE]

Each mutation is made in a copy of the repository; the listed tests run until the first one fails. The working
tree is left as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutations.json")
LEFT_OUT = (
    ".git",
    ".venv",
    "docs",
    "notebooks",
    "out",
    "results",
    "__pycache__",
    ".ruff_cache",
    ".mypy_cache",
)
VALIDATE = """
import sys
from neurosim.reference.agreement import compare_operations
from neurosim.reference.closed_forms import normals, of_card
from neurosim.reference.twin.crossbar import TorchCrossbar
from neurosim.crossbar.array import Crossbar
from neurosim.devices.card import load
names = {names!r}
lines = list(normals())
for name in names:
    for machine in (Crossbar, TorchCrossbar):
        lines += of_card(name, machine)
    lines += compare_operations(load(name), "float64", True)
broken = [line for line in lines if not line.holds]
print(*[f"{{line.operation}} on {{line.on}}" for line in broken[:3]], sep="; ")
sys.exit(bool(broken))
"""
"""What `neurosim validate` compares, on a few cards and without the trainings."""
CARDS = ("pcm-nandakumar-2018", "rram-hfo2-om-2022", "pcm-joshi-2020")


class Found(NamedTuple):
    """What became of one mutation."""

    name: str
    by_test: str
    """The first test that failed; empty if none did."""
    by_validate: str
    """What of `neurosim validate` did not hold."""


def plant(mutation: dict[str, Any], tree: Path) -> None:
    """Make one change; raises `ValueError` where its text is not in the file once."""
    file = tree / mutation["file"]
    text = file.read_text(encoding="utf-8")
    if text.count(mutation["old"]) != 1:
        raise ValueError(
            f"{mutation['name']}: found {text.count(mutation['old'])} times in {mutation['file']}"
        )
    file.write_text(text.replace(mutation["old"], mutation["new"]), encoding="utf-8")


def tried(mutation: dict[str, Any]) -> Found:
    """Plant one mutation in a copy and run what may catch it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        plant(mutation, tree)
        around = {**os.environ, "PYTHONPATH": str(tree)}
        tests = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider",
             *mutation["tests"]],
            cwd=tree, env=around, capture_output=True, text=True, check=False,
        )  # fmt: skip
        failed = [line for line in tests.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        machines = subprocess.run(
            [sys.executable, "-c", VALIDATE.format(names=CARDS)],
            cwd=tree, env=around, capture_output=True, text=True, check=False,
        )  # fmt: skip
        stopped = machines.returncode not in (0, 1) or (machines.returncode and not machines.stdout.strip())
        seen = "stops" if stopped else machines.stdout.strip() if machines.returncode else ""
    first = failed[0].split(" - ")[0].removeprefix("FAILED ").removeprefix("ERROR ") if failed else ""
    return Found(mutation["name"], first, seen)


def page(found: list[Found]) -> str:
    """Return the page of what became of them, one line each."""
    listed = {mutation["name"]: mutation for mutation in json.loads(LIST.read_text(encoding="utf-8"))}
    caught, seen = sum(bool(one.by_test) for one in found), sum(bool(one.by_validate) for one in found)
    others = sum(listed[one.name]["by"] != "author" for one in found)
    rows = []
    for one in found:
        by = "us" if listed[one.name]["by"] == "author" else "another"
        test = one.by_test.removeprefix("tests/").partition("[")[0]
        said = one.by_validate.partition(";")[0] or "nothing"
        rows.append(f"| {one.name} | {by} | {f'`{test}`' if test else 'none'} | {said} |")
    return f"""# Planted errors

An error is planted in a copy of the sources, one at a time, and tests run until one fails: {caught} of {len(found)} are caught.
{seen} of them are seen by what `neurosim validate` compares as well, here on three cards: operations in double precision
with a read after each, and closed forms of what both machines share. {others} were invented by someone who had not read the
tests ("another"). The list is `benchmarks/mutations.json`; `python -m benchmarks.mutations --out results/mutations.json
--page results/mutations.md` tries it again.

| planted error | invented by | first test that fails | `neurosim validate` sees |
|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> int:
    """Try every mutation and print what caught it; exit code 1 where nothing did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    found = []
    for mutation in json.loads(LIST.read_text(encoding="utf-8")):
        if given.only and mutation["name"] not in given.only:
            continue
        found.append(tried(mutation))
        print(
            f"{found[-1].name:<45} {found[-1].by_test or 'NO TEST'} | {found[-1].by_validate or '-'}",
            flush=True,
        )
        if given.out:
            kept = {"planted": [one._asdict() for one in found]}
            given.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if given.page:
        given.page.write_text(page(found), encoding="utf-8")
    missed = [one.name for one in found if not one.by_test]
    print(f"{len(found) - len(missed)} of {len(found)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
