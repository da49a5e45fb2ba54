"""Files as laboratories have them: one set of made-up conductances in the forms that instruments and people write.

The forms follow manuals and public descriptions of what the instruments export, partly from memory; the values
are those of `conductance`. Each was written before the reader that reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

SEQUENCE = [1] * 12 + [-1] * 12
DEVICES = ("d1", "d2", "d3")
DRIFT_TIMES = (1.0, 10.0, 100.0, 1000.0)


def conductance(device: int, reads: Sequence[int] = SEQUENCE) -> list[float]:
    """Return what is read before any pulse and after each, in uS, to four digits after the point."""
    low, high = 20.0 + 2 * device, 44.0 + 3 * device
    state, found = low, [low]
    for sign in reads:
        state += 0.15 * ((high - state) if sign > 0 else (low - state))
        found.append(state)
    return [round(value, 4) for value in found]


def drifted(device: int) -> list[float]:
    """Return the conductance at `DRIFT_TIMES` seconds, in uS."""
    return [round((8 + device) * t ** -(0.05 + 0.005 * device), 4) for t in DRIFT_TIMES]


def programmed() -> list[tuple[float, float]]:
    """Return targets and what was reached, in uS."""
    return [(5.0 * (1 + k % 5), round(5.0 * (1 + k % 5) + 0.3 * math.sin(7 * k), 4)) for k in range(30)]


@dataclass(frozen=True)
class Form:
    """One file and what should come of it."""

    name: str
    text: str
    file: str = "data.csv"
    encoding: str = "utf-8"
    options: dict[str, Any] = field(default_factory=dict)
    """What the user has to say beside the file."""
    kind: str = "pulses"
    devices: tuple[str, ...] | None = DEVICES
    """Names of the devices; None where the file names none, then one device is right."""
    runs: tuple[int, ...] = ()
    """Reads that start a run beside the first, if the file has gaps or restarts."""
    lost: tuple[int, ...] = ()
    """Reads of the first device that are not there."""
    refused: tuple[str, ...] = ()
    """Words of the right refusal: what is missing, and the option that gives it."""
    close: float = 1e-6
    """Relative error that the file's digits allow."""

    @property
    def content(self) -> bytes:
        return self.text.encode(self.encoding)


Row = tuple[int, int, int, float]


def rows(count: int = 3) -> list[Row]:
    """(device, pulse, sign, conductance in uS) of every read; the sign is 0 before any pulse."""
    return [
        (d, k, sign, value)
        for d in range(count)
        for k, (sign, value) in enumerate(zip([0, *SEQUENCE], conductance(d), strict=True))
    ]


def lines(write: Callable[[int, int, int, float], str], count: int = 3, end: str = "\n") -> str:
    """One line a read."""
    return end.join(write(*row) for row in rows(count)) + end


def word(sign: int, up: str = "SET", down: str = "RESET", none: str = "") -> str:
    return {1: up, -1: down, 0: none}[sign]


def volt(sign: int, up: str = "1.5", down: str = "-1.2", none: str = "0") -> str:
    return word(sign, up, down, none)


def comma(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}".replace(".", ",")


def wide(write: Callable[[int, int, list[float]], str]) -> str:
    """One line a pulse, all devices beside each other."""
    columns = [conductance(d) for d in range(3)]
    return "".join(write(k, s, [c[k] for c in columns]) + "\n" for k, s in enumerate([0, *SEQUENCE]))


CONDUCTANCES = "Device,Pulse,Polarity,G (uS)\n" + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g}")
"""The plainest form."""
FORMS: list[Form] = []


def form(name: str, text: str, **more: Any) -> None:
    FORMS.append(Form(name, text, **more))


# Instruments

