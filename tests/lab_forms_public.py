"""After files of measurements in public repositories, with the values of `lab_forms`."""

from __future__ import annotations

from lab_forms import DRIFT_TIMES, conductance, drifted, form, lines, volt, wide

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
form(
    "After public pulse data: no header, columns by number, the order of pulses told",
    "".join(f"0.3\t{k}\t{g * 3e-7:.5E}\t{g * 3e-7:.5E}\n" for k, g in enumerate(conductance(0))),
    file="Sp1V_RSm2V_R300mV_processed.txt",
    devices=None,
    options={
        "columns": {"read_voltage_V": "1", "pulse": "2", "current_A": "3", "polarity": "12 SET, 12 RESET"}
    },
    close=1e-4,
)
