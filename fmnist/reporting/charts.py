"""One style for all figures, and a figure as the page and the disk want it."""

import html
import io
import re
import sys
import warnings
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullFormatter

from fmnist.process.machine import usable_cores

if TYPE_CHECKING:
    from matplotlib.artist import Artist

INK, MUTED, GRID, PAPER = "#1f2933", "#5d6b7a", "#dfe4ea", "#fefefe"
# Okabe and Ito's colours, which colour-blind people tell apart, in an order of falling contrast.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b8508f", "#b27d00", "#3d93c9", "#6b6b6b")
SEQUENTIAL = "cividis"
# In the page these colours are the style sheet's, so that figures follow light and dark.
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    color: f"series-{index}" for index, color in enumerate(SERIES, 1)
}
HALF = (4.6, 3.2)  # inches; two beside each other on a desktop, one on a phone

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.facecolor": "none",  # the page's ground, light or dark
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "text.parse_math": False,  # names come from configurations: a $ is a $
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "axes.prop_cycle": cycler(color=SERIES),
    "savefig.facecolor": "#ffffff",
    "svg.fonttype": "none",  # text stays text: small, sharp, and found by a search
    "svg.hashsalt": "fmnist",
}


@dataclass(frozen=True)
class Chart:
    """A figure of the report.

    Args:
        name: of its files, without the ending.
        title: a few words.
        caption: what to see in it.
        figure: drawn under `STYLE`.
        wide: needs the page's full width.
        dense: has many small letters: moves sideways on a phone instead of becoming smaller.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    wide: bool = False
    dense: bool = False

    def png(self) -> bytes:
        """The figure as PNG."""
        png = io.BytesIO()
        FigureCanvasAgg(self.figure).print_png(png)  # type: ignore[no-untyped-call]
        self.figure.set_layout_engine("none")  # keep the layout: computing it takes the longest
        return png.getvalue()

    def svg(self) -> bytes:
        """The figure as an SVG document, laid out as the PNG is."""
        if isinstance(self.figure.get_layout_engine(), ConstrainedLayoutEngine):
            FigureCanvasAgg(self.figure)
            self.figure.draw_without_rendering()
            self.figure.set_layout_engine("none")
        svg = io.BytesIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        self.figure.savefig(svg, format="svg", metadata=nothing)
        return svg.getvalue()

    def files(self) -> dict[str, bytes]:
        """PNG and SVG, by ending."""
        return {"png": self.png(), "svg": self.svg()}


FEW = 8  # figures that are drawn before processes have been started for them


def draw_all(charts: Collection[Chart]) -> dict[str, dict[str, bytes]]:
    """The files of figures by their name, drawn side by side on the cores that there are.

    Drawing is Python's, of which a process does one thing at a time. Only a forked process has the
    figures: one that is started anew would import for longer than it draws.
    """
    cores = min(usable_cores(), len(charts) // FEW) if sys.platform == "linux" else 1
    if cores < 2:
        return {chart.name: chart.files() for chart in charts}
    with (
        warnings.catch_warnings(),
        ProcessPoolExecutor(cores, get_context("fork"), _keep, (list(charts),)) as pool,
    ):
        # From Python 3.12 on a fork beside threads is warned of. Nobody holds a lock here: what
        # threads there are, wait for something to compute.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        made = pool.map(_files, range(len(charts)))
        return {chart.name: files for chart, files in zip(charts, made, strict=True)}


_kept: list[Chart] = []


def _keep(charts: list[Chart]) -> None:
    _kept[:] = charts


def _files(index: int) -> dict[str, bytes]:
    return _kept[index].files()


def new_figure(size: tuple[float, float] = HALF) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    figure = Figure(size, dpi=150, layout="constrained")
    return figure, figure.add_subplot()


ROOM = 24  # letters of a name beside an axis: longer ones would leave no room for the axes


def short(name: str, most: int = ROOM) -> str:
    """A name without its middle, where a figure has no room for all of it."""
    if len(name) <= most:
        return name
    tail = most // 3
    return f"{name[: most - tail - 1].rstrip()}…{name[-tail:].lstrip()}"


def is_percent(unit: str) -> bool:
    """Of an axis's label: "accuracy (%)"."""
    return unit.endswith("(%)")


