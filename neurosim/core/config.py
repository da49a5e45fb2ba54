"""How an array is read, written, programmed and priced: settings, None of which switches an effect off."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal, Self

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from neurosim.core.cautions import ImplausibleWarning
from neurosim.core.frozen import Frozen, Grown
from neurosim.core.protocols import DecayMode, Mapping


class Calibration(Frozen):
    """How converters find their ranges by reads of their own, as a chip does: counted, noisy, and in codes.

    Some of the inputs are read as any input is. A tile whose codes reach the end of its range gets twice the range, one
    that uses less than a quarter of it the range it needs, and both are read again; all others are set, and stay so.
    """

    samples: int = Field(32, ge=1)
    """Inputs, of those that `calibrate` is given, that are read: drawn at random, each once (fewer where fewer are given)."""
    tries: int = Field(6, ge=1)
    """Most times that they are read."""
    step: float | None = Field(None, gt=0)
    """By which share neighbouring settings of a range differ, as a trim of so many steps has them; the next larger is
    taken. None: any range can be set."""
    offset_step_lsb: float | None = Field(None, gt=0)
    """Step, in codes, by which each converter's offset is trimmed once the ranges are found: to the mean code of as many reads
    of nothing. None: offsets stay."""


class ReadPath(Grown):
    """How inputs reach the array and currents leave it; the order is stated in `neurosim.crossbar.reader`."""

    added: ClassVar[tuple[str, ...]] = ("calibration",)

    read_voltage_V: float = Field(0.2, gt=0)
    """Word-line voltage of a full-scale input."""
    integration_time_s: float = Field(100e-9, gt=0)
    """Time for which one input vector is applied."""
    input_range: float | Literal["vector"] = "vector"
    """Input of full scale; "vector" scales each input vector by its own largest magnitude."""
    dac_bits: int | None = Field(None, ge=2, le=16)
    """Signed DAC codes, round half to even; None is a perfect DAC."""
    encoding: Literal["amplitude", "pulse-width", "bit-serial"] = "amplitude"
    """An input is the height of a pulse, its length, or its bits one after the other, each converted on its own."""
    adc_bits: int | None = Field(None, ge=2, le=16)
    """Signed ADC codes, round half to even, after the two currents of a pair are subtracted."""
    adc_range: Literal["calibrated", "full-scale", "granular"] = "calibrated"
    """Where each tile's ADC ends: at what `program` expects and `calibrate` measures; at the current of all inputs
    full on and all cells at G_max; or so that one code is one nominal step of a device read by the smallest input."""
    adc_range_uS: float | None = Field(None, gt=0)
    """Full scale of the ADC in uS of summed pair difference, instead of `adc_range`."""
    adc_percentile: float = Field(100.0, gt=0, le=100)
    """What `calibrate` takes of the magnitudes of the currents it measures (larger ones are clipped from then on) ..."""
    adc_margin: float = Field(1.25, gt=0)
    """... times this, as the range."""
    calibration: Calibration | None = None
    """How `calibrate` measures: by counted, noisy reads through the converters themselves; None: exact currents show it the
    range at once, and for nothing. A perfect ADC has no range to set."""
    adc_gain_spread: float | None = Field(None, gt=0)
    """Standard deviation of the gain of a column's converter, relative; drawn once."""
    adc_offset_lsb: float | None = Field(None, gt=0)
    """Standard deviation of its offset, in codes (of 8 bits where the ADC is perfect); drawn once."""
    amplifier_offset_V: float | None = Field(None, gt=0)
    """Standard deviation of a bit line's virtual ground; its current is this times the line's conductance."""
    thermal_noise_K: float | None = Field(None, gt=0)
    """Temperature of the thermal noise of a bit line's conductance, 4 k T G B with B = 1 / (2 integration time)."""
    shot_noise: bool = False
    """Shot noise of the currents, 2 q B times the current."""
    saturation_uS: float | None = Field(None, gt=0)
    """Current, in uS of summed pair difference, at which the integrator saturates."""
    settling_time_s: float | None = Field(None, gt=0)
    """Time constant of a bit line: a read ends at 1 - exp(-integration time / this) of its current."""
    read_noise: float | Literal["card"] | None = "card"
    """White noise of one read: the card's law, None, or a standard deviation as a share of G_max."""
    drift: bool = True
    """Let time pass for the devices when the clock is advanced."""
    reading_delay_s: float | None = Field(None, gt=0)
    """Age of a device just written when it is read: at least so old it is to drift, relaxation and 1/f noise, while it
    learns and while it ages. Targets, nominal steps and verifying reads refer to it; retention and the share of a
    pulse that fades see the true age. None: the age at which each card states its conductances (PCM: 20 to 300 s)."""

    @model_validator(mode="after")
    def _calibrates_what_is_not_given(self) -> Self:
        if self.calibration is not None and (self.adc_range != "calibrated" or self.adc_range_uS is not None):
            given = "adc_range_uS" if self.adc_range_uS is not None else f"adc_range = '{self.adc_range}'"
            raise ValueError(f"calibration: {given} gives the range; leave one of the two out")
        return self

    @field_validator("input_range")
    @classmethod
    def _some_range(cls, value: float | str) -> float | str:
        if isinstance(value, float) and value <= 0:
            raise ValueError("must be greater than 0, or 'vector'")
        return value

    @field_validator("read_noise")
    @classmethod
    def _no_negative_noise(cls, value: float | str | None) -> float | str | None:
        if isinstance(value, float) and value < 0:
            raise ValueError("must be at least 0, 'card' or None")
        if isinstance(value, float) and value > 1:
            warnings.warn(
                f"read_noise = {value:g} is a share of G_max, so {100 * value:,.0f} % of it; "
                f"did you mean {value / 100:g}?",
                ImplausibleWarning,
                stacklevel=2,
            )
        return value


