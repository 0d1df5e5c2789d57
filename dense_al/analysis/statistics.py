"""Numbers that compare methods: area under the curve, intervals over paired seeds, ranks."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from dense_al.analysis.curves import Curve
from dense_al.registry import nearest

MIN_RANK_TEST_PAIRS = 6


@dataclass(frozen=True)
class PairedInterval:
    """A confidence interval of a mean difference over pairs.

    Attributes:
        mean: Mean of a - b.
        low, high: The interval, nan below two pairs.
        p: Two-sided p value of the paired t test, nan below two pairs.
        n: Number of pairs.
        level: Confidence level.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int
    level: float


@dataclass(frozen=True)
class RankCorrelation:
    """How alike two tables order the methods both hold.

    Attributes:
        kendall: Kendall's tau-b in [-1, 1]; nan where a table is constant.
        spearman: Spearman's rho in [-1, 1]; nan where a table is constant.
        n: Number of methods in both.
        methods: Their names, sorted.
    """

    kendall: float
    spearman: float
    n: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class SummaryRow:
    """One method in a comparison; numbers that cannot be had are nan.

    Attributes:
        method: Its name.
        metric: Name of the metric.
        axis: What the area is taken over.
        seeds: Number of runs.
        rounds: Trained rounds of the run that has fewest.
        final_mean, final_std: Metric after each run's last round; std has n - 1 below.
        auc_mean, auc_std: Normalised area under the curve.
        baseline: Name of the baseline, '' for none.
        pairs: Seeds shared with the baseline; runs of one round are left out.
        final_diff, final_low, final_high, final_p: Final metric minus the baseline's.
        auc_diff, auc_low, auc_high, auc_p: Area minus the baseline's.
        reach_target: Metric value that had to be reached.
        reach_mean: Mean cost (unit of `axis`) over the runs that reached it.
        reached: Number of runs that reached it.
    """

    method: str
    metric: str
    axis: str
    seeds: int
    rounds: int
    final_mean: float
    final_std: float
    auc_mean: float
    auc_std: float
    baseline: str
    pairs: int
    final_diff: float
    final_low: float
    final_high: float
    final_p: float
    auc_diff: float
    auc_low: float
    auc_high: float
    auc_p: float
    reach_target: float
    reach_mean: float
    reached: int


def area_under_curve(
    x: np.ndarray | Sequence[float],
    y: np.ndarray | Sequence[float],
    x_range: tuple[float, float] | None = None,
) -> float:
    """Mean height of a piecewise linear curve: trapezoids divided by the range.

    Args:
        x: (N,) cost, never decreasing.
        y: (N,) metric.
        x_range: Part of x to take, within the curve; by default all of it. Give curves that are
            compared one range, see `common_range`.

    Returns:
        The area in units of y; with a range of length 0 the last value there.

    >>> area_under_curve([0, 10, 20], [0., 1., 1.])
    0.75
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        raise ValueError(f'Expected x and y of shape (N,), N > 0, but got {x.shape} and {y.shape}')
    if (np.diff(x) < 0).any():
        raise ValueError(f'Expected x that never decreases, but got {x.tolist()}')
    low, high = (float(x[0]), float(x[-1])) if x_range is None else x_range
    if not x[0] <= low <= high <= x[-1]:
        raise ValueError(f'Expected a range within [{x[0]}, {x[-1]}], but got [{low}, {high}]')
    if low == high:
        return float(y[np.searchsorted(x, high, 'right') - 1])
    inside = (x > low) & (x < high)
    ends = np.interp([low, high], x, y)
    at = np.concatenate([[low], x[inside], [high]])
    return float(np.trapezoid(np.concatenate([ends[:1], y[inside], ends[1:]]), at) / (high - low))


def common_range(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """The part of the x axis that all curves cover, None where there is none.

    A curve of a single round, such as a ceiling's, does not count among longer ones.
    """
    if not curves:
        raise ValueError('Expected at least one curve, but got none')
    curves = [c for c in curves if len(c.x) > 1] or curves
    low, high = max(float(c.x[0]) for c in curves), min(float(c.x[-1]) for c in curves)
    return (low, high) if low <= high else None


def area_within(curve: Curve, x_range: tuple[float, float] | None) -> float:
    """`area_under_curve` over a range; nan where there is none, or the curve does not cover it."""
    if x_range is None or not curve.x[0] <= x_range[0] <= x_range[1] <= curve.x[-1]:
        return math.nan
    return area_under_curve(curve.x, curve.y, x_range)


def labels_to_reach(curve: Curve, value: float) -> float:
    """Cost at which a curve first reaches a value, linear between rounds; nan if it never does.

    >>> labels_to_reach(Curve(np.array([10., 20.]), np.array([.4, .6]), 'mIoU'), .5)
    15.0
    """
    x, y = curve.x, curve.y
    reached = np.flatnonzero(y >= value)
    if len(reached) == 0:
        return math.nan
    i = int(reached[0])
    if i == 0 or not y[i - 1] < value:
        return float(x[i])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (value - y[i - 1]) / (y[i] - y[i - 1]))


def paired_t_interval(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, level: float = 0.95
) -> PairedInterval:
    """Student's t interval of the mean of a - b over pairs (the same seed in both).

    Args:
        a: (N,) values of one method.
        b: (N,) values of the other, in the same order of seeds.
        level: Confidence level in (0, 1).

    Returns:
        The interval; below two pairs only the mean is known.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f'Expected pairs of shape (N,), but got {first.shape} and {second.shape}')
    if not 0 < level < 1:
        raise ValueError(f'Expected a level in (0, 1), but got {level}')
    diff, n, nan = first - second, len(first), math.nan
    if n < 2:
        return PairedInterval(float(diff[0]) if n else nan, nan, nan, nan, n, level)
    mean, error = float(diff.mean()), float(diff.std(ddof=1) / math.sqrt(n))
    if error == 0:
        return PairedInterval(mean, mean, mean, 1.0 if mean == 0 else 0.0, n, level)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return PairedInterval(mean, mean - half, mean + half, p, n, level)


