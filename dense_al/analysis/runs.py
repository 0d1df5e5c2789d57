"""Runs as they lie on disk, for everything that looks at them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dense_al.analysis.drawing import palette
from dense_al.analysis.naming import flat, literals, method_label
from dense_al.engine import INITIAL, RunStore
from dense_al.engine.reopen import open_run
from dense_al.structures import Boxes, Instances, Manifest, Tags, decode


@dataclass(frozen=True, eq=False)
class Round:
    """One round of a run, as far as it was committed.

    Attributes:
        index: Its number, -1 for the initial labels.
        store: The run it is of.
        train: `train.json`, None where it is not committed.
        query: `query.json`, None where it is not committed.
        done: `round.json`, None where it is not committed.
    """

    index: int
    store: RunStore
    train: dict[str, Any] | None
    query: dict[str, Any] | None
    done: dict[str, Any] | None

    def query_table(self) -> pa.Table | None:
        """The rows asked for, best first; None before the query is committed."""
        return None if self.query is None else self.store.table(self.index, 'query')

    def pseudo_table(self) -> pa.Table | None:
        """The rows that the model labelled itself, None where there are none."""
        return None if self.query is None else self.store.table(self.index, 'pseudo')

    def answers_table(self) -> pa.Table | None:
        """The answers; None before the round is committed."""
        return None if self.done is None else self.store.table(self.index, 'answers')


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it lies on disk.

    Attributes:
        store: Its files.
        name: Name of the run, by default the folder's.
        seed: Its seed, None where it is recorded nowhere.
        rounds: The rounds whose `train.json` is committed, in order.
        initial: The initial labels, None where they are not committed.
        environment: `environment.json`, empty where there is none.
        config: The top-level literals of `config.py`.
        config_text: `config.py` as text.
    """

    store: RunStore
    name: str
    seed: int | None
    rounds: tuple[Round, ...]
    initial: Round | None
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str

    @property
    def work_dir(self) -> Path:
        """Its folder."""
        return self.store.work_dir

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
    def manifest(self) -> Manifest:
        """Its samples."""
        return self.store.manifest()

    @property
    def elements_name(self) -> str:
        """`points` when the manifest lists scans, else `pixels`."""
        try:
            widths = self.manifest.widths
        except FileNotFoundError:
            return 'pixels'
        return 'points' if len(widths) and (widths == 1).all() else 'pixels'

    @cached_property
    def counted_name(self) -> str:
        """What the classes of its answers are counted in: `objects`, `tags`, or its elements."""
        for round_ in self.rounds:
            table = round_.answers_table()
            payloads = [] if table is None else table['payload'].to_pylist()
            label = next((decode(payload) for payload in payloads if payload), None)
            if label is not None:
                counted = {Tags: 'tags', Boxes: 'objects', Instances: 'objects'}
                return counted.get(type(label), self.elements_name)
        return self.elements_name


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
    store = open_run(work_dir)
    environment = store.environment()
    file = store.config_file
    text = file.read_text(encoding='utf-8') if file.is_file() else ''
    config = literals(text)
    folder = store.work_dir.resolve().name
    initial = _read_round(store, INITIAL)
    return Run(
        store=store,
        name=str(environment.get('name') or folder),
        seed=_seed(environment, config, folder),
        rounds=_read_rounds(store),
        initial=initial if initial.query or initial.done else None,
        environment=environment,
        config=config,
        config_text=text,
    )


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


def _read_round(store: RunStore, index: int) -> Round:
    train = store.read(index, 'train')
    query = store.read(index, 'query') if train or index < 0 else None
    done = store.read(index, 'round') if query or index < 0 else None
    return Round(index, store, train, query, done)


def _read_rounds(store: RunStore) -> tuple[Round, ...]:
    numbers = store.rounds()
    rounds = [_read_round(store, number) for number in numbers]
    trained = [r for r in rounds if r.train is not None]
    missing = sorted(set(range(len(trained))) - {r.index for r in trained})
    if missing:
        raise ValueError(f'Expected rounds without a gap in {store.work_dir}, but got {numbers} '
                         f'without train.json in {missing}')  # fmt: skip
    return tuple(trained)
