"""Reads a run's folder: what was committed, and the learning curve it makes."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dense_al.analysis.drawing import palette
from dense_al.analysis.naming import flat, literals, method_label
from dense_al.registry import nearest

AXES = {
    'labels': ('units', 'labelled units'),
    'pixels': ('elements', 'labelled pixels'),
    'clicks': ('clicks', 'clicks'),
    'seconds': ('seconds', 'annotation time (s)'),
    'fraction': ('fraction', 'labelled fraction'),
}


@dataclass(frozen=True, eq=False)
class Round:
    """One round of a run, as far as it was committed.

    Attributes:
        index: Its number, -1 for the initial labels.
        path: Its folder.
        train: `train.json`, None where it is not committed.
        query: `query.json`, None where it is not committed.
        done: `round.json`, None where it is not committed.
    """

    index: int
    path: Path
    train: dict[str, Any] | None
    query: dict[str, Any] | None
    done: dict[str, Any] | None

    def query_table(self) -> pa.Table | None:
        """The rows asked for, best first; None before the query is committed."""
        return None if self.query is None else pq.read_table(self.path / 'query.parquet')

    def answers_table(self) -> pa.Table | None:
        """The answers; None before the round is committed."""
        return None if self.done is None else pq.read_table(self.path / 'answers.parquet')


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it lies on disk.

    Attributes:
        work_dir: Its folder.
        name: Name of the run, by default the folder's.
        seed: Its seed, None where it is recorded nowhere.
        rounds: The rounds whose `train.json` is committed, in order.
        initial: The initial labels, None where they are not committed.
        environment: `environment.json`, empty where there is none.
        config: The top-level literals of `config.py`.
        config_text: `config.py` as text.
    """

    work_dir: Path
    name: str
    seed: int | None
    rounds: tuple[Round, ...]
    initial: Round | None
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str

    @property
    def all_rounds(self) -> tuple[Round, ...]:
        """The initial labels, where there are any, then the rounds."""
        return ((self.initial,) if self.initial else ()) + self.rounds

    @property
    def acquisition(self) -> dict[str, Any]:
        """The acquisition of the first query after the initial one; empty where none was made."""
        queries = [r.query for r in self.rounds if r.query]
        return dict(queries[0].get('acquisition') or {}) if queries else {}

    @property
    def budget(self) -> dict[str, Any]:
        """The budget of the first query after the initial one; empty where none was made."""
        queries = [r.query for r in self.rounds if r.query]
        return dict(queries[0].get('budget') or {}) if queries else {}

    @property
    def kind(self) -> str:
        """What is asked for (`image`, `region`, ...), '' where nothing was."""
        kinds = [r.query.get('kind', '') for r in reversed(self.all_rounds) if r.query]
        return str(kinds[0]) if kinds else ''

    @property
    def method(self) -> str:
        """What the run is called in comparisons: recorded, else made from its acquisition."""
        recorded = self.environment.get('method')
        return str(recorded) if recorded else method_label(self.acquisition) or self.name

    @property
    def metric(self) -> str:
        """Name of the metric, '' where no round was trained."""
        trained = [r.train for r in self.rounds if r.train]
        return str(trained[-1]['metric']) if trained else ''

    @property
    def classes(self) -> list[str]:
        """Names of the classes in order of their index."""
        trained = [r.train for r in self.rounds if r.train]
        return [str(c) for c in trained[-1].get('classes') or ()] if trained else []

    @property
    def is_ceiling(self) -> bool:
        """Whether the run is one round on all labels, the ceiling of the others."""
        labelled = [r.train.get('labelled') or {} for r in self.rounds if r.train]
        return len(labelled) == 1 and labelled[0].get('fraction', 0.0) >= 1

    @property
    def colours(self) -> np.ndarray:
        """(C, 3) uint8 RGB colour of each class: the data set's, where they were recorded."""
        recorded = self.environment.get('palette')
        if recorded and len(recorded) >= len(self.classes):
            return np.array(recorded, np.uint8)
        return palette(max(len(self.classes), 1))

    @property
    def state(self) -> str:
        """What the run does next: `finished`, or the step that is not committed yet.

        Where the planned number of rounds was not recorded, a run that ended after training and one
        that is about to ask look the same: both are `finished`.
        """
        planned = self.environment.get('rounds')
        if planned and self.rounds and len(self.rounds) < planned:
            return 'training' if self.rounds[-1].done is not None else 'asking'
        if not self.rounds:
            return 'not trained yet'
        last = self.rounds[-1]
        if last.query is not None:
            return 'training' if last.done is not None else 'waiting for answers'
        return 'finished'

    @cached_property
    def manifest(self) -> dict[str, list[Any]]:
        """The columns of `manifest.parquet`."""
        return pq.read_table(self.work_dir / 'manifest.parquet').to_pydict()

    @property
    def elements_name(self) -> str:
        """`points` when the manifest lists scans, else `pixels`."""
        if not (self.work_dir / 'manifest.parquet').is_file():
            return 'pixels'
        widths = self.manifest['width']
        return 'points' if widths and all(w == 1 for w in widths) else 'pixels'


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


