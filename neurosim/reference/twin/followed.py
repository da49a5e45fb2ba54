"""What the torch backend follows of an array's settings; the rest it refuses."""

from __future__ import annotations

from typing import Any

from neurosim.core.config import ReadPath, WritePath
from neurosim.core.errors import CapabilityError

FOLLOWED: dict[str, set[str]] = {
    "read": {"read_voltage_V", "integration_time_s", "input_range", "dac_bits", "adc_bits", "adc_range_uS",
             "adc_percentile", "adc_margin", "read_noise", "drift", "reading_delay_s"},
    "write": {"w_max", "scale", "scale_percentile", "scale_by", "decay_mode", "decay_threshold", "flush_pulses",
              "pulse_limit", "refresh", "pulse_train_slots", "verify_reads", "prompt", "momentum", "baseline",
              "pulses"},
}  # fmt: skip
"""Settings that the torch backend computes, whatever their value."""
FOLLOWED_AT: dict[str, dict[str, tuple[Any, ...]]] = {
    "read": {"encoding": ("amplitude",), "adc_range": ("calibrated",), "adc_gain_spread": (None,),
             "adc_offset_lsb": (None,), "amplifier_offset_V": (None,), "thermal_noise_K": (None,),
             "shot_noise": (False,), "saturation_uS": (None,), "settling_time_s": (None,), "calibration": (None,)},
    "write": {"mapping": ("pair", "reference"), "sides": ("card",), "pair": ("interleaved",),
              "potentiate_every": (1,), "depress_every": (1,), "pulse_sensitivity_V": (None,),
              "half_select": (False,), "tracking": (None,)},
}  # fmt: skip
"""Settings that it computes at these values only. `programming` is looked at by its mode."""


def refuse_what_is_not_followed(read: ReadPath, write: WritePath, hardware: dict[str, Any]) -> None:
    """Raise `CapabilityError` for a setting, or a part of the hardware, that only numba computes."""
    for path, settings in (("read", read), ("write", write)):
        for name in type(settings).model_fields:
            value = getattr(settings, name)
            if name in FOLLOWED[path] or value in FOLLOWED_AT[path].get(name, ()) or name == "programming":
                continue
            raise CapabilityError(f"{path}.{name} = {value!r}: not in the torch backend; use numba")
    if write.programming.mode != "statistics":
        raise CapabilityError(
            f"programming.mode = '{write.programming.mode}': the torch backend programs by "
            "'statistics' only; use the numba backend"
        )
    for name, value in hardware.items():
        if value is not None:
            raise CapabilityError(f"{name}: not in the torch backend; use numba")
