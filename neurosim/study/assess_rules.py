"""The local rules that an assessment asks about, and the ways to write that it tries."""

from __future__ import annotations

from typing import Any, NamedTuple

A_YEAR_S = 31_536_000.0
_VERIFIED = {"decay_mode": "gain", "verify_reads": 1}


class Rule(NamedTuple):
    """A local rule that is asked about, as an experiment file has it; and ways to write that are tried."""

    title: str
    command: str
    kind: str
    settings: dict[str, Any]
    ways: dict[str, dict[str, Any]]
    """What an arm has for each, by its words."""
    controls: tuple[dict[str, Any], ...] = ()
    """Arms beside the device."""
    at_last: dict[str, Any] | None = None
    """Further settings of the study that reports, not of the one that chooses."""

    def on(self, images: dict[str, Any]) -> Rule:
        """Return the same rule on other images: ``dataset``, ``train_images``, ``test_images``; None changes nothing."""
        given = {name: value for name, value in images.items() if value is not None}
        return self._replace(settings={**self.settings, **given})


RULES: dict[str, Rule] = {
    "softhebb": Rule(
        "SoftHebb, one layer, by vote",
        "compare",
        "dense",
        {"dataset": "digits", "neurons": 100, "epochs": 20, "rule": "softhebb", "rule_options": {"learning_rate": 0.2},
         "mode": "mixed", "read": {"dac_bits": 8, "adc_bits": 8}, "curve_points": 0},
        {
            "pulsed as soon as a whole pulse is due": {},
            "the same, decay as a digital gain": {"write": {"decay_mode": "gain"}},
            "verified, pulse by pulse": {"write": {**_VERIFIED, "flush_pulses": 1}},
            "verified, 12 pulses at a time": {"write": {**_VERIFIED, "flush_pulses": 12}},
            "verified, 64 pulses at a time": {"write": {**_VERIFIED, "flush_pulses": 64}},
        },
        at_last={"then_aged_s": A_YEAR_S},
    ),
    "forward-forward": Rule(
        "Forward-Forward, two layers, by goodness",
        "ff",
        "forward-forward",
        {"dataset": "digits", "widths": [100, 100], "epochs": 20, "batch": 50},
        {
            "filtered changes": {"mode": "accumulate", "write": {"decay_mode": "gain"}},
            "long filter, low goodness": {
                "mode": "accumulate", "momentum": 0.99, "window": 8.0,
                "settings": {"goodness": "minus-squares", "decay": 0.0},
            },
            "verified, pulse by pulse": {"mode": "mixed", "write": {**_VERIFIED, "prompt": True, "flush_pulses": 1}},
            "verified, 64 pulses at a time": {"mode": "mixed", "write": {**_VERIFIED, "prompt": True, "flush_pulses": 64}},
        },
        ({"name": "ideal"}, {"name": "ideal, untrained", "learns": False}),
    ),
}  # fmt: skip
