"""Charts of runs as matplotlib figures; no global state, no display."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from dense_al.analysis.curves import Curve

COLOURS = (
    '#3b7dd8', '#e07b2e', '#2fa37c', '#c74f8f', '#8a6bd6',
    '#b3931c', '#2aa3bd', '#cf5448', '#7d8a96', '#6f9a2d',
)  # fmt: skip
LINES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    '-', '--', '-.', ':', (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)),
)  # fmt: skip
MARKERS = 'osD^vPX*<>'
# Replaced by CSS variables in SVG, so that one picture serves light and dark pages.
INK, FAINT = '#24292f', '#8b949e'
STEPS = ('train', 'evaluate', 'setup', 'observe', 'select', 'ask', 'record')
SIZE = (4.7, 3.3)
STEP_COLOURS = ('#5b6ee1', '#a3aef2', '#c3c7d6', '#d9962b', '#ecca86', '#4d9e8f', '#a8d5cc')


def colour_of(number: int) -> str:
    """The colour of the n-th method, the same in every chart."""
    return COLOURS[number % len(COLOURS)]


def learning_curves(
    groups: Mapping[str, Sequence[Curve]],
    full_supervision: float | None = None,
    floor: bool | float = True,
) -> Figure:
    """Learning curves: mean per method with a band of one standard deviation, thin lines per seed.

    Args:
        groups: The curves of each method, all against the same axis and metric. The mean is taken
            where all seeds of a method reach, linear between rounds.
        full_supervision: Metric with all labels, drawn as a dashed line.
        floor: Metric of a model without what is asked for, drawn as a dotted line; True: the mean
            metric of the first round.

    Returns:
        The figure.
    """
    curves = [c for members in groups.values() for c in members]
    if not curves:
        raise ValueError('Expected at least one curve, but got none')
    figure, axes = _figure()
    for number, (method, members) in enumerate(groups.items()):
        _draw_method(axes, number, method, members)
    if floor is not False:
        first = floor is True
        level = float(np.mean([c.y[0] for c in curves])) if first else float(floor)
        label = 'first round' if first else 'floor'
        axes.axhline(level, color=FAINT, lw=1.1, ls=':', label=label, zorder=1)
    if full_supervision is not None:
        axes.axhline(full_supervision, color=INK, lw=1.1, ls='--', label='all labels', zorder=1)
    axes.set_xlabel(curves[0].x_label)
    axes.set_ylabel(curves[0].metric)
    axes.xaxis.set_major_formatter(EngFormatter(sep=''))
    axes.margins(x=0.03)
    _legend_above(axes)
    return figure


def mean_band(members: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation over seeds on the x values that all of them reach.

    Curves of one point are left out where there are others.

    Args:
        members: Curves of one method.

    Returns:
        x (M,), mean (M,), std (M,) with n - 1 below; std is 0 for one seed, M may be 0.
    """
    members = [c for c in members if len(c.x) > 1] or members  # one may have only begun
    low, high = max(c.x[0] for c in members), min(c.x[-1] for c in members)
    at = np.unique(np.concatenate([c.x for c in members]))
    at = at[(at >= low) & (at <= high)]
    values = np.array([np.interp(at, c.x, c.y) for c in members]).reshape(len(members), len(at))
    std = values.std(axis=0, ddof=1) if len(members) > 1 else np.zeros(len(at))
    return at, values.mean(axis=0), std


def area_bars(areas: Mapping[str, Sequence[float]], metric: str) -> Figure:
    """Area under the curve: one bar per method, one dot per seed.

    Args:
        areas: Areas of each method's seeds.
        metric: Name of the metric, whose unit the area has.

    Returns:
        The figure; its axis starts near the smallest area, which its label says.
    """
    names = list(areas)
    values = [np.asarray(areas[n], np.float64) for n in names]
    figure, axes = _figure((SIZE[0], 0.9 + 0.42 * len(names)))
    for y, area in enumerate(values):
        axes.barh(y, area.mean(), color=colour_of(y), alpha=0.8, height=0.6)
        if len(area) > 1:
            axes.errorbar(area.mean(), y, xerr=area.std(ddof=1), color=INK, lw=1.2, capsize=3)
        axes.plot(area, np.full(len(area), y), 'o', ms=3.5, mfc='none', mec=INK, mew=0.8)
    finite = np.concatenate(values)[np.isfinite(np.concatenate(values))]
    if len(finite):
        spread = max(finite.max() - finite.min(), 0.02 * abs(finite.max()), 1e-9)
        axes.set_xlim(finite.min() - 1.5 * spread, finite.max() + 0.5 * spread)
    _rows(axes, names, f'normalised area ({metric}), axis cut')
    return figure


