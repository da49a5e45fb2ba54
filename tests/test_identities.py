"""Files of experiments name the results they named: python tests/test_identities.py writes the list anew.

What is kept in somebody's folder is found by its identity. A new setting must leave that of files that do not use it as
it was; where bits change on purpose, so does `core.bits.BITS`, and the list is written anew.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from neurosim import Experiment, load_experiment
from neurosim.core.bits import BITS
from neurosim.core.errors import ConfigError
from neurosim.study.kinds import KINDS
from neurosim.study.store import text_digest
from neurosim.study.sweep import deciding

FILE = Path(__file__).with_name("identities.json")
RESULTS = ROOT / "results"


def experiment_of(path: Path) -> Experiment | None:
    """Return the experiment that a file holds; the kind is the first that can read it. None: it holds something else."""
    for kind in KINDS:
        try:
            return load_experiment(path, kind)
        except ConfigError:
            continue
    return None


def identity(spec: Experiment) -> str:
    """Everything of an experiment that decides bits, but for the content of its images."""
    return text_digest(json.dumps([spec.kind, *(deciding(spec, arm) for arm in spec.arms())], sort_keys=True))


def found() -> dict[str, str]:
    """Return the identity of each file in results/."""
    specs = {path.name: experiment_of(path) for path in sorted(RESULTS.glob("*.toml"))}
    return {name: identity(spec) for name, spec in specs.items() if spec is not None}


def test_files_in_results_have_the_identities_that_they_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where their own rules are looked for
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    if kept["BITS"] != BITS:
        pytest.fail("write the identities of the new number: python tests/test_identities.py")
    now = found()
    assert len(kept["identities"]) > 15
    assert {name: now.get(name) for name in kept["identities"]} == kept["identities"]


def write() -> None:
    """Keep the identities of today's files under the present number."""
    os.chdir(ROOT)
    FILE.write_text(json.dumps({"BITS": BITS, "identities": found()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
