"""The questions of an assessment, asked of tiny nets."""

from __future__ import annotations

from typing import Any

import pytest

from neurosim.report import assessment
from neurosim.study import assess as module
from neurosim.study.assess import RULES


def of_tiny_nets(monkeypatch: pytest.MonkeyPatch, settings: dict[str, dict[str, Any]]) -> None:
    """Let both rules learn with these settings, with two ways to write each."""
    rules = {
        name: rule._replace(
            settings={**rule.settings, **settings[name]}, ways=dict(list(rule.ways.items())[:2])
        )
        for name, rule in RULES.items()
    }
    monkeypatch.setattr(module, "RULES", rules)
    monkeypatch.setattr(assessment, "RULES", rules)
    monkeypatch.setattr(module, "FACTORS", (0.0, 1.0))