def is_run(path: Path | str) -> bool:
    """Whether a folder holds a run."""
    path = Path(path)
    return (path / 'rounds').is_dir() or (path / 'initial').is_dir()


def find_runs(path: Path | str, depth: int = 3) -> list[Path]:
    """The runs at or below a folder, sorted; folders inside a run are not searched."""
    path = Path(path)
    if is_run(path):
        return [path]
    if depth == 0 or not path.is_dir():
        return []
    below = sorted(p for p in path.iterdir() if p.is_dir())
    return [run for p in below for run in find_runs(p, depth - 1)]


def load_run(work_dir: Path | str) -> Run:
    """Reads what a run has committed so far.

    Args:
        work_dir: Folder of the run; it may be unfinished or still running.

    Returns:
        The run; its tables are read when they are asked for.

    Raises:
        FileNotFoundError: The folder holds no run; the message lists runs nearby.
        ValueError: A committed file is damaged, or a round in the middle is missing.
    """
    path = Path(work_dir)
    if not is_run(path):
        raise FileNotFoundError(_not_a_run(path))
    environment = _read_json(path / 'environment.json') or {}
    config_file = path / 'config.py'
    text = config_file.read_text(encoding='utf-8') if config_file.is_file() else ''
    config = literals(text)
    initial = _read_round(path / 'initial', -1)
    return Run(
        work_dir=path,
        name=str(environment.get('name') or path.resolve().name),
        seed=_seed(environment, config, path.resolve().name),
        rounds=_read_rounds(path / 'rounds'),
        initial=initial if initial.query or initial.done else None,
        environment=environment,
        config=config,
        config_text=text,
    )


