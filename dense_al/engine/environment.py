"""What a run was begun with: recorded, compared on resume, and shared between equal runs."""

import hashlib
import json
import os
import shutil
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from dense_al.engine.store import INITIAL, RunStore, write_json
from dense_al.registry import ConfigError

# A bit-identical resume holds only while these stay, and a curve is one method's.
METHOD = ('acquisition', 'budget')
FIXED = ('seed', 'regions', 'units_key', 'device', 'threads', 'workers', 'batch_size', 'versions')


def environment(
    args: Namespace, cfg: Config, task: Any, unit: Any, units_key: str, initial: Any
) -> dict[str, Any]:
    """The contents of `environment.json`.

    Args:
        args: The command line.
        cfg: The resolved config.
        task: The task, for its classes and palette.
        unit: Config of the units.
        units_key: Identifies the unit maps.
        initial: Plain description of how the initial labels come about.
    """
    loader = cfg['train_dataloader']
    work_dir = Path(args.work_dir)
    found = {
        'name': work_dir.name,
        'method': Path(args.config).stem,
        'seed': args.seed,
        'rounds': cfg['rounds']['count'],
        'regions': unit,
        'acquisition': plain(cfg['acquisition']),
        'budget': plain(cfg['budget']),
        'cache_dir': str((work_dir.parent / 'regions').resolve()),
        'units_key': units_key,
        'classes': task.classes,
        'palette': task.palette,
        'scan_columns': None if task.scans is None else task.scans.format.columns,
        'device': 'cuda' if torch.cuda.is_available() else 'cpu',
        'threads': torch.get_num_threads(),
        'workers': loader.get('num_workers', 0),
        'batch_size': loader.get('batch_size', 1),
        'versions': {p: version(p) for p in ('torch', 'numpy', 'onedl-mmengine')},
    }
    return {**found, 'start_key': _start_key(cfg, found, initial)}


def _start_key(cfg: Config, found: dict[str, Any], initial: Any) -> str:
    """Hash of everything that round 0 follows from."""
    parts = cfg.to_dict()
    rounds = {k: v for k, v in parts.pop('rounds').items() if k != 'count'}
    for key in ('acquisition', 'budget', 'work_dir'):
        parts.pop(key, None)
    used = {key: found[key] for key in FIXED if key != 'regions'}
    text = json.dumps([parts, rounds, used, initial], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(node: Any) -> Any:
    """Config dicts as plain dicts."""
    return node.to_dict() if hasattr(node, 'to_dict') else node


def record(store: RunStore, now: dict[str, Any], allow_other: bool) -> None:
    """Writes `environment.json`, or checks it against what was written before.

    Args:
        store: The run.
        now: As `environment` gives it.
        allow_other: Go on although something differs.

    Raises:
        ConfigError: The run was begun with something else.
    """
    path = store.work_dir / 'environment.json'
    if path.exists() and not allow_other:
        before = json.loads(path.read_text(encoding='utf-8'))
        for key in (*FIXED, *(k for k in METHOD if k in before)):
            if before.get(key) != json.loads(json.dumps(now[key])):
                raise ConfigError(
                    f'Expected `{key}` {before.get(key)!r} as when the run began, but got '
                    f'{now[key]!r}; --allow-other-environment goes on all the same'
                )
    write_json(path, now)


def share_start(store: RunStore, other: Path, start_key: str) -> bool:
    """Takes over the initial labels and the trained round 0 of a run that started the same way.

    Args:
        store: The run that begins.
        other: Folder of the other run.
        start_key: Of the run that begins.

    Returns:
        Whether they were taken over; not where the other run started differently or has not come
        so far.
    """
    there = RunStore(other)
    if store.read(INITIAL, 'query') is not None or there.read(0, 'train') is None:
        return False
    found = json.loads((other / 'environment.json').read_text(encoding='utf-8'))
    if found.get('start_key') != start_key:
        return False
    # Commits after what they describe.
    initial = ('units.parquet', 'query.parquet', 'query.json', 'answers.parquet', 'round.json')
    for round_number, names in ((INITIAL, initial), (0, ('checkpoint.pth', 'train.json'))):
        for name in names:
            if (there.folder(round_number) / name).exists():
                _link(there.folder(round_number) / name, store.folder(round_number) / name)
    return True


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none; files of a run never change."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f'.{target.name}.tmp')
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
