"""What a study found, as numbers: shares of the ceiling, claims reached, differences by pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dense_al.analysis.curves import Curve
from dense_al.analysis.statistics import (
    MIN_RANK_TEST_PAIRS,
    PairedInterval,
    area_within,
    common_range,
    labels_to_reach,
    paired_t_interval,
)
from dense_al.analysis.studies import CEILING, FLOOR, METHOD, Entry, Study, entries_of

# A round ends before the unit that would overshoot its budget, so that "5 %" may be 4.97 %.
NEARLY = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of the curve of one method minus that of a reference, over seeds that both have.

    Attributes:
        label: The method.
        interval: The difference with its 95 % t interval.
        p: Two-sided exact Wilcoxon signed rank test, nan where so few pairs cannot reach .05.
    """

    label: str
    interval: PairedInterval
    p: float

    @property
    def sign(self) -> int:
        """1 above the reference, -1 below, 0 where the interval holds 0 or is not known."""
        return int(self.interval.low > 0) - int(self.interval.high < 0)


@dataclass(frozen=True)
class Verdict:
    """How a method stands to a claim.

    Attributes:
        label: The method.
        seeds: Its runs, 0 for none.
        at: Share of the labels it was read at: that of the claim, or all that the runs cover.
        share: Its mean share of the ceiling there; nan where either is not known.
        low, high: 95 % t interval of `share` over seeds, nan for one seed; that the ceiling itself
            was measured on few seeds is not in it.
        seeds_reached: Runs whose own share is at least the claimed one.
        reached: Whether `share` is at least the claimed one; None where it cannot be said: runs
            are missing, or end too early.
        reached_at: Share of the labels at which the mean curve first has the claimed share of the
            ceiling, nan if it never does.
    """

    label: str
    seeds: int
    at: float
    share: float
    low: float
    high: float
    seeds_reached: int
    reached: bool | None
    reached_at: float


