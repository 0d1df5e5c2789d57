"""What a run was begun with: recorded, compared on resume, and shared between equal runs."""

import hashlib
import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from dense_al import ops
from dense_al.engine.distribution import world
from dense_al.engine.store import INITIAL, RunStore, json_text
from dense_al.registry import ConfigError

# A bit-identical resume holds only while these stay, and a curve is one method's.
METHOD = ('acquisition', 'budget')
FIXED = (
    'seed', 'regions', 'units_key', 'device', 'threads', 'processes', 'workers', 'batch_size',
    'versions',
)  # fmt: skip
# Keys of the config, and of dicts anywhere in it, that change nothing of what a run finds: how far
# it goes, how long it waits, what it prints. The number of data workers of training is `workers`.
FREE = (
    'rounds.count', 'rounds.checkpoint_interval', 'oracle.wait_for', 'work_dir', 'launcher',
    'resume', 'log_level', 'log_processor', 'visualizer', 'vis_backends', 'env_cfg',
    'default_hooks.logger', 'default_hooks.checkpoint', 'default_hooks.visualization',
    'default_hooks.timer',
)  # fmt: skip
FREE_ANYWHERE = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'timeout')
PER_ROUND = 'rounds.iterations.'  # a list with a number for each round grows with them
# What round 0 does not follow from; how its labels come about is told apart from the config.
LATER = ('acquisition', 'budget', 'rounds.later.', 'rounds.initial.')
PACKAGES = (
    'torch', 'torchvision', 'numpy', 'scipy', 'scikit-learn', 'scikit-image', 'onedl-mmengine',
    'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation', 'dense_al',
)  # fmt: skip
OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
          'opencv-contrib-python-headless')  # fmt: skip
SPCONV = ('spconv', *(f'spconv-cu{n}' for n in (118, 120, 121, 124, 126)))
MOST_NAMED = 8  # settings that differ, in one message
_ABSENT = object()


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
        'processes': world()[1],
        'workers': loader.get('num_workers', 0),
        'batch_size': loader.get('batch_size', 1),
        'versions': _versions(),
        'config': dict(_settings(cfg.to_dict())),
    }
    return {**found, 'start_key': _start_key(found, [task.manifest.digest, initial])}


def _start_key(found: dict[str, Any], initial: Any) -> str:
    """Hash of everything that round 0 follows from."""
    used = {key: found[key] for key in FIXED if key != 'regions'}
    later = (*LATER, PER_ROUND)
    settings = {
        key: value
        for key, value in found['config'].items()
        if not key.startswith(later) or key == f'{PER_ROUND}0'
    }
    text = json.dumps([settings, used, initial], sort_keys=True, default=str)
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
    before = store.environment() if store.begun else {}
    found = [] if allow_other else list(_differences(before, now))
    if found:
        (key, old, new), *more = found
        message = (
            f'Expected `{key}` {_said(old)} as when the run began, but got {_said(new)}; '
            '--allow-other-environment goes on all the same'
        )
        if more:
            names = ', '.join(f'`{name}`' for name, *_ in more[:MOST_NAMED])
            names += f' and {len(more) - MOST_NAMED} more' * (len(more) > MOST_NAMED)
            message += f'. Also different: {names}; it began with {store.config_file}'
        raise ConfigError(message)
    if store.read(INITIAL, 'query') is not None and before.get('start_key') != now.get('start_key'):
        # What was drawn or trained before follows from other settings than what comes now.
        trained = store.read(0, 'train') is not None
        now = {**now, 'start_key': before.get('start_key') if trained else None}
    store.write_environment(now)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Key, old and new value of what differs, as far as it was recorded before."""
    now = json.loads(json_text(now))
    for key in (*METHOD, *FIXED):
        if key in before and key != 'versions' and before[key] != now[key]:
            yield key, before[key], now[key]
    for package, old in before.get('versions', {}).items():
        if old != now['versions'].get(package):
            yield f'versions.{package}', old, now['versions'].get(package)
    if 'config' not in before:  # begun before it was recorded
        return
    for key in sorted({*before['config'], *now['config']}):
        old, new = (settings['config'].get(key, _ABSENT) for settings in (before, now))
        grown = key.startswith(PER_ROUND) and _ABSENT in (old, new)
        if old != new and not grown and not _free(key):
            yield key, old, new


def _said(value: Any) -> str:
    return 'absent' if value is _ABSENT else repr(value)


def _settings(node: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Dotted key -> value of a config, without what may change while a run goes on."""
    if _free(key):
        return
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, (dict, list, tuple)):
        inside = node.items() if isinstance(node, dict) else enumerate(node)
    elif not isinstance(node, (str, int, float, type(None))):
        node = getattr(node, '__qualname__', type(node).__name__)  # no address in memory
    if not isinstance(node, (dict, list, tuple)) or not node:
        yield key, node
    for name, value in inside:
        yield from _settings(value, f'{key}.{name}' if key else str(name))


def _free(key: str) -> bool:
    """Whether a setting may change while a run goes on; earlier versions recorded some of them."""
    parts = key.split('.')
    above = {'.'.join(parts[:n]) for n in range(1, len(parts) + 1)}
    return not above.isdisjoint(FREE) or not set(parts).isdisjoint(FREE_ANYWHERE)


def _versions() -> dict[str, str | None]:
    """Package -> its version, None where it is not installed; and who computes operators."""
    found = {package: _version(package) for package in PACKAGES}
    for name, packages in (('opencv', OPENCV), ('spconv', SPCONV)):
        found[name] = next(filter(None, map(_version, packages)), None)
    return {**found, 'mmcv operators': ops.install()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
    if there.environment().get('start_key') != start_key:
        return False
    store.take_over_start(there)
    return True
