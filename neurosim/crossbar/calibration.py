"""How the ranges of an array's converters are set by typical inputs: by exact currents, or by counted reads in codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurosim.core.config import Calibration
from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.kernels.jit import share
from neurosim.kernels.products import SAMPLES, blocks

if TYPE_CHECKING:
    from neurosim.crossbar.reader import Part, Reader


def calibrate(reader: Reader, x: Floats, percentile: float, margin: float) -> None:
    """Set each tile's ADC to `margin` times a percentile of the currents of `x` (n, rows), as `ReadPath.calibration` says."""
    how, converters = reader.config.calibration, reader.converters
    if not converters.adapts:
        return
    if how is None:
        _by_exact_currents(reader, x, percentile, margin)
    elif converters.codes:
        _by_reads(reader, x, percentile, margin, how)


def _by_exact_currents(reader: Reader, x: Floats, percentile: float, margin: float) -> None:
    reader.ledger.calibration_reads += x.shape[0]
    seen: dict[tuple[int, int], list[Floats]] = {}
    for top, bottom in blocks(x.shape[0], SAMPLES):
        volts, _, _ = reader._convert_inputs(x[top:bottom], share)
        for part in reader._parts(volts, reader.reads + top):
            seen.setdefault((part.plane, part.k), []).append(reader._filled(part, reader._current))
    for (plane, k), found in seen.items():
        reader.converters.calibrate(plane, k, np.concatenate(found), percentile, margin)


def _by_reads(reader: Reader, x: Floats, percentile: float, margin: float, how: Calibration) -> None:
    """Read some of the inputs, and again until no tile clips and each uses a quarter of its range; then trim offsets."""
    converters = reader.converters
    if len(x) > how.samples:
        draws = generator(*reader.born, "ranging", reader.ranging_reads)
        x = x[np.sort(draws.choice(len(x), how.samples, replace=False))]
    before, dark = converters.range_uS.copy(), np.ones(converters.range_uS.shape, bool)
    waiting = set(np.ndindex(dark.shape))
    for _ in range(how.tries):
        seen = _codes(reader, x)
        for plane, k, m in sorted(waiting):
            largest = float(np.percentile(np.abs(seen[plane, k][:, converters.across[m]]), percentile))
            dark[plane, k, m] &= largest == 0
            if converters.settle(plane, k, m, largest, margin * largest, how.step):
                waiting.remove((plane, k, m))
        if not waiting:
            break
    converters.range_uS[dark] = before[dark]
    if how.offset_step_lsb and converters.distort:
        for (plane, k), shown in _codes(reader, np.zeros_like(x)).items():
            codes = shown.mean(axis=0, dtype=np.float64) / converters.lsb_uS(plane, k)
            converters.trim_lsb[plane, k] += how.offset_step_lsb * np.rint(codes / how.offset_step_lsb)


def _codes(reader: Reader, x: Floats) -> dict[tuple[int, int], Floats]:
    """Read inputs as `forward` does, and return what each row of tiles of each plane shows, (n, cols) in uS; counted."""
    converters, ledger = reader.converters, reader.ledger
    seen: dict[tuple[int, int], list[Floats]] = {}
    codes = reader.cells.real(converters.codes)
    for top, bottom in blocks(x.shape[0], SAMPLES):
        volts, _, _ = reader._convert_inputs(x[top:bottom], share)
        first = reader.ranging_reads
        parts = reader._parts(volts, first)

        def converted(part: Part, columns: slice, first: int = first) -> Floats:
            current, _ = reader._sensed(part, columns, first, "ranging")
            lsb = converters.lsb_uS(part.plane, part.k)[columns]
            found: Floats = np.clip(np.rint(current / lsb), -codes, codes) * lsb
            return found

        for part in parts:
            seen.setdefault((part.plane, part.k), []).append(reader._filled(part, converted))
        reader.ranging_reads += bottom - top
        ledger.ranging_uS += reader._conducted(parts)
    (rows, cols), vectors = reader.cells.shape, x.shape[0]
    ledger.ranging_reads += vectors
    ledger.ranging_conversions += vectors * reader._conversions
    ledger.ranging_dac_conversions += vectors * rows * len(converters.across)
    ledger.ranging_line_cells += vectors * reader._phases * rows * 2 * cols
    return {place: np.concatenate(found) for place, found in seen.items()}
