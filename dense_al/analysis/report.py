"""One HTML page about one or many runs; it needs no network and no other file."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dense_al.analysis import plot
from dense_al.analysis.curves import (
    Curve,
    Run,
    curve_of,
    find_runs,
    group_runs,
    load_run,
)
from dense_al.analysis.drawing import data_address, palette
from dense_al.analysis.gallery import Panel, Prediction, RegionMap, region_maps_of, round_panels
from dense_al.analysis.statistics import (
    area_under_curve,
    common_range,
    rank_tests_note,
    summarise,
)

SHARE = 0.95
TABS = {
    'labels': 'Labels',
    'pixels': 'Pixels',
    'clicks': 'Clicks',
    'seconds': 'Annotation time',
}


@dataclass(frozen=True)
class Gallery:
    """What the report shows of the queries.

    Attributes:
        rounds: Numbers of the rounds, -1 for the initial labels; None for all.
        max_images: Samples per round at most; 0 leaves the gallery out.
        side: Longer side of the pictures, pixels.
        region_maps: Work_dir -> (sample -> region map); by default what the run recorded.
        prediction: Round, sample -> (H, W) uint8 classes, or None.
    """

    rounds: Sequence[int] | None = None
    max_images: int = 4
    side: int = 360
    region_maps: Callable[[Path], RegionMap | None] = region_maps_of
    prediction: Prediction | None = None


def write_report(
    work_dirs: Sequence[Path | str],
    out: Path | str,
    full_supervision: float | None = None,
    gallery: Gallery | None = None,
    *,
    baseline: str | None = None,
) -> Path:
    """Writes one self-contained HTML page about runs.

    Args:
        work_dirs: Folders of runs, or folders that hold runs. Runs are grouped by method, over
            seeds; they may be unfinished.
        out: File to write.
        full_supervision: Metric of a model trained on all labels.
        gallery: What to show of the queries; by default four samples of each round.
        baseline: Method to compare with; by default the one with `random` in its name.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: A folder holds no runs.
        ValueError: Nothing was trained yet, the runs have different metrics, or the baseline is
            unknown.
    """
    runs = [load_run(path) for folder in work_dirs for path in find_runs(folder) or [folder]]
    trained = [run for run in runs if run.rounds]
    if not trained:
        raise ValueError(f'Expected a run with a trained round, but got none in '
                         f'{", ".join(str(w) for w in work_dirs) or "nothing"}')  # fmt: skip
    groups = group_runs(trained)
    context = {
        **_head(runs, groups),
        **_comparison(groups, baseline or _default_baseline(groups), full_supervision),
        'per_class': [_per_class(method, members) for method, members in groups.items()],
        'galleries': _galleries(groups, gallery or Gallery()),
        'histogram': _histogram(groups),
        'time': _time(groups),
        'configuration': [_configuration(m, run) for m, rs in groups.items() for run in rs],
    }
    environment = Environment(
        loader=PackageLoader('dense_al.analysis', '.'),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(num=number, signed=signed, count=count)
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = environment.get_template('report.html.j2').render(context)
    path.write_text(page, encoding='utf-8')
    return path


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table, `–` where there is none.

    >>> number(0.51239), number(61.5), number(float('nan'))
    ('0.512', '61.5', '–')
    """
    if value is None or not math.isfinite(value):
        return '–'
    return f'{value:#.{digits}g}'.rstrip('.') if abs(value) < 1000 else count(value)


def signed(value: float) -> str:
    """A difference with its sign, three digits after those of the metric's size.

    >>> signed(0.0213), signed(-1.5)
    ('+0.0213', '−1.50')
    """
    if not math.isfinite(value):
        return '–'
    text = number(abs(value))
    return ('+' if value >= 0 else '−') + text


def count(value: float) -> str:
    """A large number with thin spaces between thousands."""
    return '–' if not math.isfinite(value) else f'{value:,.0f}'.replace(',', '\u202f')


