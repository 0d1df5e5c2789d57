"""The learning curve of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.analysis.naming import units_name
from dense_al.analysis.runs import Run, load_run
from dense_al.registry import nearest

AXES = {
    'labels': ('units', 'labelled units'),
    'pixels': ('elements', 'labelled pixels'),
    'clicks': ('clicks', 'clicks'),
    'seconds': ('seconds', 'annotation time (s)'),
    'fraction': ('fraction', 'labelled fraction'),
}


@dataclass(frozen=True, eq=False)
class Curve:
    """A learning curve.

    Attributes:
        x: (N,) float64, what was paid before each round; never decreasing.
        y: (N,) float64, the metric after training on it.
        metric: Name of the metric.
        axis: Which cost `x` is: a key of `AXES`.
        x_label: What to write on the axis, with its unit.
        name: Name of the run.
        seed: Its seed, None where unknown.
    """

    x: np.ndarray
    y: np.ndarray
    metric: str
    axis: str = 'labels'
    x_label: str = ''
    name: str = ''
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 1 or self.x.shape != self.y.shape:
            raise ValueError(
                f'Expected x and y of shape (N,), but got {self.x.shape} {self.y.shape}'
            )
        if (np.diff(self.x) < 0).any():
            raise ValueError(f'Expected x that never decreases, but got {self.x.tolist()}')


def curve_of(run: Run, x: str = 'labels') -> Curve:
    """The learning curve of a run that is read already, see `load_curve`."""
    trained = [r.train for r in run.rounds if r.train]
    if not trained:
        raise ValueError(f'Expected a run with a trained round, but got none in {run.work_dir}')
    return curve_of_rounds(
        trained,
        x,
        metric=run.metric,
        kind=run.kind,
        elements_name=run.elements_name,
        name=run.name,
        seed=run.seed,
        where=str(run.work_dir),
    )


def curve_of_rounds(
    rounds: Sequence[Mapping[str, Any]],
    x: str,
    *,
    metric: str,
    kind: str,
    elements_name: str,
    name: str,
    seed: int | None,
    where: str,
) -> Curve:
    """The learning curve of trained rounds.

    Args:
        rounds: `value` and `labelled` of each, as in `train.json`.
        x: What the curve is drawn against, see `load_curve`.
        metric: Name of the metric.
        kind: What was asked for, '' where nothing was.
        elements_name: `pixels` or `points`.
        name: Name of the run.
        seed: Its seed, None where unknown.
        where: Where the rounds lie, for errors.

    Raises:
        ValueError: Unknown `x`, or one that was not recorded.
    """
    if x not in AXES:
        raise ValueError(f'Expected x to be one of {", ".join(AXES)}, but got `{x}`. '
                         f'{nearest(x, AXES)}')  # fmt: skip
    key, label = AXES[x]
    for number, train in enumerate(rounds):
        found = sorted(train.get('labelled') or ())
        if key not in found:
            raise ValueError(f'Expected `labelled.{key}` of round {number} in {where}, but got '
                             f'{found}')  # fmt: skip
    if x == 'pixels':
        label = f'labelled {elements_name}'
    elif x == 'labels' and kind:
        label = f'labelled {units_name(kind)}'
    values = [np.nan if train['value'] is None else train['value'] for train in rounds]
    return Curve(
        x=np.array([train['labelled'][key] for train in rounds], np.float64),
        y=np.array(values, np.float64),
        metric=metric,
        axis=x,
        x_label=label,
        name=name,
        seed=seed,
    )


def load_curve(work_dir: Path | str, x: str = 'labels') -> Curve:
    """Reads the learning curve of a run, as far as it has come.

    Args:
        work_dir: Folder of the run.
        x: What the curve is drawn against: `labels` (units), `pixels` (or points), `clicks`,
            `seconds` (of annotation) or `fraction` (of the pool).

    Returns:
        One point per trained round.

    Raises:
        FileNotFoundError: The folder holds no run.
        ValueError: Unknown `x`, or no round was trained.
    """
    return curve_of(load_run(work_dir), x)
