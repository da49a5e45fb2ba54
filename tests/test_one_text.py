"""A law's own text as its torch twin: what it computes, and what it refuses."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
from helpers import slow_unless
from own_law_helpers import CARD, LAW

from neurosim import TorchCrossbar
from neurosim.core.errors import CapabilityError
from neurosim.devices import cards, load
from neurosim.reference import agreement
from neurosim.reference.agreement import compare_operations
from neurosim.reference.twin.one_text import twin_of

SOME = ("update, accumulate", "update, mixed", "update, online")
SHARES_ALONE = ("soft-bounds", "exp-step", "power-step", "constant-step")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(agreement, "SHAPE", (40, 24))


@pytest.mark.parametrize("law", [slow_unless(law == "constant-step", law) for law in SHARES_ALONE])
def test_texts_of_built_in_laws_serve_as_twins(monkeypatch, law):
    """Which they need not, as theirs are written once more: both give the same."""
    known: Any = map(load, cards())
    device = next(device for device in known if device.law == law and not device.is_surrounded)
    own = twin_of(device)
    monkeypatch.setattr(type(device), "twin", classmethod(lambda cls: own))
    lines = list(compare_operations(device, "float32", True, 3, operations=SOME))
    assert len(lines) == len(SOME)
    assert [line for line in lines if not line.holds] == []


def own(folder: Any, body: str | None = None) -> Any:
    """The law of the documentation, or with another share."""
    text = LAW.replace("@inlined", "folder = (1.0, 2.0)\n\n\n@inlined", 1)
    if body is not None:
        head, rest = text.split("def share", 1)
        tail = rest.split("\n\n\n", 1)[1]
        text = f"{head}def share(cell, g, sign, xi, state, params):\n{textwrap.indent(body.strip(), '    ')}\n\n\n{tail}"
    (folder / "knee.py").write_text(text, encoding="utf-8")
    (folder / "my-device.toml").write_text(CARD, encoding="utf-8")
    return load(str(folder / "my-device.toml"))


BODIES = (
    None,
    """
s = (g - params.g_origin_uS) / params.span_uS
left = (state.upper[cell] - g if sign > 0 else g - state.lower[cell]) / params.span_uS
near = min(max(np.exp(-params.knee * s), np.float32(0.1)), 2.0) if s > -0.5 and s < 0.9 else np.float32(0.7)
return near * abs(left) + params.cycle_to_cycle * xi
""",
)


@pytest.mark.parametrize(
    "body", [BODIES[0], slow_unless(False, BODIES[1])], ids=["documentation", "conditions"]
)
def test_a_law_from_a_file_runs_on_torch_without_a_twin(tmp_path, body):
    lines = list(compare_operations(own(tmp_path, body), "float32", True, 3, operations=SOME))
    assert [line for line in lines if not line.holds] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "if sign > 0:\n    return np.float32(1)\nreturn np.float32(0.5)",
            r"line \d+ has 'if'.*a if b else c",
        ),
        ("return folder[0] * xi", "folder"),
        ("return np.float32(1) if 0 < sign < 2 else np.float32(0.5)", "ambiguous"),
        ("return np.float32(round(g)) + xi", "share cannot serve"),
    ],
)
def test_a_text_that_asks_one_cell_at_a_time_is_refused_with_what_to_do(tmp_path, body, said):
    device = own(tmp_path, body)
    with pytest.raises(CapabilityError, match=rf"knee.*my-device.*{said}.*numba backend"):
        TorchCrossbar((4, 3), device)


def test_a_law_of_another_kind_says_what_it_needs():
    device: Any = load("pcm-nandakumar-2018")
    with pytest.raises(CapabilityError, match="write a torch twin"):
        twin_of(device)
