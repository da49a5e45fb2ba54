"""A column called cycle that counts pulses, and what is said of a file before it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab_forms import DEVICES, SEQUENCE, conductance, lines, word
from test_cli import neurosim, refused

from neurosim.core.errors import DataError
from neurosim.devices.fitting import Pulses, fit, read_tables


def counted(of: str = "Cycle", first: int = 0, step: int = 1, restart: bool = False) -> str:
    """Three devices whose pulses are counted in a column of that name."""

    def number(k: int) -> int:
        return first + step * (k - 13 if restart and k > 12 else k)

    return f"Device,{of},Polarity,G (uS)\n" + lines(
        lambda d, k, s, g: f"{DEVICES[d]},{number(k)},{word(s)},{g}"
    )


def read(tmp_path: Path, text: str, **options: Any) -> tuple[Pulses, list[str]]:
    file, told = tmp_path / "train.csv", []
    file.write_text(text, encoding="utf-8")
    (table,) = read_tables([file], told=told.append, **options)
    assert isinstance(table, Pulses)
    return table, told


@pytest.mark.parametrize("name", ["Cycle", "cycle no", "Repetition", "Loop #"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_cycle_that_is_another_in_every_row_counts_pulses(tmp_path, name, first):
    table, told = read(tmp_path, counted(name, first))
    for device, trace in enumerate(table.traces):
        assert trace.sign.tolist() == [0, *SEQUENCE]
        assert trace.conductance_uS.tolist() == conductance(device)
    assert f'pulse number "{name}" (another in every row: it counts pulses, not repetitions)' in told[1]
    assert told == list(table.said)


def test_the_count_may_begin_again(tmp_path):
    table, _ = read(tmp_path, counted(first=1, restart=True))
    assert all(trace.sign.tolist() == [0, *[1] * 12, 0, *[-1] * 11] for trace in table.traces)
    table, _ = read(tmp_path, counted().replace(",1,", ",1.0,"))
    assert table.count == 3 * len(SEQUENCE)


def test_a_true_cycle_stays_one_and_is_said_to_be(tmp_path):
    text = "Device,Cycle,Polarity,G (uS)\n" + lines(
        lambda d, k, s, g: f"{DEVICES[d]},{1 + k // 13},{word(s)},{g}"
    )
    table, told = read(tmp_path, text)
    assert all(trace.sign.tolist() == [0, *SEQUENCE[:12], 0, *SEQUENCE[13:]] for trace in table.traces)
    assert 'cycle "Cycle"' in told[1]
    assert "not used" not in told[1]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (counted(), {"cycle": "Cycle"}),
        (counted().replace(",SET", "a,SET").replace(",RESET", "a,RESET"), None),
        ("Cycle,LTP (uS),LTD (uS)\n" + "".join(f"{k},{20 + k},{40 - k}\n" for k in range(12)), None),
    ],
    ids=["told", "words", "ramps"],
)
def test_a_cycle_that_cannot_be_one_is_refused_with_its_name_and_the_remedy(tmp_path, text, columns):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, columns=columns)
    assert "train.csv" in str(caught.value)
    assert '--column pulse="Cycle"' in str(caught.value)
    if columns is None and "LTP" in text:
        found = read_tables([tmp_path / "train.csv"], columns={"pulse": "Cycle"})
        assert isinstance(found[0], Pulses)


def test_numbers_with_gaps_throughout_are_refused_with_the_remedy(tmp_path):
    told: list[str] = []
    (tmp_path / "train.csv").write_text(counted(step=10), encoding="utf-8")
    with pytest.raises(DataError, match=r'each of its 25 rows begins a run.*--column pulse="HEADER"'):
        fit([tmp_path / "train.csv"], told=told.append)
    assert [line.split(":")[0] for line in told] == ["train.csv"] * 3
    assert "it counts pulses" in told[1]


def test_what_was_understood_is_printed_before_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("\n".join(counted().splitlines()[:9]) + "\n", encoding="utf-8")
    found = neurosim("fit", "few.csv", cwd=tmp_path)
    refused(found, "few.csv", "7 pulses of one polarity")
    assert found.stdout.splitlines()[0] == "few.csv: UTF-8, cells apart by commas, header in line 1"
    assert 'pulse number "Cycle"' in found.stdout
    assert "7 rows of SET and 0 of RESET" in found.stdout
    assert not (tmp_path / "few.toml").exists()
    (tmp_path / "wrong.csv").write_text(counted().replace("24,RESET", "24,sideways"), encoding="utf-8")
    found = neurosim("fit", "wrong.csv", cwd=tmp_path)
    refused(found, "wrong.csv line", "sideways")
    first, second = found.stdout.splitlines()
    assert first == "wrong.csv: UTF-8, cells apart by commas, header in line 1"
    assert second.startswith('wrong.csv: device "Device", pulse number "Cycle" (another in every row')
    assert second.endswith('polarity "Polarity", conductance "G (uS)"')