def in_unit(value: float, unit: str) -> str:
    """ "89.40 %" of "accuracy (%)", "0.3980" of anything else: beside a bar as in its caption."""
    return f"{value:.2f} %" if is_percent(unit) else f"{value:.4f}"


def bars(
    labels: Sequence[str], values: Sequence[float], colors: Sequence[str], unit: str
) -> Figure:
    """What a curve of one epoch would show as single dots.

    Args:
        unit: label of the axis; one of percent goes from 0 to 100.
    """
    figure, axes = new_figure((HALF[0], 0.9 + 0.42 * len(values)))
    drawn = axes.barh(range(len(values)), values, height=0.6, color=colors)
    axes.bar_label(drawn, [in_unit(value, unit) for value in values], padding=4, fontsize=8)
    axes.set_yticks(range(len(values)), labels)
    axes.set(xlabel=unit, xlim=(0, 100 if is_percent(unit) else 1.2 * max(values) or 1))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure


def legend_above(axes: Axes, title: str = "") -> None:
    """A legend over the axes, where nothing lies under it; the figure grows by its height."""
    figure, labels = axes.figure, axes.get_legend_handles_labels()[1]
    assert isinstance(figure, Figure)
    room = int(13 * figure.get_figwidth())  # letters of its size in a line
    columns = max((n for n in range(1, len(labels) + 1) if _letters(labels, n) <= room), default=1)
    lines = -(-len(labels) // columns) + bool(title)
    figure.set_figheight(figure.get_figheight() + 0.17 * lines)
    figure.legend(loc="outside upper left", ncols=columns, title=title or None, alignment="left")


def _letters(labels: Sequence[str], columns: int) -> int:
    """How many a legend's line holds, each column with the sample of a line."""
    return sum(max(map(len, part)) + 6 for part in np.array_split(labels, columns))


def plain_numbers(axis: Axis) -> None:
    """On a logarithmic axis: numbers as people write them; powers of ten would need TeX."""
    axis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
    axis.set_minor_formatter(NullFormatter())


def name_on_hover(artist: "Artist", text: str) -> None:
    """Show the text where the pointer rests on the artist, in the page."""
    artist.set_gid(f"tip:{text}")


DARK = {
    "ink": "#e6eaee", "muted": "#9aa7b4", "grid": "#323b45", "paper": "#14181d",
    **dict(zip((f"series-{index}" for index in range(1, 8)),
               ("#58b0ee", "#ff8a3d", "#3ccf9f", "#e68cc2", "#e6b23c", "#3f8fc4", "#a8a8a8"),
               strict=True)),
}  # fmt: skip


def lone_svg(document: str, title: str) -> str:
    """An SVG document for a page of text: light or dark by itself, with its own ground.

    Args:
        document: of `Chart.svg`.
        title: its text alternative.
    """
    light = {name: color for color, name in VARIABLES.items()}
    style, dark = (
        "; ".join(f"--{name}: {color}" for name, color in sorted(colors.items()))
        for colors in (light, DARK)
    )
    sans = "--sans: 'DejaVu Sans', Verdana, sans-serif"
    rules = (
        f"<style>svg {{ {style}; {sans} }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>"
        '<rect width="100%" height="100%" fill="var(--paper)"/>'
    )
    svg = inline_svg(document, html.escape(title, quote=True))
    return svg[: svg.index(">") + 1] + rules + svg[svg.index(">") + 1 :] + "\n"


def inline_svg(document: str, title: str) -> str:
    """An SVG document as part of a page: themed, named, without what only a file needs.

    Args:
        document: of `Chart.svg`.
        title: its text alternative, as HTML.
    """
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)  # matplotlib repeats every text in one
    svg = re.sub(r'<g id="tip:([^"]*)">', r'<g class="tip"><title>\1</title>', svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    background = r'<g>\s*<path d="[^"]*" style="fill: #ffffff"/>\s*</g>'
    svg = re.sub(background, "", svg, count=1)
    for color, name in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*sans-serif", "var(--sans)", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    # A hundredth of a point is enough; numbers outside tags are text.
    svg = re.sub("<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return re.sub(r">\s*\n\s*<", "><", svg)
