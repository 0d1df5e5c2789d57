"""One-shot selection: the next units from the user's own model and pool."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from dense_al.engine.initial import existing_labels, named_samples
from dense_al.engine.learner import Learner
from dense_al.engine.select import choose, observe_for
from dense_al.pool import Ledger
from dense_al.registry import ConfigError
from dense_al.structures import Budget, Query

SUFFIXES = ('.csv', '.json', '.parquet')


def select_once(
    learner: Learner, checkpoint: Path, n: int, labelled: Sequence[str] | str = ()
) -> Query:
    """Chooses n units with a given model, as a round of the loop would.

    Args:
        learner: A run that was built, not begun.
        checkpoint: The user's weights.
        n: Number of units.
        labelled: Names of samples (or a file of them) that are labelled as a whole, in the data
            set of the config: they are not asked, and guide what is.

    Raises:
        ConfigError: No checkpoint, n below 1, an unknown name.
        NothingLeftError: Everything is labelled.
        OSError, ValueError: A label is missing or wrong.
    """
    if learner.acquisition.needs and not checkpoint.is_file():
        raise ConfigError(f'Expected a checkpoint, but {checkpoint} does not exist')
    task, acquisition = learner.task, learner.acquisition
    ledger = Ledger()
    if len(labelled):
        _, answers = existing_labels(named_samples(labelled, task.manifest), task)
        ledger = Ledger([answers])
    given = learner.given(0, Budget(n), ledger)
    rows, _ = observe_for(
        acquisition,
        task,
        learner.units,
        given,
        checkpoint,
        seed=learner.seed,
        progress=learner.progress,
    )
    return choose(rows, acquisition, learner.units, given)[0]


def check_suffix(out: Path) -> None:
    """Raises `ConfigError` for a file that `write_selection` cannot write."""
    if out.suffix not in SUFFIXES:
        raise ConfigError(f'Expected `--out` to end in one of {SUFFIXES}, but got {out.name}')


def write_selection(query: Query, names: Sequence[str], out: Path) -> None:
    """Writes a query with sample names as CSV, JSON or Parquet, by the suffix of `out`.

    Raises:
        ConfigError: Another suffix.
    """
    check_suffix(out)
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
