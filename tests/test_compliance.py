"""Reads that the instrument says are in compliance: at one limit they are beyond it, at several they are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fit_helpers import RAMPS, soft, write

from benchmarks.coverage import pulses_of
from neurosim.core import registry
from neurosim.devices.fitting import Pulses, read_tables
from neurosim.devices.fitting.reads_left_out import without_doubtful_reads

LIMIT_uS = 75.0
LETTERS, FLAGS, TRUTH = ("N", "C"), ("0", "1"), ("F", "T")


def analyser_file(
    folder: Path, pulses: Pulses, words: tuple[str, str], header: str, ripple: float = 0.0
) -> Path:
    """Currents at 0.1 V as an analyser writes them: those in compliance stand at its limit, but for its own noise."""
    rng = np.random.default_rng(0)
    lines = ["Model,4200A-SCS", "Test,ltp_ltd#1", "", f"DUT,Pulse,Polarity,ReadI (A),ReadV (V),{header}"]
    for trace in pulses.traces:
        for row, (sign, g) in enumerate(zip(trace.sign, trace.conductance_uS, strict=True)):
            limited = bool(g >= LIMIT_uS)
            seen = LIMIT_uS * (1 + ripple * rng.standard_normal()) if limited else g
            word = {0: "", 1: "SET", -1: "RESET"}[int(sign)]
            lines.append(f"{trace.device},{row},{word},{seen * 1e-7:.7E},0.1,{words[limited]}")
    return write(folder / "ltp.csv", lines)


@pytest.fixture(scope="module")
def drawn() -> Pulses:
    return pulses_of(soft(), RAMPS, 24, seed=1)


@pytest.mark.parametrize(
    ("words", "header"), [(LETTERS, "ReadStatus"), (FLAGS, "Compliance"), (TRUTH, "Source Limit")]
)
def test_reads_in_compliance_are_known_to_be_at_least_the_limit(tmp_path, drawn, words, header):
    """Their ripple hides them from a search for repeated values; the instrument's word does not."""
    (table,) = read_tables([analyser_file(tmp_path, drawn, words, header, ripple=1e-3)])
    count = sum(int((trace.conductance_uS >= LIMIT_uS).sum()) for trace in drawn.traces)
    assert f'status "{header}"' in table.said[1]
    assert f"{count} reads in compliance, at 74." in table.left_out
    treated = without_doubtful_reads(table)
    assert any(
        f"{count:,} of 3,864 reads are exactly 74." in note and "limit of the instrument" in note
        for note in treated.notes
    )
    law = registry.find("law fitter", "soft-bounds")
    numbers, clean = law(treated).numbers, law(drawn).numbers
    for name in ("g_min_uS", "step", "cycle_to_cycle", "write_noise"):
        assert clean[name].low <= numbers[name].value <= clean[name].high, name


def test_reads_in_compliance_at_several_values_are_missing(tmp_path):
    rows = [f"a,{k},{'SET' if k else ''},{10 + k},{'C' if k in (4, 9) else 'N'}" for k in range(16)]
    (table,) = read_tables(
        [write(tmp_path / "d.csv", ["device,pulse,polarity,conductance_uS,Status", *rows])]
    )
    (trace,) = table.traces
    assert trace.conductance_uS.tolist() == [10 + k for k in range(16) if k not in (4, 9)]
    assert np.flatnonzero(trace.sign == 0).tolist() == [0, 4, 8]
    assert table.left_out == "left out: 2 missing values; 2 reads in compliance, left out"


def test_codes_that_are_not_understood_are_said(tmp_path):
    rows = [f"a,{k},{'SET' if k else ''},{10 + k},{0x10000 if k == 4 else 4}" for k in range(16)]
    (table,) = read_tables(
        [write(tmp_path / "d.csv", ["device,pulse,polarity,conductance_uS,Status", *rows])]
    )
    assert 'status codes 4, 65536, not understood and not used, "Status"' in table.said[1]
    assert table.limits_uS == ()


def test_drift_leaves_reads_in_compliance_out(tmp_path):
    rows = [f"{10.0**k},{20 - k},{'yes' if k == 1 else 'no'}" for k in range(5)]
    (table,) = read_tables([write(tmp_path / "d.csv", ["time_s,conductance_uS,In compliance", *rows])])
    ((_, times, _),) = table.devices
    assert times.tolist() == [1.0, 100.0, 1000.0, 10000.0]
    assert "1 read in compliance" in table.left_out
