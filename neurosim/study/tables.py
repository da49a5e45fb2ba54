"""The rows of a sweep as a file for other programs: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from neurosim.core.errors import ConfigError
from neurosim.study.store import expect_file, whole_file
from neurosim.study.swept import to_pandas

WRITERS = {".csv": "to_csv", ".parquet": "to_parquet"}
"""How a table of pandas is written, by the ending of the file's name."""


def expect_table(path: Path) -> Path:
    """Refuse before any work a file that `write_table` could not write.

    Raises
    ------
    ConfigError
        If its ending is not one of `WRITERS`, or what Parquet needs is not installed; says what to do.
    OutputError
        If it cannot be written there.
    """
    if path.suffix not in WRITERS:
        raise ConfigError(f"--table {path}: must end in {' or '.join(WRITERS)}")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ConfigError(
            f"--table {path}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or choose "
            f"{path.with_suffix('.csv').name}"
        )
    return expect_file(path, "--table")


def write_table(results: dict[str, Any], path: Path) -> None:
    """Write one line a point, arm and seed, counts as columns of their own, as a whole file.

    Parameters
    ----------
    results : dict
        Of a sweep (`neurosim.study.swept.sweep`).
    path : Path
        Ends in .csv or .parquet.

    Raises
    ------
    ConfigError, OutputError
        As `expect_table`.
    """
    frame = to_pandas(results)
    with whole_file(expect_table(path)) as stream:
        getattr(frame, WRITERS[path.suffix])(stream, index=False)
