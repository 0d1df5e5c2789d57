"""The command line of `tools/al_train.py`: from arguments to a running loop."""

import argparse
import json
import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, DictAction

from dense_al import ops
from dense_al.acquisition import Acquisition
from dense_al.config import DICTS, apply_sandbox, load_config, write_sandbox_world
from dense_al.engine.initial import named_samples
from dense_al.engine.learner import Learner
from dense_al.engine.store import RunLockedError, RunStore, write_json
from dense_al.engine.task import Rounds
from dense_al.oracles import Oracle, WaitingForAnswers
from dense_al.regions import build_regions
from dense_al.registry import ACQUISITIONS, ORACLES, ConfigError, check_keys
from dense_al.structures import Budget, Manifest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
WAITING, INTERRUPTED, MISTAKE = 3, 130, 2
logger = logging.getLogger('dense_al')


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs active learning; returns the exit code.

    Args:
        arguments: Command line, `sys.argv[1:]` by default.

    Returns:
        0 done, 2 a mistake of the user, 3 waiting for answers, 130 interrupted.
    """
    args = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format='%(message)s')
    logger.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupt)
    resume = (
        f'python tools/al_train.py {shlex.quote(args.config)} --work-dir {args.work_dir} --resume'
    )
    try:
        learner = build(args)
        if args.dry_run:
            print(plan(learner))
            return 0
        learner.run()
    except (ConfigError, RunLockedError, FileNotFoundError, ValueError) as error:
        if os.environ.get('DENSE_AL_TRACEBACK'):
            raise
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return MISTAKE
    except WaitingForAnswers as waiting:
        print(f'{waiting}\nWhen they are there, go on with: {resume}', file=sys.stderr)
        return WAITING
    except KeyboardInterrupt:
        print(f'\nInterrupted; nothing is lost. Go on with: {resume}', file=sys.stderr)
        return INTERRUPTED
    return 0


def build(args: argparse.Namespace) -> Learner:
    """Builds everything and checks it; nothing is trained.

    Args:
        args: The parsed command line.
    """
    cfg = load_config(args.config, args.cfg_options)
    if args.sandbox:
        cfg = apply_sandbox(cfg, CONFIGS)
    ops.install()
    cfg['launcher'] = args.launcher
    work_dir = Path(args.work_dir)
    store = RunStore(work_dir)
    if not args.resume and (work_dir / 'manifest.parquet').exists() and not args.dry_run:
        raise ConfigError(f'Expected an empty folder, but {work_dir} holds a run; add --resume')
    rounds = _plain(Rounds, cfg['rounds'], 'rounds')
    budget = _plain(Budget, cfg['budget'], 'budget')
    given = rounds.initial or {}
    acquisition: Acquisition = ACQUISITIONS.build(cfg['acquisition'], 'acquisition')
    oracle: Oracle = ORACLES.build(cfg['oracle'], 'oracle')
    write_sandbox_world(cfg)
    from dense_al.adapters.mmseg import MMSegTask

    task = MMSegTask(cfg, rounds, partial=acquisition.kind != 'image')
    initial = _initial(cfg, rounds, task.manifest)
    units = build_regions(acquisition.unit, task.manifest, work_dir.parent / 'regions')
    if not args.dry_run:
        store.lock()
        units.prepare(workers=0 if len(task.manifest) < 500 else None)
        store.phase('config')
        cfg.dump(str(work_dir / 'config.py'))
        record_environment(store, args, cfg, task.classes, units.maps.key)
    return Learner(
        task=task,
        units=units,
        acquisition=acquisition,
        initial=initial,
        oracle=oracle,
        budget=budget,
        initial_budget=_plain(Budget, given['budget'], 'rounds.initial.budget')
        if 'budget' in given
        else replace(budget),
        rounds=rounds,
        store=store,
        seed=args.seed,
        describe=_description(cfg),
    )


def _initial(cfg: Config, rounds: Rounds, manifest: Manifest) -> Acquisition | np.ndarray:
    """What gives the initial labels."""
    given = rounds.initial or {}
    if 'labelled' in given:
        return named_samples(given['labelled'], manifest)
    random = {'type': 'Composed', 'unit': cfg['acquisition'].get('unit'), 'score': 'Random'}
    field = 'rounds.initial.acquisition'
    initial: Acquisition = ACQUISITIONS.build(given.get('acquisition', random), field)
    if initial.needs:
        raise ConfigError(
            f'Expected `{field}` to need no model, but it needs {sorted(initial.needs)}'
        )
    if initial.kind != 'image' and initial.unit != cfg['acquisition'].get('unit'):
        raise ConfigError(
            f'Expected `{field}.unit` to be Image or the units of `acquisition`, '
            f'but got {initial.unit}'
        )
    return initial


def record_environment(
    store: RunStore, args: argparse.Namespace, cfg: Config, classes: list[str], units_key: str
) -> None:
    """Writes what a bit-identical resume depends on, or checks it against what was written.

    Raises:
        ConfigError: The run was begun with something else.
    """
    path = store.work_dir / 'environment.json'
    now = {
        'name': store.work_dir.name,
        'method': Path(args.config).stem,
        'seed': args.seed,
        'regions': cfg['acquisition'].get('unit'),
        'cache_dir': str((store.work_dir.parent / 'regions').resolve()),
        'units_key': units_key,
        'classes': classes,
        'device': 'cuda' if torch.cuda.is_available() else 'cpu',
        'threads': torch.get_num_threads(),
        'workers': cfg['train_dataloader'].get('num_workers', 0),
        'batch_size': cfg['train_dataloader'].get('batch_size', 1),
        'versions': {p: version(p) for p in ('torch', 'numpy', 'onedl-mmengine')},
    }
    if path.exists() and not args.allow_other_environment:
        before = json.loads(path.read_text(encoding='utf-8'))
        for key in (
            'seed',
            'regions',
            'units_key',
            'device',
            'threads',
            'workers',
            'batch_size',
            'versions',
        ):
            if before.get(key) != now[key]:
                raise ConfigError(
                    f'Expected `{key}` {before.get(key)!r} as when the run began, but got '
                    f'{now[key]!r}; --allow-other-environment goes on all the same'
                )
    write_json(path, now)


def plan(learner: Learner) -> str:
    """What a run would do, as text."""
    manifest, rounds = learner.task.manifest, learner.rounds
    pixels = int(manifest.areas.sum())
    asked = learner.budget.amount(pixels) * (rounds.count - 1) + learner.initial_budget.amount(
        pixels
    )
    unit = 'pixels' if learner.budget.unit == 'percent' else learner.budget.unit
    return '\n'.join(
        [
            f'samples   {len(manifest)} ({pixels:,} pixels), {len(learner.task.classes)} classes',
            f'units     {learner.acquisition.kind}, {learner.acquisition.unit}',
            f'budget    {learner.budget.per_round:g} {learner.budget.unit} per round',
            f'rounds    {rounds.count}, {asked:,.0f} {unit} in all',
            f'needs     {", ".join(sorted(learner.acquisition.needs)) or "no model"}',
        ]
    )


def _description(cfg: Config) -> Any:
    """The four dicts as plain data."""
    return {key: cfg[key].to_dict() for key in DICTS}['acquisition']


def _plain(cls: Any, cfg: Any, field: str) -> Any:
    """Builds a dataclass from a dict of the config, strictly."""
    check_keys(cfg, cls.__dataclass_fields__, field)
    try:
        return cls(**cfg)
    except TypeError as error:
        raise ConfigError(f'In `{field}`: {error}') from error


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Run active learning')
    parser.add_argument('config', help='an mmseg config with the four dicts')
    parser.add_argument('--work-dir', help='default: work_dirs/<name of the config>')
    parser.add_argument('--resume', action='store_true', help='go on with the run in the work dir')
    parser.add_argument('--sandbox', action='store_true', help='small generated world and model')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    parser.add_argument('--allow-other-environment', action='store_true')
    parser.add_argument('--dry-run', action='store_true', help='check and print the plan')
    args = parser.parse_args(arguments)
    args.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem)
    return args
