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

# Shapes

form(
    "One column a device, polarity beside",
    "Pulse,Polarity,D1 (µS),D2 (µS),D3 (µS)\n"
    + wide(lambda k, s, g: f"{k},{word(s)}," + ",".join(f"{v:.4f}" for v in g)),
    devices=("D1", "D2", "D3"),
)
form(
    "One column a device, resistances in kilohm, polarity by pulse voltage",
    "Pulse number;V_pulse (V);R1 (kΩ);R2 (kΩ);R3 (kΩ)\n"
    + wide(lambda k, s, g: f"{k};{volt(s, '1,5', '-1,2')};" + ";".join(comma(1e3 / v, 6) for v in g)),
    devices=("R1", "R2", "R3"),
)
form(
    "One column a ramp, potentiation and depression beside each other",
    "Pulse,LTP 1 (µS),LTD 1 (µS)\n"
    + "".join(f"{k},{conductance(0)[k]:.4f},{conductance(0)[12 + k]:.4f}\n" for k in range(13)),
    devices=None,
    runs=(13,),
)
form(
    "One column a ramp, devices named, the shorter ramp ends in empty cells",
    "d1 SET [uS],d1 RESET [uS],d2 SET [uS],d2 RESET [uS],d3 SET [uS],d3 RESET [uS]\n"
    + "".join(
        ",".join(f"{conductance(d)[o + k]:.4f}" for d in range(3) for o in (0, 12)) + "\n" for k in range(13)
    )
    + ",,,,,\n",
    runs=(13,),
)
form(
    "A cycle column, pulse numbers that restart, polarity by name",
    "Cycle,Pulse #,Pulse type,G [µS]\n"
    + lines(
        lambda d, k, s, g: (
            f"{1 if k <= 12 else 2},{k if k <= 12 else k - 12},{word(s, 'potentiation', 'depression')},{g:.4f}"
        ),
        1,
    ),
    devices=None,
    runs=(13,),
)
form(
    "No cycle column: pulse numbers restart by themselves",
    "pulse,V_write (V),conductance (S)\n"
    + lines(lambda d, k, s, g: f"{k if k <= 12 else k - 12},{volt(s)},{g * 1e-6:.10e}", 1),
    devices=None,
    runs=(13,),
)

# Values

form(
    "Resistance in kilohm",
    "device,pulse,polarity,R (kΩ)\n" + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{1e3 / g:.6f}"),
)
form(
    "Logarithms of the conductance",
    "device,pulse,polarity,log10(G/S)\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{math.log10(g * 1e-6):.6f}"),
    refused=("log10(G/S)", "logarithm"),
)
form(
    "Negative read voltage, negative currents",
    "device,pulse,V_pulse,I [uA],Vread (mV)\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{volt(s)},{-g * 0.1:.6f},-100"),
)
form(
    "Negative currents and a read voltage of the wrong sign",
    "device,pulse,polarity,I [uA]\n" + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{-g * 0.1:.6f}"),
    options={"read_voltage_V": 0.1},
    refused=("line 2", "I [uA]", "--read-voltage -0.1"),
)
form(
    "Currents without any read voltage",
    "device,pulse,polarity,Current (nA)\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g * 100:.4f}"),
    refused=("Current (nA)", "--read-voltage"),
)
form(
    "No polarity",
    "device,pulse,Conductance (µS)\n" + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{g:.4f}"),
    refused=("polarity", "--column polarity="),
)
form(
    "A conductance without a unit",
    "device,pulse,polarity,Conductance\n" + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g:.4f}"),
    refused=("Conductance", "unit", "--column conductance_uS="),
)
form(
    "Compliance flags beside the data, overflow of a B1500",
    "Device,Pulse,Polarity,I (A),Vread (V),Compliance\n"
    + lines(
        lambda d, k, s, g: (
            f"{DEVICES[d]},{k},{word(s)},{'1.99999E+100' if (d, k) == (0, 3) else f'{g * 2e-7:.8E}'},0.2,"
            f"{'C' if (d, k) == (0, 3) else 'N'}"
        )
    ),
    lost=(3,),
    runs=(4,),
)
form(
    "Rows saved twice",
    "device,pulse,polarity,conductance_uS\n"
    + "".join(f"{DEVICES[d]},{k},{word(s)},{g:.4f}\n" * (2 if k in (4, 20) else 1) for d, k, s, g in rows()),
)
form(
    "One pulse with two different reads",
    "device,pulse,polarity,conductance_uS\n"
    + "".join(
        f"{DEVICES[d]},{k},{word(s)},{g:.4f}\n"
        + (f"{DEVICES[d]},{k},{word(s)},{g + 1:.4f}\n" if (d, k) == (1, 4) else "")
        for d, k, s, g in rows()
    ),
    refused=("line 32", "pulse", "d2"),
)
form(
    "Blank lines, comments behind the values, an end mark",
    "# wafer 7, read at 0.1 V\n\ndevice, pulse, polarity, conductance_uS\n\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]}, {k}, {word(s)}, {g:.4f}" + ("   # check" if k == 9 else ""))
    + "\n\nEND\n",
)
form(
    "Time stamps beside the pulses do not make drift of them",
    "Timestamp,Device,Pulse,Polarity,Conductance (µS),Temperature (°C)\n"
    + lines(lambda d, k, s, g: f"2023-05-12 13:{d:02d}:{k:02d}.125,{DEVICES[d]},{k},{word(s)},{g:.4f},25.1"),
)
form(
    "A gap in the pulse numbers",
    "device,pulse,polarity,conductance_uS\n"
    + "".join(f"{DEVICES[d]},{k},{word(s)},{g:.4f}\n" for d, k, s, g in rows() if (d, k) != (0, 6)),
    lost=(6,),
    runs=(7,),
)
form(
    "Pulses all positive with two amplitudes, as for phase-change memory",
    "device,pulse,V_pulse (V),conductance_uS\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{volt(s, '0.8', '2.5')},{g:.4f}"),
    refused=("V_pulse (V)", "--column polarity="),
)

