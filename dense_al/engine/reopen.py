"""A run that was begun, opened again: where it is, its units, answers and model."""

from pathlib import Path
from typing import Any

from dense_al.adapters import build_task
from dense_al.adapters.task import Rounds
from dense_al.config import read_config
from dense_al.engine.store import RunStore
from dense_al.pool import Units
from dense_al.regions import build_regions
from dense_al.registry import ConfigError
from dense_al.structures import MODEL, Answer


def is_run(path: Path | str) -> bool:
    """Whether a folder holds a run."""
    return RunStore(path).begun


def find_runs(path: Path | str, depth: int = 3) -> list[Path]:
    """The runs at or below a folder, sorted; folders inside a run are not searched."""
    path = Path(path)
    if is_run(path):
        return [path]
    if depth == 0 or not path.is_dir():
        return []
    below = sorted(p for p in path.iterdir() if p.is_dir())
    return [run for p in below for run in find_runs(p, depth - 1)]


def open_run(work_dir: Path | str) -> RunStore:
    """The files of a run, which may be unfinished or still running.

    Raises:
        FileNotFoundError: The folder holds no run; the message lists runs nearby.
    """
    store = RunStore(work_dir)
    if not store.begun:
        raise FileNotFoundError(_not_a_run(store.work_dir))
    return store


def answers_of(store: RunStore) -> list[Answer]:
    """The answers of people or of labels that are in force, whatever round a run has reached."""
    answers = store.ledger(before=max(store.rounds(), default=-1) + 1).in_force()
    return [a for a in answers if a.source != MODEL]


def scans_of(store: RunStore) -> Any:
    """Where the points of a run's samples come from, None for images."""
    if not store.environment().get('scan_columns'):
        return None
    from dense_al.adapters.lidar import pool_scans  # loads models

    return pool_scans(read_config(store.config_file))


def units_of(store: RunStore, scans: Any = None) -> Units:
    """The units of a run from what it recorded.

    Args:
        store: The run.
        scans: As `scans_of` gives them, where they are read already.

    Raises:
        ConfigError: The run recorded none.
    """
    recorded = store.environment()
    if not recorded.get('regions') or not recorded.get('cache_dir'):
        raise ConfigError(
            f'Expected `regions` and `cache_dir` in environment.json of {store.work_dir}, but got '
            f'{sorted(recorded)}'
        )
    scans = scans or scans_of(store)
    return build_regions(recorded['regions'], store.manifest(), recorded['cache_dir'], scans)


def task_of(store: RunStore) -> Any:
    """The data and model of a run."""
    cfg = read_config(store.config_file)
    return build_task(cfg, Rounds(**cfg['rounds']), partial=False)


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
