"""Data sets from tables: a column of labels, all others features or pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.core.errors import DataError, UnknownNameError
from neurosim.data.own_arrays import Found

if TYPE_CHECKING:
    from pandas import DataFrame

LABELS = ("label", "class", "y")


def read_table(path: Path, label: str | int | None = None) -> Found:
    """Return features (n, columns) and labels (n,) of a .csv or .tsv file.

    Parameters
    ----------
    path : Path
    label : str or int, optional
        Column of the labels, by name or number from 0. None: the one called label, class or y, else the last.

    Raises
    ------
    DataError
        If the file cannot be read, a feature is no number or missing, or there is no such column.
    """
    import pandas

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        table = pandas.read_csv(path, sep=separator)
        named = _numbered(list(table.columns))
        headless = bool(named) and not _count(named)
        if headless:
            table = pandas.read_csv(path, sep=separator, header=None)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a table ({' '.join(str(error).split())})") from None
    notes = ["no line of column names"] if headless else []
    if named and not headless:
        notes.append(f"first line ({', '.join(map(str, table.columns[:3]))}, ...) taken for column names")
    table.columns = table.columns.map(str)
    if table.shape[0] == 0 or table.shape[1] < 2:
        raise DataError(
            f"{path}: {table.shape[0]} lines of {table.shape[1]} columns; it takes samples, features and labels"
        )
    table, counted = _without_counter(table)
    notes += counted
    column, how = _label_column(table, label, path)
    notes.append(how)
    features = table.drop(columns=column)
    _refuse_gaps(features, path)
    return Found((features.to_numpy(np.float64), _labels(table[column], path, column)), None, notes)


def _numbered(names: list[Any]) -> dict[int, str]:
    """Columns whose name is a number; pandas tells equal ones apart by ".1", ".2"."""

    def is_number(text: str) -> bool:
        try:
            float(text)
        except ValueError:
            return text.count(".") > 1 and is_number(text.rpartition(".")[0])
        return True

    return {place: name for place, name in enumerate(map(str, names)) if is_number(name)}


def _count(numbers: dict[int, str]) -> bool:
    """Whether these names count the columns, from 0 or 1, or from an index on."""
    return any(all(name == str(place + first) for place, name in numbers.items()) for first in (-1, 0, 1))


def _without_counter(table: DataFrame) -> tuple[DataFrame, list[str]]:
    """Leave out a first column without a name that counts the lines: an index that was written along."""
    first = table.columns[0]
    if first.startswith("Unnamed: ") and list(table[first]) == list(range(len(table))):
        return table.drop(columns=first), ["first column left out: it counts the lines"]
    return table, []


def _label_column(table: DataFrame, label: str | int | None, path: Path) -> tuple[str, str]:
    """Return the column of the labels, and which it is in words."""
    names = list(table.columns)
    if isinstance(label, int) and str(label) not in names:
        if not -len(names) <= label < len(names):
            raise DataError(f"{path}: label = {label}: it has {len(names)} columns, numbered from 0")
        label = names[label]
    if label is not None:
        if str(label) not in names:
            raise DataError(f"{path}: {UnknownNameError('column', str(label), names)}")
        return str(label), f"labels from column '{label}'"
    for known in LABELS:
        for name in names:
            if name.strip().lower() == known:
                return name, f"labels from column '{name}'"
    return (
        names[-1],
        f"labels from the last column, '{names[-1]}', for none is called {', '.join(LABELS[:-1])} or {LABELS[-1]}",
    )


def _refuse_gaps(features: DataFrame, path: Path) -> None:
    words = [name for name in features.columns if features[name].dtype.kind not in "biuf"]
    if words:
        example = features[words[0]].iloc[0]
        raise DataError(
            f"{path}: column '{words[0]}' holds {example!r}, no numbers ({len(words)} such columns); leave them out, or "
            "write them as numbers"
        )
    gaps = features.isna()
    if gaps.to_numpy().any():
        name = gaps.any().idxmax()
        sample = int(gaps[name].to_numpy().argmax()) + 1
        raise DataError(
            f"{path}: {int(gaps.to_numpy().sum()):,} values are missing, the first of column '{name}' in sample {sample}; "
            "fill them in or leave these samples out"
        )


def _labels(column: Any, path: Path, name: str) -> Any:
    missing = int(column.isna().sum())
    if missing:
        raise DataError(f"{path}: {missing:,} labels are missing in column '{name}'; leave these lines out")
    return column.to_numpy() if column.dtype.kind in "biuf" else column.astype(str).to_numpy(dtype=str)
