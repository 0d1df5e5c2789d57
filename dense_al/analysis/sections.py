"""What the sections of a report hold: numbers, and charts as SVG."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dense_al.analysis import plot
from dense_al.analysis.curves import Curve, curve_of
from dense_al.analysis.runs import Round, Run
from dense_al.analysis.statistics import (
    area_within,
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


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table, `–` where there is none.

    >>> number(0.51239), number(61.5), number(float('nan'))
    ('0.512', '61.5', '–')
    >>> number(999.6) == count(1000), number(123.4, 2), number(99.6, 2)
    (True, '123', '100')
    """
    if value is None or not math.isfinite(value):
        return '–'
    if abs(value) >= 999.5:
        return count(value)
    return f'{value:#.{digits}g}'.rstrip('.') if abs(value) < 10**digits - 0.5 else f'{value:.0f}'


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


def head(runs: Sequence[Run], groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Title, key facts and what is unfinished or inexact."""
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


def comparison(
    groups: Mapping[str, Sequence[Run]], baseline: str | None, full: float | None
) -> dict[str, Any]:
    """Summary table, learning curves and areas, with what the template says about them."""
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
        'area_heads': [_tab_title(key, curves) for key, curves in shown.items()],
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
    found = {m: [area_within(c, span) for c in members] for m, members in curves.items()}
    # A run of one round has none; where no run has one, none is left out.
    return {m: [a for a in areas if math.isfinite(a)] or areas for m, areas in found.items()}


def default_baseline(groups: Mapping[str, Sequence[Run]]) -> str | None:
    """The first method with `random` in its name; None for a single method."""
    if len(groups) < 2:
        return None
    return next((method for method in groups if 'random' in method.lower()), None)


def per_class(method: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Mean over seeds of each class in each round that all seeds have trained."""
    rounds = min(len(run.rounds) for run in runs)
    tables = [[_classes_of(r) for r in run.rounds[:rounds]] for run in runs]
    classes = list(dict.fromkeys(c for rows in tables for row in rows for c in row))
    values = np.array(
        [[[_value(row.get(c)) for c in classes] for row in rows] for rows in tables], np.float64
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


def _classes_of(round_: Round) -> dict[str, float | None]:
    return dict((round_.train or {}).get('per_class') or {})


def _value(value: float | None) -> float:
    return math.nan if value is None else float(value)


def histogram(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any] | None:
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
        plot.class_histogram(counts, first.counted_name),
        'Share of each class among the answers, per method',
        'classes',
    )
    names = list(dict.fromkeys(name for total in counts.values() for name in total))
    return {'svg': svg, 'counts': counts, 'classes': names, 'counted': first.counted_name}


def time(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
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
                    if step != 'forward':  # a part of `observe`
                        seconds.setdefault(step, []).append(float(value))
            if r.done and r.done.get('overhead_seconds') is not None:
                seconds.setdefault('overhead', []).append(float(r.done['overhead_seconds']))
    return {step: float(np.mean(values)) for step, values in seconds.items()}


def configuration(method: str, run: Run) -> dict[str, Any]:
    """What a run recorded about itself, as text."""
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
