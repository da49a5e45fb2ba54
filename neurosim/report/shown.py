"""Tables and figures as terminals, notebooks and data frames take them."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from neurosim.core.plain import printable
from neurosim.report.html import address
from neurosim.report.page import as_text

if TYPE_CHECKING:
    from pandas import DataFrame

WIDTH = 160
"""Characters of a line of a table."""


class Tables(tuple[Table, ...]):
    """Tables as the terminal prints them; a notebook shows them as its own."""

    __slots__ = ()

    def __str__(self) -> str:
        console = Console(
            file=StringIO(), width=WIDTH, markup=False, emoji=False, highlight=False, force_jupyter=False
        )
        console.print(*self)
        shown: Any = console.file
        lines = printable(shown.getvalue()).splitlines()
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def __rich__(self) -> Any:
        """For `rich.print`."""
        from rich.console import Group

        return Group(*self)

    def _repr_html_(self) -> str:
        return "".join(map(_html, self))

    def to_pandas(self) -> list[DataFrame]:
        """Return each table as a data frame of text."""
        import pandas

        sheets = map(as_text, self)
        return [pandas.DataFrame(sheet.rows, columns=sheet.headings) for sheet in sheets]


class Figures(dict[str, Figure]):
    """Figures by name; a notebook shows them one below the other."""

    def __repr__(self) -> str:
        return f"Figures({', '.join(self)})"

    def _repr_html_(self) -> str:
        return "".join(f'<img src="{address(figure)}" alt="{escape(name)}">' for name, figure in self.items())


def _html(one: Table) -> str:
    sheet = as_text(one)
    heads = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows)
    return (
        f"<table><caption>{escape(sheet.title)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p><small>{escape(sheet.caption)}</small></p>"
    )