def rank_correlation(table_a: Mapping[str, float], table_b: Mapping[str, float]) -> RankCorrelation:
    """Rank correlation of two tables (method -> value) over the methods in both.

    >>> rank_correlation({'a': 1, 'b': 2, 'c': 3}, {'a': 5, 'b': 6, 'c': 9}).kendall
    1.0
    """
    methods = tuple(sorted(set(table_a) & set(table_b)))
    if len(methods) < 2:
        raise ValueError(f'Expected two methods or more in both tables, but got '
                         f'{sorted(table_a)} and {sorted(table_b)}')  # fmt: skip
    a, b = [table_a[m] for m in methods], [table_b[m] for m in methods]
    if len(set(a)) == 1 or len(set(b)) == 1:
        return RankCorrelation(math.nan, math.nan, len(methods), methods)
    tau = float(stats.kendalltau(a, b).statistic)
    return RankCorrelation(tau, float(stats.spearmanr(a, b).statistic), len(methods), methods)


def rank_tests_note(n: int) -> str:
    """What rank tests can say with n paired seeds."""
    if n < 1:
        return 'No seeds are shared with the baseline: differences cannot be tested.'
    smallest = 2 * 0.5**n
    if n >= MIN_RANK_TEST_PAIRS:
        return (f'With {n} paired seeds the two-sided Wilcoxon signed rank and sign tests can go '
                f'down to p = {smallest:.2g}.')  # fmt: skip
    return (f'With {n} paired seed{"s" if n > 1 else ""} the two-sided Wilcoxon signed rank and '
            f'sign tests cannot reach p < .05 whatever the results (smallest possible p = '
            f'{min(smallest, 1):.2g}); at least {MIN_RANK_TEST_PAIRS} are needed.')  # fmt: skip


def summarise(
    groups: Mapping[str, Sequence[Curve]],
    baseline: str | None = None,
    *,
    full_supervision: float | None = None,
    share: float = 0.95,
    level: float = 0.95,
) -> list[SummaryRow]:
    """Compares methods over seeds.

    Args:
        groups: The curves of each method, one per seed, all against the same axis and metric.
        baseline: Method whose values are subtracted, seed by seed; None for no differences.
        full_supervision: Metric of a model trained on all labels.
        share: Part of `full_supervision` that must be reached.
        level: Confidence level of the intervals.

    Returns:
        One row per method, in the order given.
    """
    curves = [c for members in groups.values() for c in members]
    _check_comparable(curves)
    if baseline is not None and baseline not in groups:
        raise ValueError(f'Expected a baseline among the methods, but got `{baseline}`. '
                         f'{nearest(baseline, groups)}')  # fmt: skip
    span = common_range(curves)
    target = math.nan if full_supervision is None else share * full_supervision
    base = groups[baseline] if baseline is not None else None
    return [
        _summary_row(method, members, baseline, base, span, target, level)
        for method, members in groups.items()
    ]


