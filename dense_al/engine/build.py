"""From a config to a learner that is ready to run."""

import logging
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import numpy as np
from mmengine.config import Config

from dense_al.acquisition import Acquisition
from dense_al.adapters import build_task
from dense_al.adapters.task import Rounds, Task
from dense_al.config import apply_sandbox, load_config
from dense_al.engine.checks import check_run
from dense_al.engine.distribution import on_main
from dense_al.engine.environment import environment, plain, record, share_start
from dense_al.engine.initial import named_samples
from dense_al.engine.learner import Learner
from dense_al.engine.store import RunStore
from dense_al.oracles import Oracle
from dense_al.regions import RegionMaps, build_regions
from dense_al.registry import ACQUISITIONS, ORACLES, UNITS, ConfigError, construct
from dense_al.sandbox import prepare_sandbox
from dense_al.structures import Budget

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
logger = logging.getLogger('dense_al')


def build(args: Namespace) -> Learner:
    """Builds everything and checks it; nothing is trained.

    A world of the sandbox is generated first, also for a dry run, which counts its samples.

    Args:
        args: The command line of `tools/al_train.py`.

    Raises:
        ConfigError: A mistake in the config, or a folder that holds another run.
    """
    cfg = _resolved(args)
    store = _store(args)
    rounds = construct(Rounds, cfg['rounds'], 'rounds')
    budget = construct(Budget, cfg['budget'], 'budget')
    acquisition: Acquisition = ACQUISITIONS.build(cfg['acquisition'], 'acquisition')
    UNITS.build(acquisition.unit, 'acquisition.unit')
    oracle: Oracle = ORACLES.build(cfg['oracle'], 'oracle')
    on_main(lambda: prepare_sandbox(cfg))
    drawing = _drawing(acquisition, rounds)
    asking = [a for a in (acquisition, drawing) if a is not None]
    task = build_task(cfg, rounds, partial=any(a.kind != 'image' for a in asking))
    initial = _labelled(rounds, task) if drawing is None else drawing
    initial_budget = _initial_budget(rounds, budget)
    check_run(task, oracle, acquisition, initial, rounds, (budget, initial_budget))
    task.check_config(acquisition.needs)
    if args.dry_run and oracle.reads_labels:
        task.check_labels([0])
    folder = store.work_dir.parent / 'regions'
    units = build_regions(acquisition.unit, task.manifest, folder, task.scans)
    learner = Learner(
        task=task,
        units=units,
        acquisition=acquisition,
        initial=initial,
        oracle=oracle,
        budget=budget,
        initial_budget=initial_budget,
        rounds=rounds,
        store=store,
        seed=args.seed,
        describe=plain(cfg['acquisition']),
    )
    if not args.dry_run:
        on_main(lambda: _begin(args, cfg, units, learner))
    return learner


def _resolved(args: Namespace) -> Config:
    """The config with the options of the command line."""
    cfg = load_config(args.config, args.cfg_options)
    if args.sandbox:
        cfg = apply_sandbox(cfg, CONFIGS, args.cfg_options)
    cfg['launcher'] = args.launcher
    return cfg


def _store(args: Namespace) -> RunStore:
    """The folder of the run; another run in it is refused unless it is to go on."""
    store = RunStore(args.work_dir)
    if store.work_dir.exists() and not store.work_dir.is_dir():
        raise ConfigError(f'Expected a folder, but the work dir {store.work_dir} is a file')
    if args.resume and not store.begun:
        logger.warning('There is no run in %s yet: it begins now', store.work_dir)
    if store.begun and not (args.resume or args.dry_run):
        raise ConfigError(
            f'Expected an empty folder, but {store.work_dir} holds a run; add --resume'
        )
    return store


def _drawing(acquisition: Acquisition, rounds: Rounds) -> Acquisition | None:
    """What draws the initial labels, None where they are given."""
    given = rounds.initial or {}
    if given.get('source') or 'labelled' in given:
        return None
    found: Acquisition = ACQUISITIONS.build(
        given.get('acquisition', acquisition.at_random), 'rounds.initial.acquisition'
    )
    return found


def _labelled(rounds: Rounds, task: Task) -> np.ndarray:
    """Samples that are labelled already; none where round 0 trains on the source alone."""
    given = rounds.initial or {}
    if given.get('source'):
        return np.zeros(0, np.int64)
    return named_samples(given['labelled'], task.manifest)


def _initial_budget(rounds: Rounds, budget: Budget) -> Budget:
    """What the initial labels may cost: that of a round unless it is given, in its unit."""
    given = (rounds.initial or {}).get('budget')
    if not isinstance(given, dict):
        return construct(Budget, given, 'rounds.initial.budget') if given else budget
    return construct(Budget, {'unit': budget.unit, **given}, 'rounds.initial.budget')


def _begin(args: Namespace, cfg: Config, units: RegionMaps, learner: Learner) -> None:
    """Locks the folder, prepares the units, records what the run is begun with."""
    store, task = learner.store, learner.task
    store.lock()
    if not store.begun:
        task.fetch_weights()
        if learner.oracle.reads_labels:
            task.check_labels()
    seen = task.manifest.pool
    if 'source' in learner.acquisition.observes:
        seen = np.arange(len(task.manifest))
    units.prepare(seen, workers=0 if len(seen) < 500 else None)
    given = {
        'acquisition': learner.acquisition.at_random,
        **(cfg['rounds'].get('initial') or {}),
    }
    start = [plain(given), asdict(learner.initial_budget)]
    now = environment(args, cfg, task, plain(learner.acquisition.unit), units.key, start)
    record(store, now, args.allow_other_environment)
    store.write_config(cfg.pretty_text)
    if args.start_from is not None:
        store.save_manifest(task.manifest)  # before anything of a round: now there is a run
        if share_start(store, args.start_from, now['start_key']):
            logger.info('initial labels and round 0 are those of %s', args.start_from)
