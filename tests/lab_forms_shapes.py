"""Wide and long files, units, missing and doubtful values, drift and programming; see `lab_forms`."""

from __future__ import annotations

import math

from lab_forms import (
    DEVICES,
    DRIFT_TIMES,
    comma,
    conductance,
    drifted,
    form,
    lines,
    programmed,
    rows,
    volt,
    wide,
    word,
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
form(
    "Keithley 4200A: a letter of status, C in compliance, T another channel, V overflow",
    "Device\tPulse\tPolarity\tReadI\tReadV\tReadStatus\n"
    + lines(
        lambda d, k, s, g: (
            f"{DEVICES[d]}\t{k}\t{word(s)}\t{9.9e37 if (d, k) == (0, 3) else g * 1e-7:.8E}\t0.1\t"
            f"{'V' if (d, k) == (0, 3) else 'T' if k == 5 else 'N'}"
        )
    ),
    lost=(3,),
    runs=(4,),
)
form(
    "Codes of status that no column explains: read, and said not to be used",
    "device,pulse,polarity,conductance_uS,Status\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g:.4f},{0x10000 if k == 4 else 4}"),
)
form(
    "A setting of compliance in ampere beside the data, no flag",
    "device,pulse,polarity,conductance_uS,Compliance (A)\n"
    + lines(lambda d, k, s, g: f"{DEVICES[d]},{k},{word(s)},{g:.4f},1.00E-03"),
)