def _summary_row(
    method: str,
    members: Sequence[Curve],
    baseline: str | None,
    base: Sequence[Curve] | None,
    span: tuple[float, float] | None,
    target: float,
    level: float,
) -> SummaryRow:
    final = np.array([_final(c) for c in members])
    auc = np.array([area_within(c, span) for c in members])
    costs = np.array([labels_to_reach(c, target) for c in members])
    pairs = [] if base is None or method == baseline else _pairs(members, base)
    areas = [tuple(area_within(c, span) for c in pair) for pair in pairs]
    # A run of one round has no area; where no run has one, none is left out.
    whole = [i for i, pair in enumerate(areas) if np.isfinite(pair).all()] or [*range(len(pairs))]
    last = [min(len(a.y), len(b.y)) - 1 for a, b in pairs]  # round that both runs have
    finals = np.array([[c.y[last[i]] for c in pairs[i]] for i in whole]).reshape(-1, 2)
    by_final = paired_t_interval(finals[:, 0], finals[:, 1], level)
    both = np.array([areas[i] for i in whole]).reshape(-1, 2)
    by_auc = paired_t_interval(both[:, 0], both[:, 1], level)
    auc = auc[np.isfinite(auc)] if np.isfinite(auc).any() else auc
    return SummaryRow(
        method=method,
        metric=members[0].metric,
        axis=members[0].axis,
        seeds=len(members),
        rounds=min(len(c.x) for c in members),
        final_mean=float(final.mean()),
        final_std=_std(final),
        auc_mean=float(auc.mean()),
        auc_std=_std(auc),
        baseline=baseline or '',
        pairs=len(whole),
        final_diff=by_final.mean,
        final_low=by_final.low,
        final_high=by_final.high,
        final_p=by_final.p,
        auc_diff=by_auc.mean,
        auc_low=by_auc.low,
        auc_high=by_auc.high,
        auc_p=by_auc.p,
        reach_target=target,
        reach_mean=float(np.nanmean(costs)) if np.isfinite(costs).any() else math.nan,
        reached=int(np.isfinite(costs).sum()),
    )


def gap_closed(curves: Sequence[Curve], full_supervision: float) -> np.ndarray:
    """(R,) float64: share of the way from round 0 to all labels that each round has gone.

    Args:
        curves: Of one method, one per seed; rounds that not all of them have are left out.
        full_supervision: Metric of a model trained on all labels.

    Returns:
        Mean over the seeds, each from its own round 0; NaN where round 0 is there already.

    >>> one = Curve(np.array([0.0, 1.0]), np.array([0.25, 0.5]), 'mAP')
    >>> gap_closed([one], 0.75).tolist()
    [0.0, 0.5]
    """
    rounds = min(len(c.y) for c in curves)
    y = np.array([c.y[:rounds] for c in curves], np.float64)
    gap = full_supervision - y[:, :1]
    return ((y - y[:, :1]) / np.where(gap > 0, gap, np.nan)).mean(axis=0)


def write_table(rows: Sequence[SummaryRow], path: Path | str) -> None:
    """Writes the summary as CSV; numbers keep all digits."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow([f.name for f in fields(SummaryRow)])
        writer.writerows([getattr(row, f.name) for f in fields(SummaryRow)] for row in rows)


def read_table(path: Path | str) -> list[SummaryRow]:
    """Reads back what `write_table` wrote."""
    kinds: dict[str, Any] = {f.name: f.type for f in fields(SummaryRow)}
    with open(path, newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or ()) != list(kinds):
            raise ValueError(f'Expected columns {list(kinds)} in {path}, '
                             f'but got {reader.fieldnames}')  # fmt: skip
        return [SummaryRow(**{k: kinds[k](v) for k, v in row.items()}) for row in reader]


def _check_comparable(curves: Sequence[Curve]) -> None:
    for what in ('metric', 'axis'):
        found = sorted({getattr(c, what) for c in curves})
        if len(found) != 1:
            raise ValueError(f'Expected curves of one {what}, but got {", ".join(found) or "none"}')


def _pairs(a: Sequence[Curve], b: Sequence[Curve]) -> list[tuple[Curve, Curve]]:
    others = {c.seed: c for c in b if c.seed is not None}
    return [(c, others[c.seed]) for c in a if c.seed in others]


def _final(curve: Curve) -> float:
    return float(curve.y[-1])


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
