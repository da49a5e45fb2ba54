"""A ring stands on its curve, also where levels have names and lie at places of their own."""

from __future__ import annotations

from typing import Any

from neurosim.report.sweep import sweep_curves


def results(levels: list[Any], tolerated: Any) -> dict[str, Any]:
    points = [
        {"read.adc_bits": level, "arm": "a", "seeds": 5, "accuracy_mean": 0.9 - 0.1 * k,
         "accuracy_interval": (0.8 - 0.1 * k, 0.95 - 0.1 * k)}
        for k, level in enumerate(levels)
    ]  # fmt: skip
    return {
        "axes": [{"field": "read.adc_bits", "unit": "", "levels": levels, "when": "both"}],
        "points": points,
        "tolerances": [
            {"field": "read.adc_bits", "arm": "a", "others": {}, "level": tolerated, "enough": True}
        ],
        "data": {"reported_on": "test set", "note": "digits"},
    }


def test_a_ring_is_a_point_of_its_curve() -> None:
    for levels, tolerated, place in (([None, 8, 6], 8, 1.0), ([8, 6, 4], 6, 6.0)):
        (axes,) = sweep_curves(results(levels, tolerated)).axes
        curve, ring = axes.get_lines()
        assert list(ring.get_xdata()) == [place]
        at = list(curve.get_xdata()).index(place)
        assert ring.get_ydata()[0] == curve.get_ydata()[at]
