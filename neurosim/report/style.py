"""One look for all figures: colours, type, and turning a figure into SVG or PNG without pyplot."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurosim.report.text import one_line
from neurosim.study.arm import IDEAL

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
"""Okabe and Ito's colours, their yellow and black replaced by Tol's wine and olive."""
IDEAL_COLOUR = "#000000"
INK = "#222222"
MARKERS = "osv^Dp<>*hXPd"
WIDTH_IN = 9.6
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "svg.hashsalt": "neurosim",
}
P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the report's style whatever the user's matplotlib settings are."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return in_style


class Picture(Figure):
    """A figure that a notebook shows although pyplot was never used in it."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def new_figure(
    height_in: float, width_in: float = WIDTH_IN, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure that belongs to no window."""
    figure = Picture(figsize=(width_in, height_in), layout=layout)
    FigureCanvasAgg(figure)
    return figure


@styled
def to_svg(figure: Figure) -> bytes:
    """Return the figure as SVG, the same bytes for the same figure."""
    return _saved(figure, "svg", metadata={"Date": None, "Creator": None})


@styled
def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return the figure as PNG."""
    return _saved(figure, "png", dpi=dpi)


@styled
def to_pdf(figure: Figure) -> bytes:
    """Return the figure as PDF, the same bytes for the same figure."""
    return _saved(figure, "pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


SAVERS: dict[str, Callable[[Figure], bytes]] = {".svg": to_svg, ".png": to_png, ".pdf": to_pdf}
"""How a figure becomes a file, by the ending of the file's name."""


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, **options)
    return stream.getvalue()


def colours(arms: Sequence[str]) -> dict[str, str]:
    """Return a colour for every arm, black for ideal; after eight devices they come round again."""
    devices = [arm for arm in arms if arm != IDEAL]
    chosen = {arm: PALETTE[k % len(PALETTE)] for k, arm in enumerate(devices)}
    return {arm: chosen.get(arm, IDEAL_COLOUR) for arm in arms}


def dashes(arms: Sequence[str]) -> dict[str, str]:
    """Return a line style for every arm: solid, and others for those whose `colours` come round again."""
    devices = [arm for arm in arms if arm != IDEAL]
    styles = ("-", "--", ":", "-.")
    chosen = {arm: styles[k // len(PALETTE) % len(styles)] for k, arm in enumerate(devices)}
    return {arm: chosen.get(arm, "-") for arm in arms}


def whiskers(shares: Sequence[float], intervals: Sequence[tuple[float, float] | None]) -> NDArray[np.float64]:
    """Return how far bars of error reach below and above (2, n) means, in per cent; nowhere where there is no interval."""
    known = [(mean, mean) if ends is None else ends for mean, ends in zip(shares, intervals, strict=True)]
    means, ends = 100 * np.array(shares, np.float64), 100 * np.array(known, np.float64).T
    found: NDArray[np.float64] = np.maximum(0.0, [means - ends[0], ends[1] - means])
    return found


def tint(colour: str, strength: float = 0.5) -> tuple[float, float, float]:
    """Return a colour mixed with white."""
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def label(name: str, longest: int = 46) -> str:
    """Return a name as matplotlib shows it literally: one line, not too long, no mathematics."""
    return one_line(name, longest).replace("$", r"\$")


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a chart of horizontal bars, the first on top."""
    axes.set_yticks(np.arange(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def write_beside(axes: Axes, texts: Sequence[str]) -> None:
    """Write one text to the right of each row."""
    for row, text in enumerate(texts):
        axes.annotate(
            text, (1, row), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", ha="left", fontsize=8.5,
        )  # fmt: skip


def row_height(rows: int) -> float:
    """Height in inches of a chart of so many horizontal bars, with its title, axis and legend."""
    return 1.35 + 0.34 * rows