# Drift and programming

form(
    "Drift in minutes",
    "Device,Time (min),Conductance (µS)\n"
    + "".join(
        f"{DEVICES[d]},{t / 60:.8f},{g}\n"
        for d in range(3)
        for t, g in zip(DRIFT_TIMES, drifted(d), strict=True)
    ),
    kind="drift",
)
form(
    "Drift in milliseconds, one column a device, in nanosiemens",
    "t [ms]\td1 [nS]\td2 [nS]\td3 [nS]\n"
    + "".join(
        f"{t * 1e3:.0f}\t" + "\t".join(f"{drifted(d)[j] * 1e3:.1f}" for d in range(3)) + "\n"
        for j, t in enumerate(DRIFT_TIMES)
    ),
    kind="drift",
)
form(
    "Programming error, units in brackets",
    "Cell,G_target [µS],G_read [µS]\n" + "".join(f"c{k},{t},{g}\n" for k, (t, g) in enumerate(programmed())),
    kind="programming",
)

# After files in public repositories of measurements, with the values of this file

PUBLIC = len(FORMS)
"""Forms from here on follow files that others published."""

form(
    "After public pulse data: no header, read voltage, pulse, current twice; columns by number, no polarity",
    lines(lambda d, k, s, g: f"0.3\t{k}\t{g * 0.3e-6:.6E}\t{g * 0.3e-6:.6E}", 1),
    file="Sp1V_RSm2V_R300mV_processed.txt",
    options={"columns": {"read_voltage_V": "1", "pulse": "2", "current_A": "3"}},
    refused=("polarity", "--column polarity="),
)
form(
    "After public pulse data: no header, columns by number, pulse voltage beside",
    lines(lambda d, k, s, g: f"0.3\t{k}\t{volt(s, '1', '-2')}\t{g * 0.3e-6:.10E}", 1),
    file="pulses_R300mV.txt",
    options={"columns": {"read_voltage_V": "1", "pulse": "2", "pulse_voltage": "3", "current_A": "4"}},
    devices=None,
)
form(
    "After public pulse data: a row of amplitudes above the header, one name for all columns",
    "--\t1 V\t0.9 V\t0.8 V\npulse number\tResistance (Ohm)\tResistance (Ohm)\tResistance (Ohm)\n"
    + wide(lambda k, s, g: f"{k}\t" + "\t".join(f"{1e6 / v:.5E}" for v in g)),
    file="m4V_10x_positive_pulse_measure_resistance.txt",
    refused=("polarity", "--column polarity="),
)
form(
    "After a public I-V sweep: V1, I1, absI",
    "V1,I1,absI\n"
    + "".join(f"{v / 50:g},{2e-4 * v / 50:g},{abs(2e-4 * v / 50):g}\n" for v in range(50, -61, -1)),
    file="DG01_1D I_V Sweep_p1V_m1.2V_0.01V_steps 2_3_2022 3_44_06 PM 3.csv",
    refused=("V1, I1, absI", "--column"),
)
form(
    "After a public waveform: header of numbers, a units row",
    "x-axis,1,2\nsecond,Volt,Volt\n"
    + "".join(
        f"{-4 + 5e-4 * k:.7E},{-0.0115 + 1e-4 * (k % 9):.4E},{1e-4 * (k % 7):.4E}\n" for k in range(60)
    ),
    file="long_meas_0.csv",
    refused=("conductance", "--column"),
)
form(
    "After a public list of addresses, voltages and resistances in a file named set",
    "".join(
        f"{31 + k:.3f}\t0.{5 + k % 4}00\t2.{k % 5}00\t{9000 + 137 * k:.3f}\t0.000\t1.000\n" for k in range(40)
    ),
    file="set.csv",
    refused=("column 1", "unit"),
)
form(
    "After public retention data: header behind a hash, the first read at zero",
    "# resistance (ohms),time (s),res min,res_max\n"
    + "".join(
        f"{1e6 / g:.18e},{t:.18e},8.08e6,8.16e6\n"
        for t, g in zip((0.0, *DRIFT_TIMES[1:]), drifted(0), strict=True)
    ),
    refused=("line 2", "time", "above zero"),
)
form(
    "After public LTP and LTD data in one file: no unit of conductance",
    "Time[ns]_LTP\tConductance_LTP\tTime[ns]_LTD\tConductance_LTD\n"
    + "".join(
        f"{k}\t{conductance(0)[k] * 1e-6:.6E}\t{k}\t{conductance(0)[12 + k] * 1e-6:.6E}\n" for k in range(13)
    ),
    file="raw_test.tsv",
    refused=("Conductance_LTP", "unit", '--column conductance_S="Conductance_LTP"'),
)
form(
    "After public LTP and LTD data in one file, the unit told",
    "Time[ns]_LTP\tConductance_LTP\tTime[ns]_LTD\tConductance_LTD\n"
    + "".join(
        f"{k}\t{conductance(0)[k] * 1e-6:.10E}\t{k}\t{conductance(0)[12 + k] * 1e-6:.10E}\n"
        for k in range(13)
    ),
    file="raw_test.tsv",
    options={"columns": {"conductance_S": ["Conductance_LTP", "Conductance_LTD"]}},
    devices=None,
    runs=(13,),
)
form(
    "After a public LTP file: time and conductance, the file's name says LTP",
    "Time[ns]\tConductance\n"
    + "".join(f"{k}\t{v * 1e-6:.10E}\n" for k, v in enumerate(conductance(0, [1] * 24))),
    file="LTP_raw_test.tsv",
    options={"columns": {"conductance_S": "Conductance"}},
    kind="potentiation",
    devices=None,
)
form(
    "After a public table of steps, which are no conductances",
    "up_pulse,down_pulse\n" + "".join(f"{k / 1000},{(25 - k) / 1000}\n" for k in range(1, 25)),
    file="selfdefine.csv",
    refused=("up_pulse, down_pulse", "--column"),
)
form(
    "After public differences between devices: two columns of signed numbers",
    "".join(f"{-0.84 + 0.01 * k:.5f},{0.77 - 0.01 * k:.5f}\n" for k in range(60)),
    file="gong_et_al.csv",
    refused=("--column",),
)
form(
    "After public endurance data: two rows of names, most columns empty",
    "Cycle,SET_negative#1,SET_negative#1,SET_positive#1,RESET_positive#1,RESET_positive#1\n"
    "Index,ILRS,IHRS,VSET,ILRS,IHRS\n"
    + "".join(f"{k},1.26e-4,1.{k:02d}e-6,,1.25e-4,6.2e-7\n" for k in range(1, 40)),
    file="05 endurance ratio csv.csv",
    refused=("--column",),
)
form(
    "After a public digitised plot: X and Y",
    "# CALIBRATION_METADATA\n# x_min=0.0\n# x_max=100.0\n# px_x_min=143.0,684.0\nX_value,Y_value,Pixel_X,Pixel_Y,Is_Auto\n"
    + "".join(f"{k * 4.1:.6f},{k * 0.3:.6f},{165.6 + k},{664.7 - k},True\n" for k in range(20)),
    file="NonSaturationCurrent.csv",
    refused=("X_value", "--column"),
)