def curve_of(run: Run, x: str = 'labels') -> Curve:
    """The learning curve of a run that is read already, see `load_curve`."""
    if x not in AXES:
        raise ValueError(f'Expected x to be one of {", ".join(AXES)}, but got `{x}`. '
                         f'{nearest(x, AXES)}')  # fmt: skip
    key, label = AXES[x]
    trained = [r.train for r in run.rounds if r.train]
    if not trained:
        raise ValueError(f'Expected a run with a trained round, but got none in {run.work_dir}')
    for number, train in enumerate(trained):
        found = sorted(train.get('labelled') or ())
        if key not in found:
            raise ValueError(f'Expected `labelled.{key}` in train.json of round {number} of '
                             f'{run.work_dir}, but got {found}')  # fmt: skip
    if x == 'pixels':
        label = f'labelled {run.elements_name}'
    elif x == 'labels' and run.kind:
        label = f'labelled {run.kind}s'
    return Curve(
        x=np.array([t['labelled'][key] for t in trained], np.float64),
        y=np.array([np.nan if t['value'] is None else t['value'] for t in trained], np.float64),
        metric=run.metric,
        axis=x,
        x_label=label,
        name=run.name,
        seed=run.seed,
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


def group_runs(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Groups runs by method; each group holds one run per seed, sorted by seed.

    Two acquisitions or budgets that get the same short name are told apart by the settings in
    which they differ.

    Raises:
        ValueError: Two runs of one method have the same seed.
    """
    by_key: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        same = {} if run.environment.get('method') else _settings(run)
        by_key.setdefault((run.method, json.dumps(same, sort_keys=True)), []).append(run)
    groups: dict[str, list[Run]] = {}
    for (method, _), members in by_key.items():
        rivals = [m for (other, _), m in by_key.items() if other == method]
        label = method + _difference(members[0], [m[0] for m in rivals])
        groups.setdefault(label, []).extend(members)
    for method, members in groups.items():
        members.sort(key=lambda r: (r.seed is None, r.seed or 0, r.name))
        for first, second in zip(members, members[1:]):
            if first.seed is not None and first.seed == second.seed:
                raise ValueError(f'Expected one run per seed of `{method}`, but got seed '
                                 f'{first.seed} in {first.work_dir} and '
                                 f'{second.work_dir}')  # fmt: skip
    return groups


def _settings(run: Run) -> dict[str, str]:
    settings = flat({**run.acquisition, 'budget': run.budget})
    return {k: v for k, v in settings.items() if k.rpartition('.')[2] != 'seed'}


def _difference(run: Run, rivals: Sequence[Run]) -> str:
    settings = [_settings(r) for r in rivals]
    mine = _settings(run)
    keys = sorted({k for s in settings for k in s})
    differing = [k for k in keys if len({s.get(k, '-') for s in settings}) > 1]
    listed = ', '.join(f'{k}={mine.get(k, "-")}' for k in differing)
    return f' ({listed})' if listed else ''


def _seed(environment: Mapping[str, Any], config: Mapping[str, Any], folder: str) -> int | None:
    randomness = config.get('randomness')
    nested = randomness.get('seed') if isinstance(randomness, Mapping) else None
    for value in (environment.get('seed'), config.get('seed'), nested):
        if isinstance(value, int):
            return value
    match = re.search(r'seed[_-]?(\d+)$', folder)
    return int(match[1]) if match else None


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(f'Expected JSON in {path}, but got: {error}') from error
    if not isinstance(value, dict):
        raise ValueError(f'Expected an object in {path}, but got {type(value).__name__}')
    return value


def _read_round(path: Path, index: int) -> Round:
    train = _read_json(path / 'train.json')
    query = _read_json(path / 'query.json') if train or index < 0 else None
    done = _read_json(path / 'round.json') if query or index < 0 else None
    return Round(index, path, train, query, done)


def _read_rounds(folder: Path) -> tuple[Round, ...]:
    numbers = sorted(int(p.name) for p in folder.glob('*') if p.is_dir() and p.name.isdigit())
    rounds = [_read_round(folder / f'{number:03d}', number) for number in numbers]
    trained = [r for r in rounds if r.train is not None]
    missing = sorted(set(range(len(trained))) - {r.index for r in trained})
    if missing:
        raise ValueError(f'Expected rounds without a gap in {folder}, but got {numbers} '
                         f'without train.json in {missing}')  # fmt: skip
    return tuple(trained)


def _not_a_run(path: Path) -> str:
    if not path.exists():
        what = 'a path that does not exist'
    else:
        what = 'a folder without them' if path.is_dir() else 'a file'
    near = find_runs(path, 2) if path.is_dir() else []
    if not near:
        parent = next((p for p in path.resolve().parents if p.is_dir()), Path('.'))
        near = find_runs(parent, 2)
    listed = ', '.join(str(p) for p in near[:8]) + (', ...' if len(near) > 8 else '')
    return (f'Expected the folder of a run (with rounds/000/train.json in it), but got {what}: '
            f'{path}. Runs nearby: {listed or "none"}.')  # fmt: skip
