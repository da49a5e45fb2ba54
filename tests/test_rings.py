"""A ring stands on its curve, also where levels have names and lie at places of their own."""

from __future__ import annotations

from typing import Any

import neurosim as ns
from neurosim.report.sweep import sweep_curves
from neurosim.study.swept import said_of_age


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


def test_a_card_without_retention_data_tolerates_no_age() -> None:
    """Its conductances stand still in the simulator: that is silence, and must not read as ten years of retention."""
    spec = ns.DenseExperiment(dataset="digits", device=("pcm-nandakumar-2018", "rram-hfo2-om-2022"))
    given = [
        {
            "field": field,
            "arm": arm.name,
            "others": {},
            "level": 1.0,
            "enough": True,
            "verdict": "At least 1.",
        }
        for field in ("age_s", "read.read_noise")
        for arm in spec.device_arms()
    ]
    found = said_of_age(given, spec)
    assert [one["level"] for one in found] == [1.0, None, 1.0, 1.0]
    assert "no retention data" in found[1]["verdict"]