class Refresh(Frozen):
    """When and how saturated pairs, whose devices are pulsed in one direction only, go back and are written anew.

    The shares are of G_max, on bipolar cards of the window; where pulses are RESETs they count from its upper end down.
    """

    every: int = Field(50, ge=1)
    """Updates between looks at all pairs."""
    high: float = Field(0.75, gt=0, le=1)
    """Refresh a pair whose device that was pulsed further has gone beyond this share ..."""
    low: float = Field(0.25, ge=0, lt=1)
    """... while the other has gone beyond this share ..."""
    most_difference: float | None = Field(None, gt=0, le=1)
    """... and they differ by less than this share; None asks nothing of the difference."""
    rewrite: Literal["verify", "pulses"] = "verify"
    """How the difference comes back: the law's program-and-verify, or SET pulses counted by the card's nominal
    curve, and no look at the result (not where pulses are RESETs)."""
    look: Literal["exact", "read"] = "exact"
    """What the controller sees: the conductances, or one read of each device with its noise and the ADC."""

    @model_validator(mode="after")
    def _low_is_lower(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low = {self.low}: must not exceed high = {self.high}")
        return self


class Programming(Grown):
    """How an array writes given conductances."""

    added: ClassVar[tuple[str, ...]] = ("verify", "comparator_offset_uS", "comparator_noise_uS")

    mode: Literal["statistics", "open", "closed"] = "statistics"
    """The law's published statistics of program-and-verify; RESET and a number of pulses from the card's nominal
    curve, unseen; or pulse by pulse with a read after each."""
    tolerance: float = Field(0.02, gt=0, le=1)
    """Closed loop ends within this share of the window, G_max - G_min, of the target, as read."""
    pulse_budget: int = Field(100, ge=1, le=1 << 30)
    """Most pulses that closed loop gives a device, RESETs included."""
    verify_reads: int = Field(1, ge=1)
    """Reads averaged in one verification."""
    verify: Literal["value", "compare"] = "value"
    """What closed loop learns of a read: its value, by a conversion; or, by a comparator, only whether it lies below the
    target. It then ends with the first gradual pulse that crosses the target, whatever `tolerance`."""
    comparator_offset_uS: float = Field(0.0, ge=0)
    """Standard deviation of a comparator's offset, in conductance at the read voltage; drawn once for each bit line of each
    tile, whose devices all end so much beside their targets."""
    comparator_noise_uS: float = Field(0.0, ge=0)
    """Standard deviation of the noise that a comparator adds to a read, anew in each comparison."""

    @model_validator(mode="after")
    def _compares_in_closed_loop_only(self) -> Self:
        if self.verify == "compare" and self.mode != "closed":
            raise ValueError(f"verify = 'compare': mode '{self.mode}' reads nothing; use mode = 'closed'")
        if self.verify == "compare" and self.verify_reads > 1:
            raise ValueError("verify_reads averages values, of which a comparator has none: leave it at 1")
        if self.verify == "value" and (self.comparator_offset_uS or self.comparator_noise_uS):
            raise ValueError(
                "comparator_offset_uS and comparator_noise_uS are of a comparator, verify = 'value' has none: use 'compare'"
            )
        return self


class Tracking(Frozen):
    """When references go to the symmetric points of their devices: before weights are programmed, and while they are learnt.

    A search (`Crossbar.find_symmetric_points`) gives alternate pulses to all devices. While it learns, devices and references
    are read before it, and their differences programmed anew beside the new references; all of it is counted.
    """

    pairs: int = Field(2000, ge=1)
    """Pulses up, and as many down, that each device is given in a search. Too few leave it near its weight, which its
    reference then follows: while weights are learnt it takes some e-folds of the way (`Crossbar.find_symmetric_points`)."""
    every: int | None = Field(None, ge=1)
    """Updates between searches while it learns; None: none but the first, before weights are programmed."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of the way from where it was programmed to the point just found that a reference goes in later searches:
    below 1 it follows a moving average of what they find."""


class WritePath(Grown):
    """How signed weights become conductances and updates become pulses."""

    added: ClassVar[tuple[str, ...]] = ("tracking",)

    w_max: float | None = Field(None, gt=0)
    """Weight at which a pair stands at its full difference, G_max - G_min; None leaves it to `scale`."""
    scale: Literal["auto", "fixed", "max", "percentile"] = "auto"
    """What that weight is: `w_max` (1 where it is None), or, each time weights are programmed, their largest magnitude
    or ... "auto" is `w_max` where it is given, here or to `program`, and the largest magnitude where it is not."""
    scale_percentile: float = Field(99.5, gt=0, le=100)
    """... this percentile of their magnitudes (larger ones are clipped) ..."""
    scale_by: Literal["array", "column"] = "array"
    """... of the whole array, or of each column for itself."""
    sides: Literal["card", "one", "two"] = "card"
    """How a pair is programmed: one device above rest and the other at rest; both, half each, around the middle;
    or one for pairs that are pulsed in one direction only and two for others. Rest is where their pulses start: with
    `pulses` "reset" the upper end of the window, below which the weight is written."""
    pulses: Literal["card", "set", "reset"] = "card"
    """Pulses that learning gives a pair: all that the device can; SET only, the plus device for a change up and the
    minus device for a change down; or RESET only, the minus device for a change up and the plus device for a change
    down (Renaudineau et al. 2026), where RESET is gradual. One direction ends in saturation, see `refresh`."""
    pair: Literal["interleaved", "separate"] = "interleaved"
    """One physical array of rows x 2 cols, the two currents subtracted before one ADC; or an array of plus and one
    of minus devices, each with an ADC, subtracted after."""
    decay_mode: DecayMode = "readback"
    """How a column's weights shrink: a counted noisy read; the digital gain of the column, which is part of every
    weight it stores and costs no pulse; depression pulses; or an oracle."""
    decay_threshold: float = Field(0.05, gt=0, le=1)
    """A neuron gathers its decay until it is this share of its weights; then the column is read back."""
    pulse_limit: int | None = Field(None, ge=1)
    """Most pulses that one update gives a device, as a controller's counter would; what `mixed` cannot give
    stays in the accumulator, `accumulate` drops it (counted, `ledger.pulses_cut`); `online` has `pulse_train_slots`. None, and
    more than that: what takes any device across its window four times."""
    flush_pulses: int = Field(1, ge=1)
    """Nominal pulses that are given at once. An accumulator of `mixed` gathers so many before it gives them: changes
    that cancel each other within so many never reach the device. `accumulate` rounds to multiples of it at random."""
    prompt: bool = False
    """An accumulator of `mixed` gives each change at once, rounded at random to multiples of `flush_pulses` as
    `accumulate` does, and holds what that was off, to give it back once it is as much. Layers whose neurons steer
    themselves by sums over many weights (Forward-Forward) overshoot where all of these wait for whole pulses."""
    verify_reads: int = Field(0, ge=0)
    """Reads of a pair, averaged, before and after an accumulator gives its pulses: what these missed, as read, goes
    back to it. It holds at most eight flushes. 0: what was asked for counts as given."""
    momentum: float | None = Field(None, gt=0, lt=1)
    """A digital filter before the pulses of `accumulate` and `mixed`, V = momentum V + (1 - momentum) change (Hinton:
    0.9): V is what is given. It is one more number a synapse, read and written in every update; decay passes it by."""
    baseline: float | None = Field(None, gt=0, lt=1)
    """A stored average of the changes of negative phases, B = baseline B + (1 - baseline) change, zero at first: in a positive
    phase B is added to the change, before the filter of `momentum` (Hinton, arXiv 2212.13345, section 5). One more number a
    synapse: read and written in a negative phase, read in a positive one. Of rules with phases, one phase an update."""
    refresh: Refresh | None = Refresh()
    """How saturated pairs that are pulsed in one direction only are brought back; None never does."""
    programming: Programming = Programming()
    """How `program` writes weights: by published statistics, open loop or closed loop."""
    mapping: Mapping = "pair"
    """Pair: both devices of a weight learn. Reference: the minus device is written once, to the middle of the
    window, and stays there; w = (G - G_ref) w_max / ((G_max - G_min) / 2). Offset: one column of such references
    serves all columns of a tile; each is converted by itself and subtracted after."""
    tracking: Tracking | None = None
    """When references go to the symmetric points of their devices; None: they stay in the middle of the window, or where
    `find_symmetric_points` puts them. Of mapping "reference"."""
    potentiate_every: int = Field(1, ge=1)
    """Changes up are given in every so-many-th update only: a counter that all cells share (Boybat et al. 2018)."""
    depress_every: int = Field(1, ge=1)
    """Changes down are given in every so-many-th update only; where RESET is abrupt, a rare one stands for many gradual steps."""
    pulse_sensitivity_V: float | None = Field(None, gt=0)
    """Volts of amplitude that change the effect of a pulse e-fold. With wires, pulses then weaken along the lines;
    None: they do not."""
    half_select: bool = False
    """Devices on a pulsed word or bit line see half the voltage (V/2 scheme) and move by the effect of that."""
    pulse_train_slots: int = Field(31, ge=1, le=31)
    """Length of the stochastic pulse train of one sample in `online` mode."""

    @model_validator(mode="after")
    def _tracks_what_has_a_reference(self) -> Self:
        if self.tracking is not None and self.mapping != "reference":
            raise ValueError(
                f"tracking: mapping '{self.mapping}' has no reference of its own beside each device; use mapping = 'reference'"
            )
        return self


class Periphery(Frozen):
    """Energy of what stands around the array: a lower bound (no clocking, control or leakage).

    ADC ``(k1 bits + k2 4^bits) V^2`` and DAC ``50 fF bits V^2`` as in ZigZag; line load as in the NeuRRAM
    model of CiMLoop; digital figures of Horowitz, ISSCC 2014 (45 nm).
    """

    name: str = "zigzag-0.9V + horowitz-45nm, lower bound"
    supply_V: float = Field(0.9, gt=0)
    adc_k1_fF: float = Field(100.0, ge=0)
    adc_k2_fF: float = Field(0.001, ge=0)
    dac_fF_per_bit: float = Field(50.0, ge=0)
    line_fF_per_cell: float = Field(2.1, ge=0)
    mac_pJ: float = Field(0.3, ge=0)
    """One 8-bit multiply and 32-bit add, for sums formed digitally."""
    memory_access_pJ: float = Field(5.0, ge=0)
    """One 32-bit access of a small SRAM."""
    default_bits: int = Field(8, ge=2, le=16)
    """Converter width assumed for the energy when a converter is left perfect."""

    def adc_J(self, bits: int | None) -> float:
        """Energy of one conversion of the ADC."""
        b = bits or self.default_bits
        return (self.adc_k1_fF * b + self.adc_k2_fF * 4.0**b) * 1e-15 * self.supply_V**2

    def dac_J(self, bits: int | None) -> float:
        """Energy of one conversion of the DAC."""
        return self.dac_fF_per_bit * (bits or self.default_bits) * 1e-15 * self.supply_V**2

    def line_J(self, cells: int, voltage_V: float) -> float:
        """Energy of charging a line of `cells` cells once."""
        return self.line_fF_per_cell * cells * 1e-15 * voltage_V**2