def mean_and_std(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the metric over seeds, round by round.

    Args:
        curves: Of one method, one per seed; rounds that not all of them have are left out.

    Returns:
        (R,) mean and (R,) standard deviation with n - 1 below, nan for one seed.

    >>> two = [Curve(np.arange(2.0), np.array(y), 'mIoU') for y in ([1.0, 2.0], [3.0, 4.0])]
    >>> mean_and_std(two)[0].tolist()
    [2.0, 3.0]
    """
    rounds = min(len(c.y) for c in curves)
    y = np.array([c.y[:rounds] for c in curves], np.float64)
    spread = y.std(axis=0, ddof=1) if len(y) > 1 else np.full(rounds, np.nan)
    return y.mean(axis=0), spread


def level_of(entries: Sequence[Entry], kind: str) -> float:
    """Mean metric of the first floor or ceiling after its last round, nan where none is stored."""
    first = next((e for e in entries if e.kind == kind), None)
    if first is None or not first.cells:
        return math.nan
    return float(mean_and_std(first.curves('labels'))[0][-1])


def shares_of(entries: Sequence[Entry], entry: Entry) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the first ceiling that each round of a method has.

    Args:
        entries: Of the study.
        entry: The method, with a stored run.

    Returns:
        (R,) the mean metric divided by the ceiling's; (R,) the share of the way from floor to
        ceiling that is gone. Where the study has no floor it is the method's round 0; nan where a
        floor or ceiling is not stored, or does not lie above the floor.
    """
    mean, _ = mean_and_std(entry.curves('labels'))
    ceiling = level_of(entries, CEILING)
    with_floor = any(e.kind == FLOOR for e in entries)
    floor = level_of(entries, FLOOR) if with_floor else float(mean[0])
    gap = ceiling - floor
    return mean / ceiling, (mean - floor) / (gap if gap > 0 else math.nan)


def judge(study: Study, entries: Sequence[Entry]) -> list[Verdict]:
    """Compares what was measured with what was claimed; empty for a study without a claim."""
    if study.claim is None:
        return []
    ceiling = level_of(entries, CEILING)
    by_label = {e.label: e for e in entries}
    share, at = study.claim.share, study.claim.at
    return [
        verdict(label, by_label[label].curves('fraction'), ceiling, share, at)
        for label in study.claim.methods
    ]


def verdict(
    label: str, curves: Sequence[Curve], ceiling: float, share: float, at: float
) -> Verdict:
    """Whether a method has a share of the ceiling at a share of the labels.

    Args:
        label: The method.
        curves: Its metric over the share of the labels, one curve per seed; linear between rounds.
        ceiling: Metric with all labels, nan where it is not known.
        share: Share of `ceiling` that is claimed.
        at: Share of the labels it is claimed for. Curves that end before it are read at their
            end; that they do not reach the share there says nothing if they end far before. Curves
            that begin after it are read at their beginning; that they reach it there says nothing.

    >>> curve = Curve(np.array([0.0, 0.1]), np.array([0.5, 0.7]), 'mIoU')
    >>> found = verdict('entropy', [curve], ceiling=0.75, share=0.8, at=0.05)
    >>> round(found.share, 3), found.reached
    (0.8, True)
    """
    if not curves or not math.isfinite(ceiling):
        nan = math.nan
        return Verdict(label, len(curves), nan, nan, nan, nan, 0, None, nan)
    begins, ends = max(float(c.x[0]) for c in curves), min(float(c.x[-1]) for c in curves)
    where = max(min(at, ends), begins)
    shares = np.array([np.interp(where, c.x, c.y) for c in curves]) / ceiling
    found = paired_t_interval(shares, np.zeros(len(shares)))
    least = share - 1e-9  # 0.95 of a ceiling must not fail by the last bit
    reached = bool(found.mean >= least)
    known = begins <= at if reached else ends >= NEARLY * at
    mean, _ = mean_and_std(curves)
    x = np.mean([c.x[: len(mean)] for c in curves], axis=0)
    return Verdict(
        label=label,
        seeds=len(curves),
        at=where,
        share=found.mean,
        low=found.low,
        high=found.high,
        seeds_reached=int((shares >= least).sum()),
        reached=reached if known else None,
        reached_at=labels_to_reach(Curve(x, mean, curves[0].metric), least * ceiling),
    )


def differences(study: Study, entries: Sequence[Entry], reference: str) -> list[Difference]:
    """Means of the methods' curves minus the reference's, over the range that all curves cover.

    Args:
        study: The study.
        entries: Of the study.
        reference: Label of a method, one of `Study.references`.

    Returns:
        One for each method but the references up to this one of which a run is stored; empty
        without a run of this one.
    """
    groups = {e.label: e.curves(study.axis) for e in entries_of(entries, METHOD)}
    if reference not in groups:
        return []
    span = common_range([c for members in groups.values() for c in members])
    if span is None:
        return []
    found = {label: {c.seed: area_within(c, span) for c in m} for label, m in groups.items()}
    areas = {
        label: {seed: area for seed, area in by_seed.items() if math.isfinite(area)}
        for label, by_seed in found.items()
    }
    base = areas[reference]
    before = study.references[: study.references.index(reference) + 1]
    return [_difference(label, a, base) for label, a in areas.items() if label not in before]


def signed_rank_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided Wilcoxon signed rank test of pairs; nan below six, which can never reach .05."""
    if len(a) != len(b):
        raise ValueError(f'Expected pairs, but got {len(a)} and {len(b)} values')
    if len(a) < MIN_RANK_TEST_PAIRS:
        return math.nan
    differ = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(stats.wilcoxon(differ).pvalue) if differ.any() else 1.0


def _difference(
    label: str, mine: dict[int | None, float], base: dict[int | None, float]
) -> Difference:
    seeds = [seed for seed in mine if seed in base]
    a, b = [mine[seed] for seed in seeds], [base[seed] for seed in seeds]
    return Difference(label, paired_t_interval(a, b), signed_rank_p(a, b))
