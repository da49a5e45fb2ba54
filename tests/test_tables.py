"""Rows of a sweep as files for other programs: CSV, Parquet, or a refusal before any work."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas
import pytest
from typer.testing import CliRunner

from neurosim import to_pandas
from neurosim.cli import app
from neurosim.core.errors import ConfigError, OutputError
from neurosim.study import tables
from neurosim.study.tables import expect_table, write_table

ROWS = [
    {"read.read_noise": level, "arm": "a, b", "seed": seed, "accuracy": 0.9, "counts": {"pulses": 7 * seed}}
    for level in (0.0, 0.1)
    for seed in (0, 1)
]
RESULTS: dict[str, Any] = {"rows": ROWS}


def test_a_line_is_a_point_arm_and_seed(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    write_table(RESULTS, file)
    pandas.testing.assert_frame_equal(pandas.read_csv(file), to_pandas(RESULTS))
    assert list(pandas.read_csv(file)["pulses"]) == [0, 7, 0, 7]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_holds_the_same(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    write_table(RESULTS, file)
    pandas.testing.assert_frame_equal(pandas.read_parquet(file), to_pandas(RESULTS))


def test_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.csv or \.parquet"):
        expect_table(tmp_path / "rows.xlsx")
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install pyarrow, or choose rows\.csv"):
        expect_table(tmp_path / "rows.parquet")
    with pytest.raises(OutputError, match="--table"):
        expect_table(tmp_path / "missing" / "rows.csv")


def test_the_command_refuses_before_any_work_and_writes(tmp_path: Path) -> None:
    file, out = tmp_path / "e.toml", tmp_path / "o"
    file.write_text(
        'dataset = "digits"\nneurons = 6\ntrain_images = 64\ntest_images = 20\nreadout_epochs = 1\ncurve_points = 0\n',
        encoding="utf-8",
    )
    words = ["sweep", str(file), "--out", str(out), "--axis", "batch=16,32", "--table"]
    assert CliRunner().invoke(app, [*words, str(tmp_path / "rows.txt")]).exit_code != 0
    assert not list(out.glob("blocks/*"))
    done = CliRunner().invoke(app, [*words, str(out / "rows.csv")])
    assert done.exit_code == 0, done.output
    kept = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
    pandas.testing.assert_frame_equal(pandas.read_csv(out / "rows.csv"), to_pandas(kept), check_dtype=False)
