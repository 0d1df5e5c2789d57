"""One-shot selection: the next units from the user's own model and pool."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from dense_al.acquisition import Selection, rng_for
from dense_al.engine.initial import named_samples
from dense_al.engine.learner import Learner
from dense_al.engine.observe import observe
from dense_al.pool import Ledger
from dense_al.registry import ConfigError
from dense_al.structures import Budget, Query

SUFFIXES = ('.csv', '.json', '.parquet')


def select_once(
    learner: Learner, checkpoint: Path, n: int, labelled: Sequence[str] | str = ()
) -> Query:
    """Chooses n units with a given model.

    Args:
        learner: A run that was built, not begun.
        checkpoint: The user's weights.
        n: Number of units.
        labelled: Names of samples (or a file of them) that are labelled and not asked.

    Raises:
        ConfigError: No checkpoint, n below 1.
    """
    if learner.acquisition.needs and not checkpoint.is_file():
        raise ConfigError(f'Expected a checkpoint, but {checkpoint} does not exist')
    task, acquisition = learner.task, learner.acquisition
    done = named_samples(labelled, task.manifest) if len(labelled) else np.zeros(0, np.int64)
    samples = np.setdiff1d(task.manifest.pool, done)
    samples = acquisition.samples(samples, rng_for(learner.seed, 0, 'subset'))
    ledger = Ledger()
    rows, _ = observe(
        task,
        acquisition,
        learner.units,
        samples,
        checkpoint,
        ledger,
        acquisition.recall([]),
        learner.progress,
    )
    given = Selection(
        ledger=ledger,
        budget=Budget(n),
        pool_elements=task.manifest.pool_elements,
        n_pool=task.manifest.n_pool,
        prices=learner.prices,
        rng=rng_for(learner.seed, 0, 'select'),
        n_classes=len(task.classes),
    )
    return acquisition.select(rows, given)


def write_selection(query: Query, names: Sequence[str], out: Path) -> None:
    """Writes a query with sample names as CSV, JSON or Parquet, by the suffix of `out`.

    Raises:
        ConfigError: Another suffix.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(f'Expected `--out` to end in one of {SUFFIXES}, but got {out.name}')
    table = replace(query, notes=None).table()
    column = pa.array([names[s] for s in query.sample])
    table = table.add_column(0, 'name', column)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == '.csv':
        csv.write_csv(table, out)
    elif out.suffix == '.parquet':
        pq.write_table(table, out)
    else:
        import json

        out.write_text(json.dumps(table.to_pylist(), indent=1), encoding='utf-8')