def class_histogram(histograms: Mapping[str, Mapping[str, float]], unit: str = 'pixels') -> Figure:
    """Share of each class among the answered elements, side by side per method or round.

    Args:
        histograms: Name of a method (or round) -> class -> elements.
        unit: What the elements are.

    Returns:
        The figure; classes stand in the order in which they first come.
    """
    classes = list(dict.fromkeys(c for h in histograms.values() for c in h))
    height = 0.8 / max(len(histograms), 1)
    rows = len(classes) * max(len(histograms) * 0.1, 0.26)
    figure, axes = _figure((SIZE[0], 1.1 + rows))
    for number, (name, histogram) in enumerate(histograms.items()):
        total = sum(histogram.values()) or 1.0
        shares = [100 * histogram.get(c, 0) / total for c in classes]
        where = np.arange(len(classes)) + (number + 0.5) * height - 0.4
        axes.barh(where, shares, height=height * 0.92, color=colour_of(number), label=name)
    _rows(axes, classes, f'share of answered {unit} (%)')
    if len(histograms) > 1:
        _legend_above(axes)
    return figure


def time_bars(rows: Mapping[str, Mapping[str, float]], label: str = 'seconds') -> Figure:
    """Time per step as stacked bars.

    Args:
        rows: Name of a round or method -> step -> seconds.
        label: What the axis shows.

    Returns:
        The figure; steps stand in the order of a round.
    """
    figure, axes = _figure((SIZE[0], 1.3 + 0.34 * len(rows)))
    found = {step for row in rows.values() for step in row}
    steps = [s for s in STEPS if s in found] + sorted(found - set(STEPS))
    left = np.zeros(len(rows))
    for number, step in enumerate(steps):
        width = np.array([row.get(step, 0.0) for row in rows.values()])
        axes.barh(
            np.arange(len(rows)),
            width,
            left=left,
            height=0.65,
            color=STEP_COLOURS[number % len(STEP_COLOURS)],
            label=step,
        )
        left += width
    _rows(axes, list(rows), label)
    _legend_above(axes)
    return figure


def to_png(figure: Figure, path: Path | str | None = None, dpi: int = 150) -> bytes:
    """Draws a figure as PNG on white; also writes it where a path is given."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dpi, facecolor='white')
    if path is not None:
        Path(path).write_bytes(buffer.getvalue())
    return buffer.getvalue()


def to_svg(figure: Figure, title: str, prefix: str) -> str:
    """Draws a figure as SVG to stand inside HTML.

    Args:
        figure: The figure.
        title: What the picture shows, for those who cannot see it.
        prefix: Put before every id, so that pictures on one page keep apart.

    Returns:
        An `<svg>` element without addresses of other files. Its ink is `var(--ink)` and
        `var(--faint)`, its text is text.
    """
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': prefix}):
        figure.savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    text = buffer.getvalue()
    text = re.sub(r'<metadata>.*?</metadata>', '', text[text.index('<svg') :], flags=re.S)
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', '', text).replace('xlink:href', 'href')
    text = text.replace(' id="', f' id="{prefix}-').replace('url(#', f'url(#{prefix}-')
    text = text.replace('href="#', f'href="#{prefix}-')
    text = text.replace(INK, 'var(--ink)').replace(FAINT, 'var(--faint)')
    text = re.sub(r'font: ([\d.]+)px [^;"]*', r'font: \1px system-ui, sans-serif', text)
    title = title.replace('&', '&amp;').replace('<', '&lt;').replace('"', '&quot;')
    return re.sub(
        r'<svg\b([^>]*?) width="[^"]*"',
        lambda m: f'<svg role="img" aria-label="{title}"{m[1]}',
        re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r'\1', text, count=1),
        count=1,
    )


def _figure(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.add_subplot()
    axes.set_facecolor('none')
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8.5, color=FAINT)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9.5)
    axes.grid(color=FAINT, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_method(axes: Axes, number: int, method: str, members: Sequence[Curve]) -> None:
    colour = colour_of(number)
    if len(members) > 1:
        for curve in members:
            axes.plot(curve.x, curve.y, color=colour, lw=0.7, alpha=0.35)
    at, mean, std = mean_band(members)
    if len(members) > 1:
        axes.fill_between(at, mean - std, mean + std, color=colour, alpha=0.16, lw=0)
    axes.plot(
        at,
        mean,
        color=colour,
        lw=2,
        ls=LINES[number % len(LINES)],
        marker=MARKERS[number % len(MARKERS)],
        ms=4.5,
        label=f'{method} (n={len(members)})',
        zorder=3,
    )


def _rows(axes: Axes, names: Sequence[str], label: str) -> None:
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis='y')
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(label)


def _legend_above(axes: Axes) -> None:
    labels = axes.get_legend_handles_labels()[1]
    columns = 3 if max(map(len, labels), default=0) < 12 else 2
    axes.legend(
        loc='lower left',
        bbox_to_anchor=(0, 1),
        ncols=columns,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
    )
