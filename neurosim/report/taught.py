"""How long arms with backpropagation learnt, in words."""

from __future__ import annotations

from typing import Any


def taught_lines(runs: list[dict[str, Any]]) -> list[str]:
    """Return a line for each arm of Forward-Forward by backpropagation, and of deep studies where images kept aside ended it."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        settings, heads = run.get("backpropagation"), run.get("heads", ())
        if settings and (not heads or settings.get("patience") is not None):
            arms.setdefault(run["arm"], []).append({**settings, **(heads[-1] if heads else {})})
    return [f"{arm}: backpropagation, {_told(own)}.\n" for arm, own in arms.items()]


def _told(own: list[dict[str, Any]]) -> str:
    if own[0].get("patience") is None:
        return f"{own[0]['epochs']} epochs"
    learnt, best = (", ".join(str(run[name]) for run in own) for name in ("learnt_epochs", "best_epoch"))
    return (
        f"at most {own[0]['epochs']} epochs: seed by seed it ended after {learnt}, the accuracy on images kept aside not "
        f"having risen for {own[0]['patience']}, with the weights of epoch {best}"
    )