form(
    "Keithley 4200 Clarius, user module sheet saved as CSV: no device, read voltage and current beside each other",
    "PulseNum,PulseV,ReadV,ReadI,ReadStatus\n"
    + lines(lambda d, k, s, g: f"{k},{volt(s)},1.00000E-1,{g * 1e-7:.8E},0", 1),
    devices=None,
)
form(
    "Keithley 4200 KITE, tabs, the settings below the data",
    "Pulse_Number\tV_pulse(V)\tV_read(V)\tI_read(A)\n"
    + lines(lambda d, k, s, g: f"{k}\t{volt(s)}\t0.1\t{g * 1e-7:.8E}", 1)
    + "\n===================================\nTest Name\tpulse_train#1@1\nMode\tSampling\nSpeed\tNormal\n"
    "Hold Time\t1\nLast Executed\t05/12/2023 13:45:10\n",
    file="pulse_train#1@1.txt",
    devices=None,
)
form(
    "Keithley 2450 buffer: units in columns of their own, names twice, a header block",
    "2450 SourceMeter\nModel,2450\nSerial Number,04012345\nFirmware Version,1.7.3d\nBuffer Name,defbuffer1\n\n"
    "Index,Reading,Unit,Range Digits,Disp Digits,Math,Relative Time,Terminal,Value,Unit,Output,Sense,Source Limit\n"
    + "".join(
        f"{k},{g * 1e-7:.8E},Amp DC,8,5,F,{t:.6f},F,1.000000E-01,Volt DC,T,T,F\n"
        for k, (t, g) in enumerate(zip(DRIFT_TIMES, drifted(0), strict=True), start=1)
    ),
    kind="drift",
    options={"columns": {"current_A": "Reading", "time_s": "Relative Time"}, "read_voltage_V": 0.1},
    devices=None,
)
form(
    "Keithley 2400 text of :READ? with an overflow of 9.9e37",
    "VOLT (V),CURR (A),RES (Ohm),TIME (s),STAT,Pulse,V_pulse (V)\n"
    + lines(
        lambda d, k, s, g: (
            f"+1.000000E-01,{f'+{g * 1e-7:.8E}' if k != 5 else '+9.900000E+37'},+9.910000E+37,+{k * 0.5:.6E},"
            f"+2.150800E+04,{k},{volt(s)}"
        ),
        1,
    ),
    options={"columns": {"read_voltage": "VOLT (V)", "current": "CURR (A)"}},
    devices=None,
    lost=(5,),
    runs=(6,),
)
form(
    "B1500 EasyEXPERT CSV",
    "SetupTitle, LTP_LTD\nPrimitiveTest, I/V-t Sampling\nTestParameter, Channel.UnitType, SMU, SMU\n"
    "TestParameter, Channel.Unit, SMU1:HR, SMU2:HR\nTestParameter, Measurement.Port.SamplingInterval, 0.01\n"
    "MetaData, TestRecord.RecordTime, 05/12/2023 13:45:10\nAnalysisSetup, Analysis.Setup.Vector.List, Gread\n"
    "Dimension1, 25, 25, 25, 25\nDimension2, 1, 1, 1, 1\nDataName, Pulse, Vpulse, Vread, Iread\n"
    + lines(lambda d, k, s, g: f"DataValue, {k}, {volt(s)}, 0.2, {g * 2e-7:.8E}", 1),
    devices=None,
)
form(
    "B1530A WGFMU program: tab header block, comma data",
    "Setup title\tpotentiation_depression\ntest date\t19.09.2024\ntest time\t14:20:07\nDevice ID\tLBE247\nCount\t1\n"
    "Measurement parameters\ngroundWGFMU,pulseWGFMU,voltage,riseTime,pulseWidth\nSMU2,WGFMU1,1.5,2e-8,1e-6\n"
    "pulse number,pulse amplitude (V),read resistance (Ohm)\n"
    + lines(lambda d, k, s, g: f"{k},{volt(s)},{1e6 / g:.4f}", 1),
    devices=None,
)
form(
    "ArC ONE: word and bit line, resistance, amplitude, a read voltage",
    "Wed May 24 10:11:12 2017\n"
    "Wordline,Bitline,Resistance,Amplitude (V),Pulse width (s),Tag,ReadTag,ReadVoltage\n"
    + lines(lambda d, k, s, g: f"{d + 1},5,{1e6 / g:.6f},{volt(s)},1e-06,P,R2,0.2"),
    devices=("1,5", "2,5", "3,5"),
    options={"columns": {"resistance_ohm": "Resistance"}},
)
form(
    "Radiant Vision text: a polarization loop holds no conductance",
    "Radiant Technologies\nHysteresis Task\nSample Name:\tHZO_12\nPoint\tTime (ms)\tDrive Voltage\tMeasured Polarization\n"
    + "".join(
        f"{k}\t{k * 0.1:.3f}\t{3 * math.sin(k / 8):.4f}\t{20 * math.sin(k / 8 - 0.4):.5f}\n"
        for k in range(51)
    ),
    file="loop.txt",
    refused=("conductance", "--column conductance="),
)
form(
    "Tektronix oscilloscope CSV: a waveform holds no pulses",
    "Record Length,2.500000e+03,,-0.000500000000,  0.04000,\nSample Interval,4.000000e-07,,-0.000499600000,  0.04000,\n"
    "Trigger Point,1.250000000000e+03,,-0.000499200000,  0.08000,\n,,,-0.000498800000,  0.04000,\n"
    "Source,CH1,,-0.000498400000,  0.04000,\nVertical Units,V,,-0.000498000000,  0.04000,\n"
    "Vertical Scale,1.000000e+00,,-0.000497600000,  0.08000,\n"
    + "".join(f",,,{-0.0004972 + 4e-7 * k:.12f},  {0.04 * (k % 3):.5f},\n" for k in range(40)),
    file="F0001CH1.CSV",
    refused=("conductance", "--column"),
)
form(
    "Rigol and Siglent scope: header of two rows",
    "X,CH1,CH2\nSecond,Volt,Volt\n"
    + "".join(f"{k * 1e-6:.6e},{0.1 * (k % 5):.2e},{0.2:.2e}\n" for k in range(40)),
    refused=("X, CH1, CH2", "--column"),
)
form(
    "I-V sweep: voltage and current alone are no pulse data",
    "Voltage (V),Current (A)\n"
    + "".join(f"{v / 10:.1f},{2e-5 * v / 10:.4e}\n" for v in [*range(1, 16), *range(14, 0, -1)]),
    refused=("polarity", "--column"),
)
form(
    "LabVIEW: header block closed by a line of stars, a comma at the end of every line, NaN where a read failed",
    "LabVIEW Measurement\t\nWriter_Version\t2\nOperator\tlab\nDate\t2023/05/12\n***End_of_Header***\t\n"
    "Device\tPulse No.\tPolarity\tConductance (µS)\tComment\n"
    + lines(
        lambda d, k, s, g: f"{DEVICES[d]}\t{k}\t{word(s)}\t{'NaN' if (d, k) == (0, 7) else f'{g:.4f}'}\t"
    ),
    lost=(7,),
    runs=(8,),
)