def _head(runs: Sequence[Run], groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    trained = [r for members in groups.values() for r in members]
    notes = [
        f'{run.name} ({run.work_dir}): {run.state}, {len(run.rounds)} rounds trained.'
        for run in runs
        if run.state != 'finished'
    ]
    most = max(len(r.rounds) for r in trained)
    notes += [
        f'{run.name} ({run.work_dir}): {len(run.rounds)} rounds, others have {most}.'
        for run in trained
        if len(run.rounds) < most and run.state == 'finished'
    ]
    notes += [
        f'{run.name} ({run.work_dir}): training of round {r.index} was resumed inexactly.'
        for run in trained
        for r in run.rounds
        if r.train and not r.train.get('exact', True)
    ]
    return {
        'title': trained[0].name if len(trained) == 1 else f'{len(trained)} runs',
        'facts': {
            'Methods': len(groups),
            'Runs': len(trained),
            'Rounds': most,
            'Metric': trained[0].metric,
            'Asked for': ', '.join(sorted({r.kind for r in trained if r.kind})) or '–',
            'Classes': len(trained[0].classes),
        },
        'notes': notes,
    }


def _comparison(
    groups: Mapping[str, Sequence[Run]], baseline: str | None, full: float | None
) -> dict[str, Any]:
    by_axis = {axis: _curves(groups, axis) for axis in TABS}
    shown = {axis: curves for axis, curves in by_axis.items() if _varies(curves)}
    mixed = len({run.kind for members in groups.values() for run in members}) > 1
    axis = 'pixels' if mixed and 'pixels' in shown else next(iter(shown), 'labels')
    rows = summarise(by_axis[axis], baseline, full_supervision=full, share=SHARE)
    pairs = [row.pairs for row in rows if row.method != baseline]
    metric = rows[0].metric
    charts = [
        {
            'id': key,
            'title': _tab_title(key, curves),
            'svg': plot.to_svg(
                plot.learning_curves(curves, full),
                f'Learning curves: {metric} against {_first(curves).x_label}',
                f'curve-{key}',
            ),
        }
        for key, curves in (shown or {axis: by_axis[axis]}).items()
    ]
    areas = _areas(by_axis[axis])
    return {
        'rows': rows,
        'axis_label': _first(by_axis[axis]).x_label,
        'full': full,
        'share': SHARE,
        'baseline': baseline,
        'note': rank_tests_note(min(pairs)) if pairs and baseline else '',
        'charts': charts,
        'points': {m: [_points(c) for c in cs] for m, cs in by_axis[axis].items()},
        'area_svg': plot.to_svg(
            plot.area_bars(areas, metric), f'Area under the curve per method ({metric})', 'area'
        ),
        'area_rows': [
            {
                'method': method,
                'cells': [np.mean(_areas(curves)[method]) for curves in shown.values()],
            }
            for method in groups
        ],
        'area_heads': [_first(curves).x_label for curves in shown.values()],
        'colours': {method: plot.colour_of(i) for i, method in enumerate(groups)},
    }


def _curves(groups: Mapping[str, Sequence[Run]], axis: str) -> dict[str, list[Curve]]:
    return {method: [curve_of(run, axis) for run in members] for method, members in groups.items()}


def _first(curves: Mapping[str, Sequence[Curve]]) -> Curve:
    return next(iter(curves.values()))[0]


def _varies(curves: Mapping[str, Sequence[Curve]]) -> bool:
    return any(c.x[-1] > c.x[0] for members in curves.values() for c in members)


def _tab_title(axis: str, curves: Mapping[str, Sequence[Curve]]) -> str:
    points = axis == 'pixels' and _first(curves).x_label.endswith('points')
    return 'Points' if points else TABS[axis]


def _points(curve: Curve) -> dict[str, Any]:
    return {'seed': curve.seed, 'points': list(zip(curve.x.tolist(), curve.y.tolist()))}


def _areas(curves: Mapping[str, Sequence[Curve]]) -> dict[str, list[float]]:
    span = common_range([c for members in curves.values() for c in members])
    return {
        method: [math.nan if span is None else area_under_curve(c.x, c.y, span) for c in members]
        for method, members in curves.items()
    }


def _default_baseline(groups: Mapping[str, Sequence[Run]]) -> str | None:
    if len(groups) < 2:
        return None
    return next((method for method in groups if 'random' in method.lower()), None)


def _per_class(method: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Mean over seeds of each class in each round that all seeds have trained."""
    rounds = min(len(run.rounds) for run in runs)
    classes = list(runs[0].rounds[0].train['per_class'])  # type: ignore[index]
    values = np.array(
        [
            [[_value(r.train['per_class'].get(c)) for c in classes] for r in run.rounds[:rounds]]  # type: ignore[index]
            for run in runs
        ],
        np.float64,
    ).reshape(len(runs), rounds, len(classes))
    known = np.isfinite(values).sum(axis=0)
    with np.errstate(invalid='ignore'):
        mean = np.where(known > 0, np.nansum(values, axis=0) / known, np.nan)
    top = 100.0 if np.nanmax(mean, initial=0.0) > 1 else 1.0
    heat = np.nan_to_num(mean / top).clip(0, 1)
    return {
        'method': method,
        'seeds': len(runs),
        'classes': classes,
        'rows': [list(zip(mean[:, i].tolist(), heat[:, i].tolist())) for i in range(len(classes))],
        'rounds': rounds,
        'gains': (mean[-1] - mean[0]).tolist(),
    }


def _value(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _galleries(groups: Mapping[str, Sequence[Run]], options: Gallery) -> list[dict[str, Any]]:
    """The queries of the first run of each method."""
    if options.max_images < 1:
        return []
    found = []
    for method, members in groups.items():
        run = members[0]
        region_map = options.region_maps(run.work_dir)
        asked = [r for r in run.all_rounds if r.query]
        wanted = [r for r in asked if options.rounds is None or r.index in options.rounds]
        rounds = [
            {
                'title': 'Initial labels' if r.index < 0 else f'Round {r.index}',
                'units': (r.query or {}).get('n_units', 0),
                'kind': (r.query or {}).get('kind', ''),
                'cost': (r.done or {}).get('cost', {}),
                'declined': (r.done or {}).get('declined', 0),
                'panels': [
                    _panel(panel)
                    for panel in round_panels(
                        run,
                        r.index,
                        region_map,
                        options.prediction,
                        max_images=options.max_images,
                        side=options.side,
                    )
                ],
            }
            for r in wanted
        ]
        colours = ['#%02x%02x%02x' % tuple(c) for c in palette(len(run.classes))]
        legend = list(zip(run.classes, colours))
        found.append({'method': method, 'seed': run.seed, 'rounds': rounds, 'legend': legend})
    return found


def _panel(panel: Panel) -> dict[str, Any]:
    """A panel for the template."""
    return {
        'name': panel.name,
        'units': panel.units,
        'rank': panel.best_rank,
        'score': panel.best_score,
        'note': panel.note,
        'pictures': {title: data_address(p) for title, p in panel.pictures.items()},
    }


def _histogram(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any] | None:
    """Class shares of what was answered after the initial labels, over all seeds of a method."""
    counts: dict[str, dict[str, float]] = {}
    for method, members in groups.items():
        total: dict[str, float] = {}
        for run in members:
            for r in run.rounds:
                for name, elements in ((r.done or {}).get('class_histogram') or {}).items():
                    total[name] = total.get(name, 0.0) + elements
        if total:
            counts[method] = total
    if not counts:
        return None
    first = next(iter(groups.values()))[0]
    svg = plot.to_svg(
        plot.class_histogram(counts, first.elements_name),
        'Share of each class among the answers, per method',
        'classes',
    )
    names = list(dict.fromkeys(name for total in counts.values() for name in total))
    return {'svg': svg, 'counts': counts, 'classes': names}


def _time(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Seconds per step: of each round for one method, of a mean round for several."""
    if len(groups) == 1:
        members = next(iter(groups.values()))
        numbers = range(max(len(run.rounds) for run in members))
        rows = {
            f'round {n}': _mean_steps([run for run in members if n < len(run.rounds)], [n])
            for n in numbers
        }
        label = 'seconds' if len(members) == 1 else 'seconds, mean over seeds'
    else:
        rows = {method: _mean_steps(members, None) for method, members in groups.items()}
        label = 'seconds per round, mean over rounds and seeds'
    used = {step for row in rows.values() for step in row}
    steps = [s for s in plot.STEPS if s in used] + sorted(used - {*plot.STEPS, 'overhead'})
    bars = {name: {s: row.get(s, 0.0) for s in steps} for name, row in rows.items()}
    svg = plot.to_svg(plot.time_bars(bars, label), f'Time per step: {label}', 'time')
    return {'svg': svg, 'rows': rows, 'steps': [*steps, 'overhead'], 'label': label}


def _mean_steps(runs: Sequence[Run], numbers: Sequence[int] | None) -> dict[str, float]:
    seconds: dict[str, list[float]] = {}
    for run in runs:
        for r in run.rounds if numbers is None else [run.rounds[n] for n in numbers]:
            for part in (r.train, r.query, r.done):
                for step, value in ((part or {}).get('seconds') or {}).items():
                    seconds.setdefault(step, []).append(float(value))
            if r.done and r.done.get('overhead_seconds') is not None:
                seconds.setdefault('overhead', []).append(float(r.done['overhead_seconds']))
    return {step: float(np.mean(values)) for step, values in seconds.items()}


def _configuration(method: str, run: Run) -> dict[str, Any]:
    return {
        'method': method,
        'run': run.name,
        'seed': run.seed,
        'work_dir': str(run.work_dir),
        'state': run.state,
        'acquisition': json.dumps(run.acquisition, indent=2),
        'budget': json.dumps(run.budget, indent=2),
        'environment': json.dumps(dict(run.environment), indent=2),
        'config': run.config_text,
    }