# Spreadsheets and plot programs

form(
    "Origin, long names, units and comments in three rows",
    "Device\tPulse\tPulse Voltage\tConductance\n\t\tV\tnS\n\t\t\tread at 0.1 V\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]}\t{k}\t{volt(s)}\t{g * 1e3:.1f}"),
    file="Book1.txt",
)
form(
    "German Excel: semicolons, decimal commas, Latin-1",
    "Device;Pulse;Polarity;Conductance (µS)\r\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]};{k};{word(s)};{comma(g)}", end="\r\n"),
    encoding="latin-1",
)
form(
    "German Excel with German names, which have to be told",
    "Bauteil;Pulsnummer;Richtung;Leitwert (µS)\r\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]};{k};{word(s)};{comma(g)}", end="\r\n"),
    encoding="cp1252",
    options={
        "columns": {
            "device": "Bauteil", "pulse": "Pulsnummer", "polarity": "Richtung", "conductance": "Leitwert (µS)",
        }
    },
)  # fmt: skip
form(
    "German names, not told",
    "Bauteil;Pulsnummer;Richtung;Leitwert (µS)\r\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]};{k};{word(s)};{comma(g)}", end="\r\n"),
    encoding="cp1252",
    refused=("Richtung", "--column polarity="),
)
form(
    "Excel 'Unicode text': UTF-16 with a byte order mark and tabs",
    "Device\tPulse #\tPolarity\tG [µS]\r\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]}\t{k}\t{word(s)}\t{g:.4f}", end="\r\n"),
    encoding="utf-16",
)
form(
    "Excel CSV UTF-8 with a byte order mark and a line that says sep=;",
    "sep=;\ndevice;pulse;polarity;conductance_uS\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]};{k};{word(s)};{comma(g)}"),
    encoding="utf-8-sig",
)
form(
    "Commas between cells, decimal commas in quotes",
    "device,pulse,polarity,conductance_uS\n"
    + lines(lambda d, k, s, g: f'{DEVICES[d]},{k},{word(s)},"{comma(g)}"'),
)
form(
    "Thousands or decimals: nobody can tell",
    "device,pulse,polarity,resistance_ohm\n"
    + lines(lambda d, k, s, g: f'{DEVICES[d]},{k},{word(s)},"{round(1e6 / g):,}"'),
    refused=("line 2", "resistance_ohm", "thousands"),
)
form(
    "A units row under the header, a read voltage to be told",
    "Device,Pulse,Vpulse,Current\n,,V,uA\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{volt(s)},{g * 0.2:.6f}"),
    options={"read_voltage_V": 0.2},
)
form(
    "pandas: an index column without a name",
    ",device,pulse,polarity,conductance_uS\n"
    + "".join(f"{n},{DEVICES[d]},{k},{word(s)},{g}\n" for n, (d, k, s, g) in enumerate(rows())),
)
form(
    "numpy.savetxt: spaces, the header behind a hash, siemens",
    "# pulse polarity conductance(S)\n" + lines(lambda d, k, s, g: f"{k:6d} {s:3d} {g * 1e-6:.6e}", 1),
    file="data.txt",
    devices=None,
    close=1e-5,
)
form(
    "MATLAB writetable: names without blanks, percent comments",
    "% exported by writetable\nDeviceID,PulseIdx,PulseType,Gread_S\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s, 'LTP', 'LTD', 'none')},{g * 1e-6:.10g}"),
)
